package spf

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"dmarcd/internal/dns"
)

// The reverse zone and the zones of its names are the client's: how slowly they
// answer must not decide on the sender. All look-ups for them in one check take a
// share of the time that is left at the first of them, and no more than a bound of
// our own; RFC 7208 section 4.6.4 wants a time limit for the check as a whole.
const (
	reverseShare   = 5
	maxReverseTime = 2 * time.Second
)

// reverseNames is what the reverse zone says of the client, asked for once in a
// check.
type reverseNames struct {
	asked       bool
	left        time.Duration // for further look-ups
	err         error
	names       []dns.Name // at most maxPTR
	validations [maxPTR]*validation
}

// validation is whether a name of the reverse zone has the client's address.
type validation struct {
	used  bool          // by the evaluation
	done  chan struct{} // closed once what follows is set
	void  bool          // the name has no address at all
	valid bool
	err   error // why nothing is known
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

// validatedName is the value of %{p}: of the validated names the current domain,
// or else one below it, or else any (RFC 7208 section 7.3).
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

// reverse finds the first names that the reverse zone has for the client; none
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

// reverseTime is the context of look-ups in the client's zones. What passes until
// stop is taken off the time for them.
func (e *evaluation) reverseTime() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithTimeout(e.ctx, e.names.left)
	start := time.Now()
	return ctx, func() {
		cancel()
		e.names.left -= time.Since(start)
	}
}

// firstValid gives the first of the names wanted that has the client's address;
// the zero Name if none has. All are asked for at once, and no look-up goes on
// when it returns.
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
		default: // RFC 7208 section 5.5: one whose addresses cannot be had is skipped
			if fault := e.skip(t, domain, v.err); fault != nil {
				return dns.Name{}, fault
			}
		}
	}
	return dns.Name{}, nil
}

// fresh gives the names wanted, by their places, that have not been validated.
func (e *evaluation) fresh(wanted func(dns.Name) bool) []int {
	var fresh []int
	for i, n := range e.names.names {
		if e.names.validations[i] == nil && wanted(n) {
			fresh = append(fresh, i)
		}
	}
	return fresh
}

// validate asks for the addresses of fresh names. The function it gives ends what is
// under way and waits for it.
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
				r.validations[i] = nil // broken off; a later term may ask again
			}
		}
	}
}

// ask looks whether name has the address ip.
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

// skip takes the outcome of a look-up whose failure does not end the check; the
// end of the check's time does.
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
