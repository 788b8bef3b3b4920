package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds of looking up names of sources.
const (
	identifyBatch  = 2000 // taken on at once
	identifyWrite  = 200  // stored at once
	identifyAtOnce = 50
	identifyEach   = 10 * time.Second // for one source, its look-ups together
	identifyIdle   = 20 * time.Second // between two looks at what there is to do
)

// identifier identifies the sources of received reports. It has its own resolvers, and processes at
// most identifyAtOnce sources at a time.
type identifier struct {
	settings func() *settings.Settings
	store    analysis.Sources
	figures  analysis.Figures // what reports tell of sources
	names    analysis.NameResolver
	spf      spf.Resolver // for records of managed domains; has a cache
	services func() *source.Map
	network  func(netip.Addr) (source.Network, error)
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

// batch identifies some sources, and returns how many. It stores each result at once, so that slow
// ones do not delay others.
func (i *identifier) batch(ctx context.Context) (int, error) {
	sources, err := i.store.Unidentified(ctx, i.now(), identifyBatch)
	if err != nil || len(sources) == 0 {
		return 0, err
	}
	looking, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan analysis.Identity, identifyAtOnce)
	failed := make(chan error, 1)
	go func() {
		defer close(results)
		failed <- i.lookAll(looking, sources, results)
	}()
	var found []analysis.Identity
	for one := range results {
		if found = append(found, one); len(found) == identifyWrite && err == nil && ctx.Err() == nil {
			err = i.store.Identify(ctx, found)
			found = nil
			if err != nil {
				stop()
			}
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err() // what was cut off says nothing
	}
	if err == nil && len(found) > 0 {
		err = i.store.Identify(ctx, found)
	}
	return len(sources), errors.Join(err, <-failed)
}

// lookAll sends the result for each source.
func (i *identifier) lookAll(ctx context.Context, sources []netip.Addr, results chan<- analysis.Identity) error {
	namer := &analysis.SourceNamer{Names: i.names, SPF: i.spf, Services: i.services(), Network: i.network}
	var working sync.WaitGroup
	defer working.Wait()
	free := make(chan struct{}, identifyAtOnce)
	for chunk := range slices.Chunk(sources, observedAtOnce) {
		observed, err := i.observe(ctx, chunk)
		if err != nil {
			return err
		}
		for _, addr := range chunk {
			if ctx.Err() != nil {
				return nil
			}
			free <- struct{}{}
			working.Go(func() {
				defer func() { <-free }()
				results <- i.look(ctx, namer, observed[addr.Unmap()])
			})
		}
	}
	return nil
}

func (i *identifier) look(ctx context.Context, namer *analysis.SourceNamer, o *analysis.Observed) analysis.Identity {
	ctx, cancel := context.WithTimeout(ctx, identifyEach)
	defer cancel()
	found := namer.Name(ctx, o, i.now())
	i.counts.add(&found)
	return found
}

// identifyCounts counts look-ups by result.
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
