package spf

import (
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
)

// reverseNames is what the reverse zone says of the client, asked for once in a
// check.
type reverseNames struct {
	asked bool
	err   error
	names []dns.Name // at most maxPTR
	state [maxPTR]nameState
}

// nameState is whether a name of the reverse zone has the client's address.
type nameState uint8

const (
	unasked nameState = iota
	valid
	invalid
	void // the name has no address at all
)

// matchPTR looks for a validated name of the client at or below the target, RFC
// 7208 section 5.5. Names elsewhere need no validation.
func (e *evaluation) matchPTR(t *term, domain, target dns.Name) (bool, *Error) {
	names, fault := e.reverse(t, domain)
	if fault != nil {
		return false, fault
	}
	for i, n := range names {
		if n != target && !n.IsBelow(target) {
			continue
		}
		if ok, fault := e.validate(i, t, domain); ok || fault != nil {
			return ok, fault
		}
	}
	return false, nil
}

// validatedName is the value of %{p}: of the validated names the current domain,
// or else one below it, or else any (RFC 7208 section 7.3).
func (e *evaluation) validatedName(t *term, domain dns.Name) (string, *Error) {
	if !e.names.asked && !e.explaining { // RFC 7208 section 4.6.4 counts the PTR look-up of %{p}
		if fault := e.spend(t, domain); fault != nil {
			return "", fault
		}
	}
	names, fault := e.reverse(t, domain)
	if fault != nil {
		return "", fault
	}
	for _, wanted := range []func(dns.Name) bool{
		func(n dns.Name) bool { return n == domain },
		func(n dns.Name) bool { return n.IsBelow(domain) },
		func(n dns.Name) bool { return n != domain && !n.IsBelow(domain) },
	} {
		for i, n := range names {
			if !wanted(n) {
				continue
			}
			ok, fault := e.validate(i, t, domain)
			if fault != nil {
				return "", fault
			}
			if ok {
				return n.String(), nil
			}
		}
	}
	return "unknown", nil
}

// reverse gives the first names that the reverse zone has for the client; none
// after an error (RFC 7208 sections 5.5 and 7.3).
func (e *evaluation) reverse(t *term, domain dns.Name) ([]dns.Name, *Error) {
	r := &e.names
	if !r.asked {
		r.asked = true
		r.names, r.err = e.lookupPTR()
		r.names = r.names[:min(len(r.names), maxPTR)] // RFC 7208 section 4.6.4: the others are ignored
		if r.err == nil && len(r.names) == 0 {
			r.err = dns.ErrNoData
		}
	}
	return r.names, e.skip(t, domain, r.err)
}

// validate reports whether a name has the client's address. One whose addresses
// cannot be had is skipped (RFC 7208 section 5.5).
func (e *evaluation) validate(i int, t *term, domain dns.Name) (bool, *Error) {
	state := &e.names.state[i]
	if *state == unasked {
		addrs, err := e.lookupAddr(e.names.names[i], e.ip.Is6())
		switch {
		case err == nil && len(addrs) == 0, dns.IsNone(err):
			*state = void
		case err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == e.ip }):
			*state = valid
		default:
			*state = invalid
			if fault := e.skip(t, domain, err); fault != nil {
				return false, fault
			}
		}
	}
	if *state == void {
		return false, e.found(t, domain, dns.ErrNoData)
	}
	return *state == valid, nil
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
	return nil
}
