package daemon

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds of polling the records of managed domains.
const (
	pollAtOnce = 4
	pollEach   = 30 * time.Second // for one domain
	pollLook   = time.Minute      // between two looks at whether a round is due
	pollFirst  = 15 * time.Second // after the start

	pollKeys    = 50                  // DKIM keys of one domain
	selectorsOf = 30 * 24 * time.Hour // reports of that long name the selectors in use
)

// recordPoll looks up the DMARC and SPF records of managed domains and the DKIM keys in use every
// analysis.poll, and stores the results.
type recordPoll struct {
	settings func() *settings.Settings
	store    analysis.Records
	resolver analysis.Resolver
	log      *slog.Logger
	now      func() time.Time
	states   pollStates
}

// run polls until ctx ends.
func (p *recordPoll) run(ctx context.Context) {
	defer p.states.set(nil) // another daemon knows
	var next time.Time
	for wait := pollFirst; rest(ctx, wait); wait = pollLook {
		config := p.settings()
		now := p.now()
		if !config.Analysis.Enabled || now.Before(next) && next.Sub(now) <= 2*config.Analysis.Poll {
			continue
		}
		p.round(ctx, config)
		next = p.now().Add(jittered(config.Analysis.Poll))
	}
}

// jittered returns a duration of between nine and eleven tenths.
func jittered(d time.Duration) time.Duration {
	tenth := max(d/10, 1)
	return d - tenth + rand.N(2*tenth)
}

// round looks up every managed domain once.
func (p *recordPoll) round(ctx context.Context, config *settings.Settings) {
	free := make(chan struct{}, pollAtOnce)
	var working sync.WaitGroup
	words := map[analysis.Word]int{}
	var mu sync.Mutex
	for _, domain := range analysis.ManagedBy(config).Names() {
		if ctx.Err() != nil {
			break
		}
		free <- struct{}{}
		working.Go(func() {
			defer func() { <-free }()
			word := p.poll(ctx, config, domain)
			mu.Lock()
			defer mu.Unlock()
			words[word]++
		})
	}
	working.Wait()
	if ctx.Err() == nil {
		p.states.set(words)
	}
}

// poll looks up one domain. A failed look-up leaves the known data unchanged.
func (p *recordPoll) poll(ctx context.Context, config *settings.Settings, domain dns.Name) analysis.Word {
	looking, cancel := context.WithTimeout(ctx, pollEach)
	defer cancel()
	verifier := analysis.Verifier{Resolver: p.resolver, PSL: config.Discovery == settings.DiscoveryPSL}
	selectors, err := p.store.Selectors(looking, domain, memory.DayOf(p.now().Add(-selectorsOf)), pollKeys)
	if err != nil { // the records can be looked up all the same
		selectors = nil
	}
	v := verifier.Verify(looking, &analysis.VerifyRequest{Domain: domain, Ours: analysis.OurAddresses(config, domain), Selectors: selectors})
	if ctx.Err() != nil {
		return analysis.WordUnknown
	}
	found := append([]analysis.Snapshot{
		{Kind: analysis.SnapshotDMARC, Name: v.Name.String(), Value: v.Record, Word: v.Result, Detail: v.Why},
		snapshotOf(analysis.SnapshotSPF, &v.SPF),
	}, snapshotsOf(v.Selectors)...)
	now := p.now().UTC()
	for i := range found {
		n := &found[i]
		if n.Word == analysis.WordUnknown {
			continue
		}
		n.Domain, n.First, n.Last = domain, now, now
		if err := p.store.SaveSnapshot(ctx, *n); err != nil {
			if ctx.Err() == nil {
				p.log.Warn("the records of a managed domain were looked up and could not be kept", "domain", domain.String(), "error", text.Error(err))
			}
			break
		}
	}
	return v.Result
}

// snapshotOf converts a check of a record for storage.
func snapshotOf(kind analysis.SnapshotKind, c *analysis.Check) analysis.Snapshot {
	n := analysis.Snapshot{Kind: kind, Name: c.Name, Value: c.Record, Word: analysis.WordInEffect, Detail: c.Text}
	switch {
	case c.Result == analysis.CheckUnknown:
		n.Word = analysis.WordUnknown
	case c.Result == analysis.CheckOK:
	case c.Record == "":
		n.Word = analysis.WordMissing
	case c.Result == analysis.CheckFault:
		n.Word = analysis.WordBroken
	}
	return n
}

func snapshotsOf(keys []analysis.Check) []analysis.Snapshot {
	out := make([]analysis.Snapshot, len(keys))
	for i := range keys {
		out[i] = snapshotOf(analysis.SnapshotKey, &keys[i])
	}
	return out
}

// pollStates are the results of the last round.
type pollStates struct {
	mu    sync.Mutex
	words map[analysis.Word]int
}

func (s *pollStates) set(words map[analysis.Word]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = words
}

// each passes on every word with its number of domains.
func (s *pollStates) each(yield func(analysis.Word, int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, word := range []analysis.Word{analysis.WordInEffect, analysis.WordMissing, analysis.WordBroken, analysis.WordUnknown} {
		yield(word, s.words[word])
	}
}
