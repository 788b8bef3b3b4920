package spf

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"dmarcd/internal/dns"
)

// qtype is the type of a look-up.
type qtype uint8

const (
	typeTXT qtype = iota
	typeA
	typeAAAA
	typeMX
	typePTR
)

// question is one prefetched look-up. Its answer may be read once done is closed.
type question struct {
	typ  qtype
	name dns.Name // zero for typePTR
	term bool     // for a term, not for a host of mx
	used bool     // by the evaluation
	done chan struct{}

	txts  []string
	addrs []netip.Addr
	names []dns.Name
	err   error
}

// ahead prefetches look-ups for the evaluation. Only the goroutine of the check may
// call its methods; each look-up runs in its own goroutine, and stop waits for all
// of them.
type ahead struct {
	resolver  Resolver
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
	questions []*question
	planned   int // questions for terms
	used      int // of those, how many the evaluation reached
}

func newAhead(ctx context.Context, r Resolver) *ahead {
	p := &ahead{resolver: r}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// stop cancels the look-ups that are no longer needed.
func (p *ahead) stop() {
	p.cancel()
	p.running.Wait()
}

// plan prefetches for the terms of a record that may be reached. Prefetched
// questions and counted look-ups stay within ten together, so wasted queries never
// exceed the budget that the check had left (RFC 7208 section 4.6.4).
func (p *ahead) plan(e *evaluation, rec *record, domain dns.Name) {
	room := MaxLookups - p.planned - (e.lookups - p.used)
	first := true // the evaluation itself asks for this one next
	for i := range rec.mechanisms {
		t := &rec.mechanisms[i]
		switch t.kind {
		case kindAll:
			return
		case kindIP4, kindIP6:
			if t.net.Contains(e.ip) {
				return // no later term is reached
			}
			continue
		}
		if room--; room < 0 {
			return
		}
		if !first {
			p.forTerm(e, t, domain)
		}
		first = false
	}
	if rec.redirect.text != "" && room > 0 && !first {
		p.forTerm(e, &rec.redirect, domain)
	}
}

// forTerm prefetches for one term, unless its name depends on macros.
func (p *ahead) forTerm(e *evaluation, t *term, domain dns.Name) {
	if strings.IndexByte(t.spec, '%') >= 0 {
		return
	}
	name := domain
	if t.spec != "" {
		name = queryName(t.spec)
	}
	q := question{name: name, term: true}
	switch t.kind {
	case kindInclude, kindRedirect:
		if name.Labels() < 2 {
			return
		}
		q.typ = typeTXT
	case kindA:
		q.typ = typeOf(e.ip.Is6())
	case kindExists:
		q.typ = typeA
	case kindMX:
		q.typ = typeMX
	case kindPTR:
		q.typ, q.name = typePTR, dns.Name{}
	}
	if !q.name.IsZero() || q.typ == typePTR {
		p.ask(q, e.ip)
	}
}

// hosts prefetches the addresses of all MX hosts but the first, which the
// evaluation itself asks for next.
func (p *ahead) hosts(hosts []dns.Name, v6 bool) {
	for _, host := range hosts[min(1, len(hosts)):] {
		if !host.IsZero() {
			p.ask(question{typ: typeOf(v6), name: host}, netip.Addr{})
		}
	}
}

// ask starts a look-up unless it was started before.
func (p *ahead) ask(q question, ip netip.Addr) {
	for _, other := range p.questions {
		if other.typ == q.typ && other.name == q.name {
			return
		}
	}
	q.done = make(chan struct{})
	p.questions = append(p.questions, &q)
	if q.term {
		p.planned++
	}
	p.running.Go(func() {
		defer close(q.done)
		switch q.typ {
		case typeTXT:
			q.txts, q.err = p.resolver.LookupTXT(p.ctx, q.name)
		case typeA, typeAAAA:
			q.addrs, q.err = p.resolver.LookupAddr(p.ctx, q.name, q.typ == typeAAAA)
		case typeMX:
			q.names, q.err = p.resolver.LookupMX(p.ctx, q.name)
		case typePTR:
			q.names, q.err = p.resolver.LookupPTR(p.ctx, ip)
		}
	})
}

// answer waits for a prefetched look-up and returns it; nil if there is none.
func (p *ahead) answer(typ qtype, name dns.Name) *question {
	q := p.find(typ, name)
	if q != nil {
		<-q.done
	}
	return q
}

// find returns a prefetched look-up, finished or not, and marks it as used; nil if
// there is none.
func (p *ahead) find(typ qtype, name dns.Name) *question {
	if p == nil {
		return nil
	}
	for _, q := range p.questions {
		if q.typ != typ || q.name != name {
			continue
		}
		if q.term && !q.used {
			q.used = true
			p.used++
		}
		return q
	}
	return nil
}

func typeOf(v6 bool) qtype {
	if v6 {
		return typeAAAA
	}
	return typeA
}

func (e *evaluation) lookupTXT(name dns.Name) ([]string, error) {
	if q := e.ahead.answer(typeTXT, name); q != nil {
		return q.txts, q.err
	}
	return e.checker.Resolver.LookupTXT(e.ctx, name)
}

func (e *evaluation) lookupAddr(name dns.Name, v6 bool) ([]netip.Addr, error) {
	if q := e.ahead.answer(typeOf(v6), name); q != nil {
		return q.addrs, q.err
	}
	return e.checker.Resolver.LookupAddr(e.ctx, name, v6)
}

func (e *evaluation) lookupMX(name dns.Name) ([]dns.Name, error) {
	if q := e.ahead.answer(typeMX, name); q != nil {
		return q.names, q.err
	}
	return e.checker.Resolver.LookupMX(e.ctx, name)
}

// lookupPTR is bound to a ctx of its own, what was asked ahead too.
func (e *evaluation) lookupPTR(ctx context.Context) ([]dns.Name, error) {
	q := e.ahead.find(typePTR, dns.Name{})
	if q == nil {
		return e.checker.Resolver.LookupPTR(ctx, e.ip)
	}
	select {
	case <-q.done:
		return q.names, q.err
	case <-ctx.Done():
		return nil, ended(ctx.Err())
	}
}
