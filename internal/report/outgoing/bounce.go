package outgoing

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"dmarcd/internal/report"
	"dmarcd/internal/text"
)

// Bounce processes a mail that came to the sender address of our reports. If it says that a
// mail of ours was refused for good, or given up after days, the delivery has failed and its
// destination is suppressed for a while; it then returns true. A mail about other mail, a
// delay or a success is counted and otherwise ignored: nobody can have a destination
// suppressed without the Message-ID of a mail that was sent there, which cannot be guessed.
//
// The error is the store's; the same mail may then be passed again.
func (p *Pipeline) Bounce(ctx context.Context, raw []byte) (bool, error) {
	b, err := report.ParseBounce(bytes.NewReader(raw))
	if err != nil && !errors.Is(err, report.ErrNotBounce) {
		return false, err
	}
	found := false
	r := failedRecipient(&b)
	if r != nil && b.MessageID != "" {
		n := BounceNote{
			MessageID: b.MessageID, Cause: CauseBounced, Suppress: true, At: p.now(),
			Error: text.Cut(strings.TrimSpace(r.Status+" "+r.Diagnostic), maxErrorText),
		}
		if r.Status == "5.3.4" || r.Status == "5.2.3" { // RFC 3463: the size, not the destination
			n.Cause, n.Suppress = CauseTooLarge, false
		}
		if found, err = p.store.Bounced(ctx, n); err != nil {
			return false, err
		}
		p.noteBounce(ctx, &n, found)
		return found, nil
	}
	p.stats.add(func(s *Stats) { s.BouncesIgnored++ })
	return false, nil
}

// failedRecipient is the first recipient for which the mail was refused; nil if there is
// none.
func failedRecipient(b *report.Bounce) *report.BounceRecipient {
	for i := range b.Recipients {
		if b.Recipients[i].Failed() {
			return &b.Recipients[i]
		}
	}
	return nil
}

// noteBounce counts and logs.
func (p *Pipeline) noteBounce(ctx context.Context, n *BounceNote, found bool) {
	p.stats.add(func(s *Stats) {
		if !found {
			s.BouncesIgnored++
			return
		}
		s.Bounces++
		s.Failed[Final{State: StateFailed, Cause: n.Cause}]++
		if n.Suppress {
			s.Suppressed++
		}
	})
	if found {
		p.log.WarnContext(ctx, "a report came back", "message_id", n.MessageID, "suppressed", n.Suppress, "error", n.Error)
	}
}
