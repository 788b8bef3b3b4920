package spf

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"dmarcd/internal/dns"
)

// The client controls the reverse zone and the zones of its names, so slow answers
// from them must not decide the result. All look-ups for them in one check share a
// fraction of the time left at the first of them, up to a bound of our own; RFC
// 7208 section 4.6.4 wants a time limit for the check as a whole.
const (
	reverseShare   = 5
	maxReverseTime = 2 * time.Second
)

// reverseNames holds the client's names from the reverse zone, looked up once per
// check.
type reverseNames struct {
	asked       bool
	left        time.Duration // for further look-ups
	err         error
	names       []dns.Name // at most maxPTR
	validations [maxPTR]*validation
}

// validation is the check that a name of the reverse zone has the client's address.
type validation struct {
	used  bool          // by the evaluation
	done  chan struct{} // closed once the fields below are set
	void  bool          // the name has no address
	valid bool
	err   error // why the answer is unknown
}

// matchPTR looks for a validated name of the client at or below the target, RFC
// 7208 section 5.5. Names elsewhere need no validation.
func (e *evaluation) matchPTR(t *term, domain, target dns.Name) (bool, *Error) {
	if fault := e.reverse(t, domain); fault != nil {
		return false, fault
	}
	name, fault := e.firstValid(t, domain, func(n dns.Name) bool { return n == target || n.IsBelow(target) })
	return !name.IsZero(), fault
}

// validatedName is the value of %{p}: among the validated names the current
// domain, otherwise a name below it, otherwise any (RFC 7208 section 7.3).
func (e *evaluation) validatedName(t *term, domain dns.Name) (string, *Error) {
	if !e.names.asked && !e.explaining { // RFC 7208 section 4.6.4 counts the PTR look-up of %{p}
		if fault := e.spend(t, domain); fault != nil {
			return "", fault
		}
	}
	if fault := e.reverse(t, domain); fault != nil {
		return "", fault
	}
	for _, wanted := range []func(dns.Name) bool{
		func(n dns.Name) bool { return n == domain },
		func(n dns.Name) bool { return n.IsBelow(domain) },
		func(n dns.Name) bool { return n != domain && !n.IsBelow(domain) },
	} {
		name, fault := e.firstValid(t, domain, wanted)
		if fault != nil {
			return "", fault
		}
		if !name.IsZero() {
			return name.String(), nil
		}
	}
	return "unknown", nil
}

// reverse looks up the client's first names in the reverse zone; there are none
// after an error (RFC 7208 sections 5.5 and 7.3).
func (e *evaluation) reverse(t *term, domain dns.Name) *Error {
	r := &e.names
	if !r.asked {
		r.asked, r.left = true, maxReverseTime
		if end, ok := e.ctx.Deadline(); ok {
			r.left = min(r.left, time.Until(end)/reverseShare)
		}
		ctx, stop := e.reverseTime()
		r.names, r.err = e.lookupPTR(ctx)
		stop()
		r.names = r.names[:min(len(r.names), maxPTR)] // RFC 7208 section 4.6.4: the others are ignored
		if r.err == nil && len(r.names) == 0 {
			r.err = dns.ErrNoData
		}
	}
	return e.skip(t, domain, r.err)
}

// reverseTime returns the context for look-ups in the client's zones. The time
// until stop is called is deducted from their budget.
func (e *evaluation) reverseTime() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithTimeout(e.ctx, e.names.left)
	start := time.Now()
	return ctx, func() {
		cancel()
		e.names.left -= time.Since(start)
	}
}

// firstValid returns the first wanted name that has the client's address; the zero
// Name if none has. It asks for all at once and leaves no look-up running.
func (e *evaluation) firstValid(t *term, domain dns.Name, wanted func(dns.Name) bool) (dns.Name, *Error) {
	fresh := e.fresh(wanted)
	if fault := e.ask(len(fresh), t, domain); fault != nil {
		return dns.Name{}, fault
	}
	defer e.validate(fresh)()
	for i, n := range e.names.names {
		if !wanted(n) {
			continue
		}
		v := e.names.validations[i]
		v.used = true
		<-v.done
		switch {
		case v.valid:
			return n, nil
		case v.void:
			if fault := e.found(t, domain, dns.ErrNoData); fault != nil {
				return dns.Name{}, fault
			}
		default: // RFC 7208 section 5.5: a name whose look-up fails is skipped
			if fault := e.skip(t, domain, v.err); fault != nil {
				return dns.Name{}, fault
			}
		}
	}
	return dns.Name{}, nil
}

// fresh returns the indexes of the wanted names that have not been validated.
func (e *evaluation) fresh(wanted func(dns.Name) bool) []int {
	var fresh []int
	for i, n := range e.names.names {
		if e.names.validations[i] == nil && wanted(n) {
			fresh = append(fresh, i)
		}
	}
	return fresh
}

// validate asks for the addresses of fresh names. The returned function cancels
// pending look-ups and waits for them.
func (e *evaluation) validate(fresh []int) (stop func()) {
	r := &e.names
	if fresh == nil {
		return func() {}
	}
	ctx, spent := e.reverseTime()
	for _, i := range fresh {
		v := &validation{done: make(chan struct{})}
		r.validations[i] = v
		go func() {
			defer close(v.done)
			v.ask(ctx, e.checker.Resolver, r.names[i], e.ip)
		}()
	}
	return func() {
		spent()
		for _, i := range fresh {
			v := r.validations[i]
			if <-v.done; v.err != nil && !v.used {
				r.validations[i] = nil // cancelled; a later term may ask again
			}
		}
	}
}

// ask looks up whether name has the address ip.
func (v *validation) ask(ctx context.Context, r Resolver, name dns.Name, ip netip.Addr) {
	addrs, err := r.LookupAddr(ctx, name, ip.Is6())
	switch {
	case err == nil && len(addrs) == 0, dns.IsNone(err):
		v.void = true
	case err != nil:
		v.err = err
	default:
		v.valid = slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == ip })
	}
}

// skip handles a failed look-up that does not end the check; the end of the
// check's time does end it.
func (e *evaluation) skip(t *term, domain dns.Name, err error) *Error {
	if err == nil || dns.IsNone(err) || e.explaining {
		return e.found(t, domain, err)
	}
	if ctxErr := e.ctx.Err(); ctxErr != nil {
		return tempError(domain, t.text, ended(ctxErr))
	}
	if errors.Is(err, dns.ErrQueryLimit) {
		return unknown(domain, t.text, err)
	}
	return nil
}
