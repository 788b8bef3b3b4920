package daemon

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"dmarcd/internal/dns"
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
)

// recordPoll looks up the DMARC records of managed domains every analysis.poll, and
// keeps what it finds.
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

// jittered is a duration of between nine and eleven tenths.
func jittered(d time.Duration) time.Duration {
	tenth := max(d/10, 1)
	return d - tenth + rand.N(2*tenth)
}

// round looks every managed domain up once.
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

// poll looks one domain up. What could not be looked up changes nothing that is known.
func (p *recordPoll) poll(ctx context.Context, config *settings.Settings, domain dns.Name) analysis.Word {
	looking, cancel := context.WithTimeout(ctx, pollEach)
	defer cancel()
	verifier := analysis.Verifier{Resolver: p.resolver, PSL: config.Discovery == settings.DiscoveryPSL}
	v := verifier.Verify(looking, &analysis.VerifyRequest{Domain: domain, Ours: analysis.OurAddresses(config, domain), RecordOnly: true})
	if v.Result == analysis.WordUnknown || ctx.Err() != nil {
		return analysis.WordUnknown
	}
	now := p.now().UTC()
	err := p.store.SaveSnapshot(ctx, analysis.Snapshot{
		Domain: domain, Kind: analysis.SnapshotDMARC, Name: v.Name.String(), Value: v.Record, Word: v.Result, Detail: v.Why, First: now, Last: now,
	})
	if err != nil && ctx.Err() == nil {
		p.log.Warn("the DMARC record of a managed domain was looked up and could not be kept", "domain", domain.String(), "error", text.Error(err))
	}
	return v.Result
}

// pollStates are the words that the last round gave.
type pollStates struct {
	mu    sync.Mutex
	words map[analysis.Word]int
}

func (s *pollStates) set(words map[analysis.Word]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = words
}

// each gives every word with its number of domains.
func (s *pollStates) each(yield func(analysis.Word, int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, word := range []analysis.Word{analysis.WordInEffect, analysis.WordMissing, analysis.WordBroken, analysis.WordUnknown} {
		yield(word, s.words[word])
	}
}
