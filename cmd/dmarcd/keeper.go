package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/filter"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

const (
	// journalShare is the part of retention.max_bytes that the journal may take
	// while the store is away.
	journalShare = 4
	// storeWait is how long a start waits for the store. One that answers later is
	// as good: records stay in the journal meanwhile.
	storeWait = 3 * time.Second
	// loadWait is how long an end waits for the store to take what is left.
	loadWait = 5 * time.Second
	// pruneEvery is how often what is old is looked for.
	pruneEvery = 10 * time.Minute
)

// keeper is the daemon's memory and what is done with it: the journal, the store
// that it is loaded into, the reports made of it, and the socket by which commands
// ask.
type keeper struct {
	settings func() *settings.Settings
	log      *slog.Logger
	journal  *journal.Journal
	store    *store.Store
	reports  *outgoing.Pipeline
	admin    *admin.Server
	door     net.Listener // of admin
	leads    atomic.Bool  // this daemon makes the reports and prunes
	pruned   prunedCounts
	buffers  sync.Pool   // of *[]byte, for encoding records
	bounces  chan []byte // mails to be read

	stop    context.CancelFunc
	running sync.WaitGroup
}

// prunedCounts count what retention removed since the start.
type prunedCounts struct {
	messages, traces, tallies, bytes atomic.Int64
}

// newKeeper opens everything; nothing runs yet but the journal. After an error
// nothing is left open.
func newKeeper(d *daemonProcess) (_ *keeper, err error) {
	config := d.settings.Load()
	k := &keeper{settings: d.settings.Load, log: d.log, bounces: make(chan []byte, maxBounces)}
	k.buffers.New = func() any { return new([]byte) }
	defer func() {
		if err != nil {
			k.close(context.Background())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	c := storeConfig(config)
	c.Log = d.log
	if k.store, err = store.Open(ctx, c); err != nil { // out of reach is no error
		return nil, usageError(err)
	}
	if k.journal, err = openKeptJournal(config, k.store, d.log); err != nil {
		return nil, err
	}
	k.reports, err = d.newReports(config, k)
	if err != nil {
		return nil, err
	}
	if k.door, err = admin.Listen(admin.SocketPath(config.StateDir)); err != nil {
		return nil, usageError(fmt.Errorf("the socket for commands: %w", err))
	}
	k.admin = admin.NewServer(admin.Config{
		Version: version,
		Service: &api.Service{
			Settings: k.settings, Memory: &api.JoinedMemory{Store: k.store, Journal: k.journal}, Reports: k.reports.Service(), Now: time.Now,
		},
		Log: d.log,
	})
	return k, nil
}

// openKeptJournal opens the journal in the state directory, to be loaded into s.
func openKeptJournal(config *settings.Settings, s *store.Store, log *slog.Logger) (*journal.Journal, error) {
	j, err := journal.Open(journal.Config{
		Dir: journalDir(config), Sink: journalSink{s}, Log: log, Now: time.Now,
		MaxBytes: config.Retention.MaxBytes / journalShare,
	})
	switch {
	case errors.Is(err, journal.ErrLocked):
		return nil, usageError(fmt.Errorf("%w (each dmarcd needs a state_dir of its own)", err))
	case errors.Is(err, fs.ErrPermission):
		return nil, usageError(fmt.Errorf("%w; state_dir must belong to the user that dmarcd runs as", err))
	case err != nil:
		return nil, usageError(err)
	}
	return j, nil
}

// Record puts a judged message into the journal, before it is answered. What
// becomes of it there is counted, and no concern of the message.
func (k *keeper) Record(r *memory.Record, out *filter.Outcome) {
	buf := k.buffers.Get().(*[]byte)
	defer k.buffers.Put(buf)
	*buf, _ = r.AppendBinary((*buf)[:0]) // never fails
	_ = k.journal.Append(*buf)           // counted by the journal
	k.failureReport(r, out)
}

// run works until close.
func (k *keeper) run() {
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	k.running.Go(func() {
		if err := k.admin.Serve(k.door); err != nil {
			k.log.Error("commands cannot ask this daemon any more", "error", err.Error())
		}
	})
	k.running.Go(func() {
		if err := k.reports.Run(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("reports are not made any more", "error", err.Error())
		}
	})
	k.running.Go(func() { k.readBounces(ctx) })
	k.running.Go(func() { k.prune(ctx) })
}

// prune forgets what retention no longer wants: soon after the start, and then every
// so often. Of several daemons with one store the leader does it.
func (k *keeper) prune(ctx context.Context) {
	const first = 30 * time.Second
	for wait := first; rest(ctx, wait); wait = pruneEvery {
		if k.leads.Load() {
			k.pruneNow(ctx)
		}
	}
}

func (k *keeper) pruneNow(ctx context.Context) {
	r := k.settings().Retention
	p, err := k.store.Prune(ctx, store.Retention{
		Messages: r.Messages, Traces: r.Traces, Aggregates: r.Aggregates, MaxBytes: r.MaxBytes,
	}, time.Now())
	k.pruned.messages.Add(p.Messages + p.Oversize)
	k.pruned.traces.Add(p.Traces + p.OversizeTraces)
	k.pruned.tallies.Add(p.Tallies)
	if p.Oversize+p.OversizeTraces > 0 {
		k.log.Warn("the store is larger than retention.max_bytes: the oldest detail was removed before its time",
			"messages", p.Oversize, "traces", p.OversizeTraces, "bytes", p.Bytes)
	}
	switch {
	case err == nil:
		k.pruned.bytes.Store(p.Bytes)
	case ctx.Err() == nil:
		k.log.Warn("the store was not pruned", "error", err.Error())
	}
}

// close loads what is left, while ctx and loadWait allow, and lets everything go.
func (k *keeper) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	if k.stop != nil {
		k.stop()
	}
	if k.journal != nil {
		if err := k.journal.Close(ctx); err != nil {
			k.log.Warn("some records are still in the journal; the next start loads them", "error", err.Error())
		}
	}
	switch {
	case k.stop != nil:
		if err := k.admin.Shutdown(ctx); err != nil {
			k.log.Warn("a command was cut off", "error", err.Error())
		}
	case k.door != nil:
		_ = k.door.Close() // it was never used
	}
	k.running.Wait()
	if k.store != nil {
		if err := k.store.Close(); err != nil {
			k.log.Warn("closing the store", "error", err.Error())
		}
	}
}
