package dmarc

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"dmarcd/internal/dns"
)

const (
	// maxParallel bounds the goroutines of one message, and so its pending queries.
	maxParallel = 16
	// maxIdentifiers bounds the identifier domains walked for one message. Further ones
	// do not align, so that more of them cannot make a result milder.
	maxIdentifiers = 32
	// maxOtherNames bounds the names queried for identifiers, not counting those of the
	// author's walk. An identifier whose walk needs more does not align.
	maxOtherNames = 40
)

// Resolver looks up TXT records, the character-strings of each joined in order
// (RFC 9989 section 4.5). If there is none, the error wraps dns.ErrNXDomain or
// dns.ErrNoData; every other error counts as transient. It must be safe for
// concurrent use and return when ctx ends.
type Resolver interface {
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
}

// Cache is an optional interface of a Resolver. It answers as LookupTXT would if it
// can do so at once, and otherwise returns false. A cached look-up needs no
// goroutine.
type Cache interface {
	Cached(name dns.Name) ([]string, error, bool)
}

// Discoverer finds policy records and organizational domains. It has no state and
// is safe for concurrent use.
type Discoverer struct {
	Resolver Resolver
	PSL      bool // organizational domains by the public suffix list, as in RFC 7489
}

// Discovery holds the look-ups for one message, each name queried once. Only one
// goroutine may call its methods. Close it, even if it was not evaluated.
type Discovery struct {
	resolver Resolver
	cache    Cache // nil if the resolver has none
	psl      bool
	ctx      context.Context

	author  dns.Name
	answers []answer             // the names of the author's walk, in order
	others  map[dns.Name]*answer // names of identifiers that are not in answers
	exists  answer               // whether the author domain exists
	walks   []walk               // finished walks of identifiers

	cancel  context.CancelFunc // cancels the goroutines; nil if none was started
	workers sync.WaitGroup

	mu       sync.Mutex
	queue    []*answer // waiting for a goroutine
	running  int       // goroutines
	left     int       // pending answers of the author's walk
	existing bool      // the existence of the author domain was queried
}

// Begin queries all names of the author's tree walk at once (RFC 9989 section 4.10).
// It also queries those of the candidates, domains that may become identifiers, if
// they are likely to be useful. It does not wait. ctx bounds all look-ups of this
// Discovery.
//
// With a zero author it queries nothing, and Evaluate returns PermError.
func (d *Discoverer) Begin(ctx context.Context, author dns.Name, candidates ...dns.Name) *Discovery {
	s := &Discovery{resolver: d.Resolver, psl: d.PSL, ctx: ctx, author: author}
	s.cache, _ = d.Resolver.(Cache)
	if author.IsZero() {
		return s
	}
	names, n := walkNames(author)
	if d.PSL {
		names[1], n = ListOrg(author), 2
		if names[1] == author {
			n = 1
		}
	}
	s.answers = make([]answer, n)
	var missing []*answer
	for i := range s.answers {
		a := &s.answers[i]
		a.first = true
		if !s.prepare(a, names[i]) {
			missing = append(missing, a)
		}
	}
	s.left = len(missing)
	if s.left == 0 {
		s.mu.Lock()
		s.planExistence()
		s.mu.Unlock()
	}
	for i, c := range candidates {
		if i == maxIdentifiers || d.PSL {
			break
		}
		if worthAsking(author, c) {
			missing = s.ask(c, missing)
		}
	}
	s.start(missing)
	return s
}

// worthAsking reports whether a candidate is likely to need its own walk. A common
// top-level domain alone is not enough: it would have to be the organizational
// domain.
func worthAsking(author, c dns.Name) bool {
	const common = 2 // labels
	return c != author && c.Labels() >= common && author.Labels() >= common && c.Last(common) == author.Last(common)
}

// ask prepares the new names of an identifier's walk, and appends to missing those
// that need a look-up.
func (d *Discovery) ask(start dns.Name, missing []*answer) []*answer {
	names, n := walkNames(start)
	for _, name := range names[:n] {
		if d.find(name) != nil {
			continue
		}
		if d.others == nil {
			d.others = map[dns.Name]*answer{}
		}
		if len(d.others) >= maxOtherNames {
			d.others[name] = &answer{name: name, overLimit: true, err: fmt.Errorf("dmarc: %w", dns.ErrQueryLimit)}
			continue
		}
		a := &answer{}
		d.others[name] = a
		if !d.prepare(a, name) {
			missing = append(missing, a)
		}
	}
	return missing
}

// find returns the answer for a name, possibly pending; nil if it was not queried.
func (d *Discovery) find(name dns.Name) *answer {
	for i := range d.answers {
		if d.answers[i].name == name {
			return &d.answers[i]
		}
	}
	return d.others[name]
}

// prepare sets the query and, if it is available at once, the answer. Otherwise it
// returns false, and the caller must start the answer.
func (d *Discovery) prepare(a *answer, name dns.Name) bool {
	a.name = name
	query, err := name.Child("_dmarc")
	if err != nil {
		a.err = err // no such name can exist, so no record can either
		return true
	}
	a.query = query
	return d.cached(a)
}

