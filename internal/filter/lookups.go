package filter

import (
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// recordType is the type of a lookup.
type recordType uint8

const (
	typeTXT recordType = iota
	typeA
	typeAAAA
	typeMX
	typePTR
)

// lookup is one finished lookup, with the resolver's answer unchanged.
type lookup struct {
	name dns.Name   // zero for typePTR
	addr netip.Addr // for typePTR
	kind recordType
	took time.Duration

	texts []string
	addrs []netip.Addr
	names []dns.Name
	err   error
}

// lookups is the resolver of one transaction. It forwards every question and records it
// with its answer until it is closed; later answers belong to no verdict. It is safe for
// concurrent use.
type lookups struct {
	resolver Resolver
	cache    cache // nil where the resolver has none

	mu     sync.Mutex
	done   []lookup
	cut    bool // more was asked than is recorded
	closed bool
	asked  []uint64      // hashes of the questions: the questions themselves would double a transaction
	room   [usual]uint64 // storage for asked, which is seldom longer
	seed   maphash.Seed
	author dns.Name // whose policy is looked up; zero before the header is known
}

const (
	// maxQueries bounds the queries of one message.
	maxQueries = 150
	// authorQueries of them are kept for the policy of the author and the existence of
	// its domain, so that nobody can hide a policy by causing other queries.
	authorQueries = 12
)

// question is one DNS question.
type question struct {
	name dns.Name   // zero for typePTR
	addr netip.Addr // for typePTR
	kind recordType
}

// hash identifies a question. Each transaction has its own seed, so that no sender can
// make two questions collide.
func (q *question) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(q.name.String()) // never fails
	addr := q.addr.As16()
	_, _ = h.Write(addr[:])       // never fails
	_ = h.WriteByte(byte(q.kind)) // never fails
	return h.Sum64()
}

// admit counts a question, and refuses it over the limit. A repeated question is free:
// the resolver coalesces and caches them.
func (l *lookups) admit(q question) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked, l.seed = l.room[:0], maphash.MakeSeed()
	}
	h := q.hash(l.seed)
	if slices.Contains(l.asked, h) {
		return nil
	}
	most := maxQueries - authorQueries
	if l.forAuthor(q.name, q.kind) {
		most = maxQueries
	}
	if len(l.asked) >= most {
		return &dns.Error{Name: q.name, Type: q.kind.String(), Err: dns.ErrQueryLimit}
	}
	l.asked = append(l.asked, h)
	return nil
}

// forAuthor reports whether a query is one of the author's tree walk (RFC 9989
// section 4.10), or asks whether its domain exists.
func (l *lookups) forAuthor(name dns.Name, kind recordType) bool {
	if l.author.IsZero() {
		return false
	}
	if kind != typeTXT {
		return name == l.author
	}
	owner, ok := strings.CutPrefix(name.String(), "_dmarc.")
	author := l.author.String()
	return ok && (owner == author || strings.HasSuffix(author, "."+owner))
}

// reserve sets the domain whose policy is looked up.
func (l *lookups) reserve(author dns.Name) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.author = author
}

// cache is an optional interface of a Resolver, see dkim.Cache and dmarc.Cache.
type cache interface {
	Cached(name dns.Name) ([]string, error, bool)
}

// usual is how many lookups most messages need at most.
const usual = 8

// note keeps a lookup that has ended.
func (l *lookups) note(one lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case len(l.done) == memory.MaxAnswers:
		l.cut = true
	default:
		if l.done == nil {
			l.done = make([]lookup, 0, usual)
		}
		l.done = append(l.done, one)
	}
}

// close ends the recording and returns the lookups.
func (l *lookups) close() (done []lookup, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.done, l.cut
}

// LookupTXT is that of the resolver.
func (l *lookups) LookupTXT(ctx context.Context, name dns.Name) ([]string, error) {
	if err := l.admit(question{name: name, kind: typeTXT}); err != nil {
		return nil, err
	}
	began := time.Now()
	texts, err := l.resolver.LookupTXT(ctx, name)
	l.note(lookup{name: name, kind: typeTXT, took: time.Since(began), texts: texts, err: err})
	return texts, err
}

// Cached asks the resolver's cache. A miss is not recorded, since no question was asked.
func (l *lookups) Cached(name dns.Name) ([]string, error, bool) {
	if l.cache == nil {
		return nil, nil, false
	}
	texts, err, ok := l.cache.Cached(name)
	if ok {
		l.note(lookup{name: name, kind: typeTXT, texts: texts, err: err})
	}
	return texts, err, ok
}

// LookupAddr is that of the resolver.
func (l *lookups) LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	kind := typeA
	if v6 {
		kind = typeAAAA
	}
	if err := l.admit(question{name: name, kind: kind}); err != nil {
		return nil, err
	}
	began := time.Now()
	addrs, err := l.resolver.LookupAddr(ctx, name, v6)
	l.note(lookup{name: name, kind: kind, took: time.Since(began), addrs: addrs, err: err})
	return addrs, err
}

// LookupMX is that of the resolver.
func (l *lookups) LookupMX(ctx context.Context, name dns.Name) ([]dns.Name, error) {
	if err := l.admit(question{name: name, kind: typeMX}); err != nil {
		return nil, err
	}
	began := time.Now()
	names, err := l.resolver.LookupMX(ctx, name)
	l.note(lookup{name: name, kind: typeMX, took: time.Since(began), names: names, err: err})
	return names, err
}

// LookupPTR is that of the resolver.
func (l *lookups) LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error) {
	if err := l.admit(question{addr: addr, kind: typePTR}); err != nil {
		return nil, err
	}
	began := time.Now()
	names, err := l.resolver.LookupPTR(ctx, addr)
	l.note(lookup{addr: addr, kind: typePTR, took: time.Since(began), names: names, err: err})
	return names, err
}
