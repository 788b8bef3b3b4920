package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"dmarcd/internal/dns"
)

// Processing limits, RFC 7208 section 4.6.4.
const (
	MaxLookups = 10 // terms with look-ups, in one check with all its includes
	MaxVoids   = 2  // terms whose look-ups found nothing

	maxMX  = 10 // hosts of one mx mechanism
	maxPTR = 10 // names of the client's address

	// maxQueries bounds the DNS queries of one check. It does not count the query for
	// the explanation or wasted prefetches; with them there are at most 75. The RFC's
	// own limits allow 111.
	maxQueries = 64
)

// evaluation is the state of one check.
type evaluation struct {
	checker *Checker
	ctx     context.Context
	ip      netip.Addr // never IPv4-mapped
	sender  dns.Name   // domain of the identity
	local   string     // its local part
	localOK bool       // local has an expansion
	helo    string
	heloOK  bool // helo has an expansion

	lookups int
	queries int // counted in record order, once they are certain to be made
	voids   int
	voided  bool // voids already counts the current term
	// explaining is set once the result is final: no limit counts, no error ends the check.
	explaining bool
	names      reverseNames
	ahead      *ahead // nil without Prefetch

	// Records from the first to the current one. Every record but the first costs a look-up.
	stack [MaxLookups + 1]frame
	depth int
	walk  walk
	// madeOfLocalPart reports whether the last target contains part of the local part.
	madeOfLocalPart bool
	localPart       []LocalPartName
}

// frame is one record on the path, and the term that led from it to the next.
type frame struct {
	domain    dns.Name
	term      string
	localPart bool // domain contains part of the sender's local part
}

// evalResult is what check_host() returns.
type evalResult struct {
	status  Status
	matched bool     // by a mechanism, not by default
	exp     string   // the modifier exp= of the record that decided; "" if it has none
	domain  dns.Name // of that record
}

// checkHost is check_host() of RFC 7208 section 4 for one domain.
func (e *evaluation) checkHost(domain dns.Name) (evalResult, *Error) {
	txt, fault := e.fetch(domain)
	if fault != nil || txt == "" {
		return evalResult{status: None}, fault
	}
	at := e.depth
	e.stack[at] = frame{domain: domain, localPart: e.madeOfLocalPart}
	e.depth++
	rec, bad, err := parseRecord(txt)
	if err != nil { // RFC 7208 section 4.6: nothing of such a record is evaluated
		e.stack[at].term = bad
		fault := permError(domain, bad, err)
		if bad != "" {
			e.walk.leave(e.walk.enter(domain, bad, at), NoMatch, fault)
		}
		return evalResult{}, fault
	}
	e.walk.makeRoom(&rec)
	if e.ahead != nil {
		e.ahead.plan(e, &rec, domain)
	}
	for i := range rec.mechanisms {
		t := &rec.mechanisms[i]
		e.stack[at].term = t.text
		step := e.walk.enter(domain, t.text, at)
		matched, fault := e.match(t, domain)
		e.walk.leave(step, outcomeOf(matched), fault)
		if fault != nil {
			return evalResult{}, fault
		}
		if matched {
			return evalResult{status: t.result, matched: true, exp: rec.exp.text, domain: domain}, nil
		}
	}
	// RFC 7208 section 6.1. An "all" anywhere in the record has matched above, so a
	// redirect beside it is ignored (section 5.1).
	if rec.redirect.text != "" {
		e.stack[at].term = rec.redirect.text
		step := e.walk.enter(domain, rec.redirect.text, at)
		v, ok, fault := e.redirect(&rec.redirect, domain)
		e.walk.leave(step, outcomeOf(ok), fault)
		if ok || fault != nil {
			return v, fault
		}
	}
	e.stack[at].term = ""
	return evalResult{status: Neutral}, nil // RFC 7208 section 4.7
}

