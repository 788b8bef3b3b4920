package dmarc

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"dmarcd/internal/dns"
)

const (
	// maxParallel bounds the goroutines, and so the queries under way, of one message.
	maxParallel = 16
	// maxIdentifiers bounds the identifier domains walked for one message. Those
	// beyond do not align: more of them must not make a verdict milder.
	maxIdentifiers = 32
	// maxOtherNames bounds the names asked for identifiers, those of the author's walk
	// not counted. An identifier whose walk needs more does not align.
	maxOtherNames = 40
)

// Resolver looks up TXT records, the character-strings of each joined in order
// (RFC 9989 section 4.5). Where there is none the error wraps dns.ErrNXDomain or
// dns.ErrNoData; every other error counts as transient. It must be safe for
// concurrent use and return when ctx ends.
type Resolver interface {
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
}

// Cache is what a Resolver may also be: it answers at once if it can, as
// LookupTXT would, and otherwise says false. It spares a warm look-up its
// goroutine.
type Cache interface {
	Cached(name dns.Name) ([]string, error, bool)
}

// Discoverer finds policy records and organizational domains. It keeps nothing
// and is safe for concurrent use.
type Discoverer struct {
	Resolver Resolver
	PSL      bool // organizational domains by the public suffix list, as in RFC 7489
}

// Discovery is the look-ups for one message, each name asked once. Its methods
// are for one goroutine. Close it, whether or not it was evaluated.
type Discovery struct {
	resolver Resolver
	cache    Cache // nil if the resolver has none
	psl      bool
	ctx      context.Context

	author  dns.Name
	answers []answer             // the names of the author's walk, in order
	others  map[dns.Name]*answer // names of identifiers that are not among them
	exists  answer               // whether the author domain exists
	walks   []walk               // of identifiers, once done

	cancel  context.CancelFunc // ends the goroutines; nil while there was none
	workers sync.WaitGroup

	mu       sync.Mutex
	queue    []*answer // to be asked
	running  int       // goroutines
	left     int       // answers of the author's walk that are outstanding
	existing bool      // the existence of the author domain was asked for
}

// Begin asks for all names of the author's tree walk at once (RFC 9989 section
// 4.10), and for those of the candidates, domains that may become identifiers,
// where that is likely to be of use. It does not wait. ctx bounds all look-ups of
// this Discovery.
//
// With a zero author nothing is asked, and Evaluate says PermError.
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

// worthAsking reports whether a candidate is likely enough to need a walk of its
// own. A common top-level domain alone is not: the organizational domain would
// have to be that.
func worthAsking(author, c dns.Name) bool {
	const common = 2 // labels
	return c != author && c.Labels() >= common && author.Labels() >= common && c.Last(common) == author.Last(common)
}

// ask prepares the names of the walk of an identifier that are new, and appends
// to missing those that must be looked up.
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

// find gives the answer for a name, perhaps outstanding; nil if it was not asked.
func (d *Discovery) find(name dns.Name) *answer {
	for i := range d.answers {
		if d.answers[i].name == name {
			return &d.answers[i]
		}
	}
	return d.others[name]
}

// prepare fills in what is asked, and the answer if that can be had at once.
// Otherwise it says false, and the answer must be started.
func (d *Discovery) prepare(a *answer, name dns.Name) bool {
	a.name = name
	query, err := name.Child("_dmarc")
	if err != nil {
		a.err = err // no such name can exist, so no record does
		return true
	}
	a.query = query
	return d.cached(a)
}

// cached takes the answer from the cache, or readies it for waiting.
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

// start hands answers, and what is queued already, to goroutines.
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

// work asks what is queued until nothing is.
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

// lookUp asks for one name. A panic of the resolver is kept for the goroutine of
// the message, whose owner knows what to do with it.
func (d *Discovery) lookUp(ctx context.Context, a *answer) {
	defer close(a.done)
	defer func() {
		if r := recover(); r != nil {
			a.crashed = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	a.take(d.resolver.LookupTXT(ctx, a.query))
}

// planExistence asks whether the author domain exists as soon as the whole walk
// of the author is known, if that decides between sp and np. The caller holds mu.
func (d *Discovery) planExistence() {
	w := d.authorWalk(d.find)
	if g := w.governing(); g != nil && g != &d.answers[0] && needsExistence(g.record) {
		d.askExistence()
	}
}

// askExistence asks for the author domain itself (RFC 9989 section 3.2.13),
// unless the look-up of its record has shown that it exists. It may be called
// again. The caller holds mu.
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

// existence waits for the existence query, which it starts if nobody has.
func (d *Discovery) existence() *answer {
	d.mu.Lock()
	d.askExistence()
	d.mu.Unlock()
	d.start(nil)
	return d.wait(&d.exists)
}

// authorWalk is the tree walk of the author, or the search that RFC 7489 has instead.
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

// await gives the answer for a name that was asked, once it is there.
func (d *Discovery) await(name dns.Name) *answer { return d.wait(d.find(name)) }

// wait waits for an answer, but not longer than the Discovery may last. What has
// arrived by then counts.
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

// Wait waits for every look-up under way: the whole walk of the author domain, and
// those of domains that may align. Results have them, and the organizational domain, as
// far as they need them anyway; Wait is for who shows them whole.
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

// peek gives the answer for a name if it is there.
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

// late stands for an answer that has not arrived; why is nil while it may.
func late(a *answer, why error) *answer {
	reason := dns.ErrTemporary
	if why != nil {
		reason = fmt.Errorf("%w: %w", reason, why)
	}
	out := &answer{name: a.name, query: a.query, transient: true, pending: true}
	out.err = fmt.Errorf("dmarc: %w", &dns.Error{Name: a.query, Type: "TXT", Err: reason})
	return out
}

// Close ends all look-ups that are under way and waits for their goroutines.
// What was not answered counts as a transient error afterwards.
func (d *Discovery) Close() {
	if d.cancel != nil {
		d.cancel()
		d.workers.Wait()
	}
}
