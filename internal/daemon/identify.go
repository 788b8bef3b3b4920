package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds of looking names of sources up.
const (
	identifyBatch  = 2000 // taken on at once
	identifyWrite  = 200  // stored at once
	identifyAtOnce = 20
	identifyEach   = 10 * time.Second // for one source, its look-ups together
	identifyIdle   = 20 * time.Second // between two looks at what there is to do
)

// identifier looks up what sources of received reports are called. It has a resolver of
// its own, and never more than identifyAtOnce look-ups under way.
type identifier struct {
	settings func() *settings.Settings
	store    analysis.Sources
	names    analysis.NameResolver
	log      *slog.Logger
	now      func() time.Time
	counts   identifyCounts
}

// run works until ctx ends.
func (i *identifier) run(ctx context.Context) {
	for ctx.Err() == nil {
		more := false
		if i.settings().Analysis.Enabled {
			n, err := i.batch(ctx)
			if err != nil && ctx.Err() == nil {
				i.log.Warn("sources of received reports were not looked up", "error", text.Error(err))
			}
			more = err == nil && n == identifyBatch
		}
		if !more && !rest(ctx, identifyIdle) {
			return
		}
	}
}

// batch looks some sources up, and says how many. What is found is stored as it comes, so
// that those who are slow to answer hold up no others.
func (i *identifier) batch(ctx context.Context) (int, error) {
	sources, err := i.store.Unidentified(ctx, i.now(), identifyBatch)
	if err != nil || len(sources) == 0 {
		return 0, err
	}
	results := make(chan analysis.Identity, identifyAtOnce)
	go func() {
		defer close(results)
		var working sync.WaitGroup
		free := make(chan struct{}, identifyAtOnce)
		for _, source := range sources {
			free <- struct{}{}
			working.Go(func() {
				defer func() { <-free }()
				results <- i.look(ctx, source)
			})
		}
		working.Wait()
	}()
	var found []analysis.Identity
	for one := range results {
		if found = append(found, one); len(found) == identifyWrite && err == nil && ctx.Err() == nil {
			err = i.store.Identify(ctx, found)
			found = nil
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err() // what was cut off says nothing
	}
	if err == nil && len(found) > 0 {
		err = i.store.Identify(ctx, found)
	}
	return len(sources), err
}

func (i *identifier) look(ctx context.Context, source netip.Addr) analysis.Identity {
	ctx, cancel := context.WithTimeout(ctx, identifyEach)
	defer cancel()
	found := analysis.LookUpSource(ctx, i.names, source, i.now())
	i.counts.add(&found)
	return found
}

// identifyCounts count look-ups by what they found.
type identifyCounts struct {
	mu                   sync.Mutex
	named, none, trouble uint64
}

func (c *identifyCounts) add(found *analysis.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case found.Unsure:
		c.trouble++
	case found.Host != "":
		c.named++
	default:
		c.none++
	}
}