// fetch returns the SPF record of a domain, "" if it has none.
func (e *evaluation) fetch(domain dns.Name) (string, *Error) {
	if err := e.ctx.Err(); err != nil {
		return "", tempError(domain, "", ended(err))
	}
	if e.depth == 0 {
		e.queries++ // the term that leads to another record counts its query
	}
	txts, err := e.lookupTXT(domain)
	if err != nil && !dns.IsNone(err) { // RFC 7208 section 4.4
		return "", unknown(domain, "", err)
	}
	record := ""
	for _, txt := range txts {
		if !isRecord(txt) {
			continue // RFC 7208 section 4.5
		}
		if record != "" {
			return "", permError(domain, "", ErrMultipleRecords)
		}
		record = txt
	}
	return record, nil
}

// match evaluates one mechanism, RFC 7208 section 5.
func (e *evaluation) match(t *term, domain dns.Name) (bool, *Error) {
	switch t.kind {
	case kindAll:
		return true, nil
	case kindIP4, kindIP6:
		return t.net.Contains(e.ip), nil
	}
	if fault := e.spend(t, domain); fault != nil {
		return false, fault
	}
	name, ok, fault := e.target(t, domain)
	if fault != nil {
		return false, fault
	}
	if !ok || name.IsZero() && t.kind != kindInclude { // RFC 8616 section 4, RFC 7208 section 4.8
		return false, nil
	}
	switch t.kind {
	case kindInclude:
		return e.include(t, domain, name)
	case kindA:
		return e.matchAddr(t, domain, name)
	case kindMX:
		return e.matchMX(t, domain, name)
	case kindExists:
		// RFC 7208 section 5.7: A records, even for an IPv6 client.
		addrs, err := e.lookupAddr(name, false)
		return len(addrs) > 0, e.answered(t, domain, len(addrs), err)
	}
	return e.matchPTR(t, domain, name)
}

// include evaluates another record, RFC 7208 section 5.2.
func (e *evaluation) include(t *term, domain, name dns.Name) (bool, *Error) {
	at := e.depth
	v, fault := e.follow(t, domain, name)
	if fault != nil || v.status == Pass {
		return fault == nil, fault
	}
	e.depth = at
	return false, nil
}

// redirect replaces this record's result with another's (RFC 7208 section 6.1). ok
// is false if the modifier does not apply.
func (e *evaluation) redirect(t *term, domain dns.Name) (v evalResult, ok bool, fault *Error) {
	if fault := e.spend(t, domain); fault != nil {
		return evalResult{}, false, fault
	}
	name, ok, fault := e.target(t, domain)
	if !ok || fault != nil { // RFC 8616 section 4
		return evalResult{}, false, fault
	}
	v, fault = e.follow(t, domain, name)
	return v, true, fault
}

// follow evaluates the record that a term of domain leads to. A missing record is
// an error (RFC 7208 sections 5.2 and 6.1); so is a target that section 4.3 calls
// malformed.
func (e *evaluation) follow(t *term, domain, name dns.Name) (evalResult, *Error) {
	if name.Labels() < 2 {
		return evalResult{}, permError(domain, t.text, ErrTarget)
	}
	step := e.walk.at
	v, fault := e.checkHost(name)
	e.walk.led(step, v, fault)
	if fault == nil && v.status == None {
		fault = permError(domain, t.text, fmt.Errorf("%w: %q", ErrNoRecord, name))
	}
	return v, fault
}

// matchAddr compares the client with the addresses of a host, RFC 7208 section 5.3.
func (e *evaluation) matchAddr(t *term, domain, host dns.Name) (bool, *Error) {
	addrs, err := e.lookupAddr(host, e.ip.Is6())
	if fault := e.answered(t, domain, len(addrs), err); fault != nil {
		return false, fault
	}
	bits := t.bits4
	if e.ip.Is6() {
		bits = t.bits6
	}
	for _, addr := range addrs {
		if e.ip.Is4() {
			addr = addr.Unmap()
		}
		if netip.PrefixFrom(addr, int(bits)).Contains(e.ip) {
			return true, nil
		}
	}
	return false, nil
}