// cached takes the answer from the cache, or prepares it for waiting.
func (d *Discovery) cached(a *answer) bool {
	if d.cache != nil {
		if texts, err, ok := d.cache.Cached(a.query); ok {
			a.take(texts, err)
			return true
		}
	}
	a.done = make(chan struct{})
	return false
}

// start passes answers, and those already queued, to goroutines.
func (d *Discovery) start(missing []*answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, missing...)
	if len(d.queue) > 0 && d.cancel == nil {
		d.ctx, d.cancel = context.WithCancel(d.ctx)
	}
	for i := 0; i < len(d.queue) && d.running < maxParallel; i++ {
		d.running++
		d.workers.Add(1)
		go d.work(d.ctx)
	}
}

// work processes the queue until it is empty.
func (d *Discovery) work(ctx context.Context) {
	defer d.workers.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) > 0 {
		a := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		d.lookUp(ctx, a)
		d.mu.Lock()
		if a.first {
			if d.left--; d.left == 0 {
				d.planExistence()
			}
		}
	}
	d.running--
}

// lookUp queries one name. It keeps a panic of the resolver for the goroutine of the
// message, whose owner can handle it.
func (d *Discovery) lookUp(ctx context.Context, a *answer) {
	defer close(a.done)
	defer func() {
		if r := recover(); r != nil {
			a.crashed = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	a.take(d.resolver.LookupTXT(ctx, a.query))
}

// planExistence queries the existence of the author domain once the author's whole
// walk is known, if it decides between sp and np. The caller holds mu.
func (d *Discovery) planExistence() {
	w := d.authorWalk(d.find)
	if g := w.governing(); g != nil && g != &d.answers[0] && needsExistence(g.record) {
		d.askExistence()
	}
}

// askExistence queries the author domain itself (RFC 9989 section 3.2.13), unless
// the look-up of its record has shown that it exists. It may be called again. The
// caller holds mu.
func (d *Discovery) askExistence() {
	if d.existing {
		return
	}
	d.existing = true
	d.exists.name, d.exists.query = d.author, d.author
	if d.answers[0].exists {
		d.exists.exists = true
		return
	}
	if !d.cached(&d.exists) {
		d.queue = append(d.queue, &d.exists)
	}
}

// existence waits for the existence query and starts it if necessary.
func (d *Discovery) existence() *answer {
	d.mu.Lock()
	d.askExistence()
	d.mu.Unlock()
	d.start(nil)
	return d.wait(&d.exists)
}

// authorWalk is the tree walk of the author, or the search of RFC 7489 in its place.
func (d *Discovery) authorWalk(look func(dns.Name) *answer) walk {
	if d.psl {
		return newListWalk(d.author, look)
	}
	var names [maxQueries]dns.Name
	for i := range d.answers {
		names[i] = d.answers[i].name
	}
	return newWalk(names[:len(d.answers)], look)
}

// await waits for the answer for a name that was queried.
func (d *Discovery) await(name dns.Name) *answer { return d.wait(d.find(name)) }

// wait waits for an answer, at most until the Discovery ends. Answers that have
// arrived by then count.
func (d *Discovery) wait(a *answer) *answer {
	if a.done == nil {
		return a
	}
	select {
	case <-a.done:
	default:
		select {
		case <-a.done:
		case <-d.ctx.Done():
			return late(a, d.ctx.Err())
		}
	}
	if a.crashed != nil {
		panic(a.crashed)
	}
	return a
}

// Wait waits for every pending look-up: the author's whole walk, and those of domains
// that may align. Evaluate waits for the answers that it needs; Wait is for callers
// that show the walks in full.
func (d *Discovery) Wait() {
	for i := range d.answers {
		d.wait(&d.answers[i])
	}
	for _, a := range d.others {
		d.wait(a)
	}
}

// awaitDomains waits for the answer for a name, unless it is a top-level domain.
func (d *Discovery) awaitDomains(name dns.Name) *answer {
	if name.Labels() > 1 {
		return d.await(name)
	}
	return d.peek(name)
}

// peek returns the answer for a name if it has arrived.
func (d *Discovery) peek(name dns.Name) *answer {
	a := d.find(name)
	if a.done != nil {
		select {
		case <-a.done:
		default:
			return late(a, d.ctx.Err())
		}
	}
	return a
}

// late replaces an answer that has not arrived; why is nil while it still may.
func late(a *answer, why error) *answer {
	reason := dns.ErrTemporary
	if why != nil {
		reason = fmt.Errorf("%w: %w", reason, why)
	}
	out := &answer{name: a.name, query: a.query, transient: true, pending: true}
	out.err = fmt.Errorf("dmarc: %w", &dns.Error{Name: a.query, Type: "TXT", Err: reason})
	return out
}

// Close cancels all pending look-ups and waits for their goroutines. Unanswered
// queries then count as transient errors.
func (d *Discovery) Close() {
	if d.cancel != nil {
		d.cancel()
		d.workers.Wait()
	}
}
