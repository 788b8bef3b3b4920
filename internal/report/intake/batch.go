package intake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"dmarcd/internal/report/analysis"
)

// asUnread returns the item of an unopened input.
func asUnread(in *Input, why string) (*analysis.Item, error) {
	raw, err := compress(in.Body, nil)
	if err != nil {
		return nil, fmt.Errorf("intake: %w", err)
	}
	head, _ := readHeader(in.Body)
	return &analysis.Item{
		Feed: in.Feed, Token: in.Token, Name: in.Name, TakenAt: in.At, Bytes: in.Bytes, Digest: sha256.Sum256(in.Body),
		From: cut(fromAddress(head.get("From"))), Subject: cut(decoded(head.get("Subject"))), Kind: analysis.KindUnreadable, Why: why, Raw: raw,
	}, nil
}

// storeAll stores what was read, in batches as large as available.
func (p *Path) storeAll(ctx context.Context) {
	for first := range p.read {
		batch := p.gather(first)
		began := time.Now()
		p.store(ctx, batch)
		if p.busy() { // at most every other moment is the store's
			wait(ctx, min(time.Since(began), time.Second))
		}
	}
}

// busy reports whether mail is being evaluated.
func (p *Path) busy() bool { return p.config.Busy != nil && p.config.Busy() }

// gathering is how long a batch waits for more entries while more are being read, because each
// transaction is expensive.
const gathering = 50 * time.Millisecond

// gather assembles a batch.
func (p *Path) gather(first *passed) []*passed {
	batch, n := []*passed{first}, rows(first.item)
	most := batchItems
	if p.busy() {
		most = busyItems
	}
	late := time.NewTimer(gathering)
	defer late.Stop()
	for len(batch) < most && n < batchRows && !batch[len(batch)-1].large {
		var next *passed
		open := false
		select {
		case next, open = <-p.read:
		default:
			if len(p.entries) == 0 { // nothing waits
				return batch
			}
			select {
			case next, open = <-p.read:
			case <-late.C:
				return batch
			}
		}
		if !open {
			return batch
		}
		batch = append(batch, next)
		n += rows(next.item)
	}
	return batch
}

// store stores a batch, and retries until the store accepts it. It sets aside an entry that the
// store never accepts while it accepts others; an entry that must not wait ends with the error.
func (p *Path) store(ctx context.Context, batch []*passed) {
	const alone = 3 // attempts before entries are tried one by one
	for try := 1; ; try++ {
		err := p.storeOnce(ctx, batch)
		if err == nil {
			return
		}
		if batch = p.giveUp(ctx, batch, err); len(batch) > 0 && try == alone {
			batch = p.storeEach(ctx, batch)
		}
		if len(batch) == 0 {
			return
		}
		p.stats.failed(err)
		if try == 1 {
			p.config.Log.Warn("received reports cannot be stored; they are kept until they can", "error", err.Error())
		}
		wait(ctx, min(time.Second<<min(try-1, 5), 30*time.Second))
	}
}

// giveUp ends the entries that do not wait for the store, and returns the others.
func (p *Path) giveUp(ctx context.Context, batch []*passed, err error) []*passed {
	var left []*passed
	for _, one := range batch {
		if one.entry.Once || ctx.Err() != nil {
			p.end(one, ItemResult{Item: one.item, Err: err})
		} else {
			left = append(left, one)
		}
	}
	return left
}

// storeEach tries entries one by one and returns the remaining ones. If the store accepts one
// and refuses another, the other is set aside.
func (p *Path) storeEach(ctx context.Context, batch []*passed) []*passed {
	var left []*passed
	took := false
	for _, one := range batch {
		if err := p.storeOnce(ctx, []*passed{one}); err != nil {
			left = append(left, one)
			p.stats.failed(err)
			continue
		}
		took = true
	}
	if !took || ctx.Err() != nil {
		return left
	}
	var still []*passed
	for _, one := range left {
		in := one.entry.Input
		in.Body = one.body
		item, err := asUnread(&in, "it cannot be stored as it was read")
		if err == nil {
			item.Origin = one.origin
			one.item = item
			err = p.storeOnce(ctx, []*passed{one})
		}
		if err != nil {
			still = append(still, one)
		}
	}
	return still
}

// storeOnce stores a batch and sets the outcome of each entry.
func (p *Path) storeOnce(ctx context.Context, batch []*passed) error {
	b := &analysis.Batch{Items: make([]analysis.Item, len(batch)), Reader: ReaderVersion}
	states := map[string]int{}
	for i, one := range batch {
		b.Items[i] = *one.item
		if s := one.entry.State; s != nil {
			at, known := states[s.Name]
			if !known {
				at = len(b.Feeds)
				states[s.Name] = at
				b.Feeds = append(b.Feeds, analysis.FeedState{})
			}
			b.Feeds[at] = *s
		}
	}
	settled, err := p.config.Store.Ingest(ctx, b)
	if err != nil {
		return err
	}
	outcomes := make([]ItemResult, len(batch))
	for _, s := range settled {
		if s.Item >= 0 && s.Item < len(outcomes) {
			o := &outcomes[s.Item]
			o.Settled = append(o.Settled, s)
			o.Known = o.Known || s.Known
		}
	}
	for i, one := range batch {
		outcomes[i].Item = one.item
		p.stats.stored(&outcomes[i])
		p.end(one, outcomes[i])
	}
	return nil
}

func (p *Path) end(one *passed, o ItemResult) {
	one.entry.Done(o)
	close(one.ended)
}

// wait waits for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