// matchMX compares the client with the addresses of the MX hosts, RFC 7208
// section 5.4. A name without MX records has none: it is not its own MX.
func (e *evaluation) matchMX(t *term, domain, name dns.Name) (bool, *Error) {
	hosts, err := e.lookupMX(name)
	if fault := e.found(t, domain, err); fault != nil {
		return false, fault
	}
	if len(hosts) > maxMX {
		return false, permError(domain, t.text, ErrMXLimit)
	}
	if fault := e.ask(len(hosts), t, domain); fault != nil {
		return false, fault
	}
	if e.ahead != nil {
		e.ahead.hosts(hosts, e.ip.Is6())
	}
	for _, host := range hosts {
		if host.IsZero() { // the null MX, RFC 7505
			continue
		}
		if matched, fault := e.matchAddr(t, domain, host); matched || fault != nil {
			return matched, fault
		}
	}
	return false, nil
}

// spend counts a term that needs a DNS look-up.
func (e *evaluation) spend(t *term, domain dns.Name) *Error {
	if err := e.ctx.Err(); err != nil {
		return tempError(domain, t.text, ended(err))
	}
	if e.lookups == MaxLookups {
		return permError(domain, t.text, ErrLookupLimit)
	}
	e.lookups++
	e.voided = false
	return e.ask(1, t, domain)
}

// ask counts queries about to be made.
func (e *evaluation) ask(n int, t *term, domain dns.Name) *Error {
	if e.explaining {
		return nil
	}
	if e.queries += n; e.queries > maxQueries {
		return permError(domain, t.text, ErrQueryLimit)
	}
	return nil
}

// answered handles the outcome of an address look-up; see found.
func (e *evaluation) answered(t *term, domain dns.Name, records int, err error) *Error {
	if err == nil && records == 0 {
		err = dns.ErrNoData
	}
	return e.found(t, domain, err)
}

// found handles the outcome of a look-up. A failed one ends the check (RFC 7208
// section 5); a void one is counted (section 4.6.4), except during an explanation.
func (e *evaluation) found(t *term, domain dns.Name, err error) *Error {
	switch {
	case err == nil, e.explaining:
		return nil
	case !dns.IsNone(err):
		return unknown(domain, t.text, err)
	case e.voided: // RFC 7208 section 4.6.4 counts terms
		return nil
	}
	e.voided = true
	if e.voids++; e.voids > MaxVoids {
		return permError(domain, t.text, fmt.Errorf("%w: %w", ErrVoidLimit, err))
	}
	return nil
}

// path returns the domains and terms that led to where the check ended.
func (e *evaluation) path() (domains, terms []string) {
	if e.depth == 0 {
		return nil, nil
	}
	both := make([]string, 0, 2*e.depth)
	for _, s := range e.stack[:e.depth] {
		both = append(both, s.domain.String())
	}
	for _, s := range e.stack[:e.depth] {
		if s.term != "" {
			both = append(both, s.term)
		}
	}
	return both[:e.depth:e.depth], both[e.depth:]
}

func tempError(domain dns.Name, term string, err error) *Error {
	return &Error{Status: TempError, Domain: domain, Term: term, Err: err}
}

func permError(domain dns.Name, term string, err error) *Error {
	return &Error{Status: PermError, Domain: domain, Term: term, Err: err}
}

// unknown ends the check after a failed look-up: the failure is temporary, or the
// message has used up its queries.
func unknown(domain dns.Name, term string, err error) *Error {
	if errors.Is(err, dns.ErrQueryLimit) {
		return permError(domain, term, fmt.Errorf("%w: %w", ErrQueryLimit, err))
	}
	return tempError(domain, term, err)
}

// ended expresses the end of the check's time (RFC 7208 section 4.6.4) as an error
// of package dns.
func ended(err error) error { return fmt.Errorf("%w: %w", dns.ErrTemporary, err) }
