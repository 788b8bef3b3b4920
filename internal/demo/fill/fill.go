// Package fill puts the quarter of package demo into a store: reports by the way that
// all received reports go, messages as a journal hands them over, what the DNS said
// as polls keep it.
package fill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dmarcd/internal/demo"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/settings"
)

// Store is what is filled.
type Store interface {
	analysis.Store
	// Load takes remembered messages.
	Load(ctx context.Context, b memory.Batch) error
}

// Done is what went in.
type Done struct{ Reports, Duplicates, Messages int }

// loaded is how many messages are handed over at a time.
const loaded = 500

// Fill fills an empty store with what has arrived by a time. The settings name the
// tenants as managed domains.
func Fill(ctx context.Context, s Store, w *demo.World, config *settings.Settings, by time.Time) (Done, error) {
	var done Done
	if err := reports(ctx, s, w.Files(by), config, &done); err != nil {
		return done, err
	}
	if err := messages(ctx, s, w, config.Policy.Default, &done); err != nil {
		return done, fmt.Errorf("demo: messages: %w", err)
	}
	if err := records(ctx, s, w); err != nil {
		return done, fmt.Errorf("demo: records: %w", err)
	}
	return done, nil
}

// reports takes all reports in, in the order of arrival.
func reports(ctx context.Context, s Store, files []demo.File, config *settings.Settings, done *Done) error {
	path := intake.NewPath(intake.Config{
		Store: s, Settings: func() *settings.Settings { return config }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	var running sync.WaitGroup
	running.Go(func() { path.Run(ctx) })
	var mu sync.Mutex
	var failed error
	take := func(o intake.ItemResult) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, o.Err)
		for _, settled := range o.Settled {
			switch settled.Status {
			case analysis.StatusStored:
				done.Reports++
			case analysis.StatusDuplicate:
				done.Duplicates++
			default:
				failed = errors.Join(failed, fmt.Errorf("a report was %s", settled.Status))
			}
		}
	}
	err := put(ctx, path, files, take)
	path.Close()
	running.Wait()
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("demo: reports: %w", err)
	}
	return nil
}

func put(ctx context.Context, path *intake.Path, files []demo.File, take func(intake.ItemResult)) error {
	for i, f := range files {
		body, err := f.XML()
		if err != nil {
			return err
		}
		err = path.Put(ctx, intake.Entry{
			Input:  intake.Input{Feed: "demo", Token: fmt.Sprintf("%d", i), Name: f.Name, At: f.At, Bytes: int64(len(body)), Body: body},
			Origin: intake.Origin{Admin: true}, Once: true, Done: take,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// messages hands over what arrived here.
func messages(ctx context.Context, s Store, w *demo.World, rules *policy.Rules, done *Done) error {
	batch := memory.Batch{Journal: "demo"}
	flush := func() error {
		if len(batch.Records) == 0 {
			return nil
		}
		batch.To = memory.Position{Segment: batch.From.Segment, Offset: batch.From.Offset + int64(len(batch.Records))}
		if err := s.Load(ctx, batch); err != nil {
			return err
		}
		done.Messages += len(batch.Records)
		batch.From, batch.Records = batch.To, batch.Records[:0]
		return nil
	}
	err := w.Messages(ctx, rules, func(r *memory.Record) error {
		if batch.Records = append(batch.Records, *r); len(batch.Records) < loaded {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// records keeps what a poll on each day would have seen.
func records(ctx context.Context, s Store, w *demo.World) error {
	before := map[string]string{}
	for day := 1; day <= demo.Days; day++ {
		names, at := w.Names(day), w.Day(day).Begin().Add(6*time.Hour)
		for _, one := range polled(ctx, names) {
			at := analysis.Snapshot{Domain: one.Domain, Kind: one.Kind, Name: one.Name, Value: one.Value, Word: one.Word, First: at, Last: at}
			if before[one.Name] == one.Value && day != demo.Days {
				continue // the same as yesterday: it is seen once more at the end
			}
			before[one.Name] = one.Value
			if err := s.SaveSnapshot(ctx, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// polled is what a poll looks at.
func polled(ctx context.Context, names demo.Names) []analysis.Snapshot {
	var out []analysis.Snapshot
	for _, t := range demo.Tenants() {
		out = append(out,
			analysis.Snapshot{Domain: t, Kind: analysis.SnapshotDMARC, Name: "_dmarc." + t.String(), Value: names.DMARC(t.String()), Word: analysis.WordInEffect},
			analysis.Snapshot{Domain: t, Kind: analysis.SnapshotSPF, Name: t.String(), Value: names.SPF(t.String()), Word: analysis.WordInEffect})
		for _, selector := range names.Selectors(t.String()) {
			key := analysis.Snapshot{Domain: t, Kind: analysis.SnapshotKey, Name: selector + "._domainkey." + t.String(), Word: analysis.WordMissing}
			if name, err := t.Child(selector + "._domainkey"); err == nil {
				if texts, err := names.LookupTXT(ctx, name); err == nil {
					key.Value, key.Word = texts[0], analysis.WordInEffect
				}
			}
			out = append(out, key)
		}
	}
	return out
}
