package message

import (
	"errors"
	"fmt"

	"dmarcd/internal/dns"
)

// Limits on a From field. Ordinary fields use a tenth of this; nobody can trust a longer
// one.
const (
	maxFromLen       = 16 << 10 // octets of all From fields together
	maxAuthorDomains = 16       // distinct domains; RFC 9989 section 11.5 wants a limit
	maxCommentDepth  = 64       // comments within comments, RFC 5322 section 3.2.2
)

// Why a message has no single author domain (RFC 9989 section 5.3.1).
var (
	// ErrNoFrom: there is no From field.
	ErrNoFrom = errors.New("message: no From field")
	// ErrNoAddress: the From field has no address.
	ErrNoAddress = errors.New("message: no address in the From field")
	// ErrSeveralFields: there is more than one From field, of whatever domains
	// (RFC 5322 section 3.6). What a signature covers and what a reader shows differ.
	ErrSeveralFields = errors.New("message: several From fields")
	// ErrSeveralAddresses: the From field names several domains, or breaks RFC 5322 and
	// has several addresses or text that a reader could take for another one.
	ErrSeveralAddresses = errors.New("message: several addresses in the From field")
	// ErrBadFrom: the From field cannot be read with certainty, or names no domain.
	ErrBadFrom = errors.New("message: the From field cannot be read")
)

// Author is the author of a message, as far as DMARC needs it.
type Author struct {
	Domain dns.Name // the single author domain; zero exactly when Err is set
	// Domains are the distinct author domains in their order. They are complete or nil: a
	// From that is partly unreadable, cut or beyond a limit could name any domain.
	Domains []dns.Name
	Local   string // local part of the first address as written, for logs; "" if Err is set
	Fields  int    // From fields in the header, those cut not counted
	Err     error  // wraps one of the errors above; nil when there is a single domain
}

// ParseAuthor reads the addresses of the From field (RFC 5322 section 3.6.2,
// RFC 6854 for groups, RFC 6532 for UTF-8) and gives their domain as A-labels.
//
// A verdict about one domain is worthless if the reader is shown another. So a field is
// read in one of two ways:
//
//   - By the grammar, where it obeys RFC 5322 from end to end, obsolete forms
//     included. A domain counts only where the grammar puts one, never in a phrase,
//     comment, quoted string or route. There may be several addresses if their
//     domain is one.
//   - By its one clear address, where it does not: software disagrees about such a field,
//     so it must be unambiguous. It has exactly one address in angle brackets, or exactly
//     one bare address, and nothing else that a reader could take for an address of
//     another domain, in whatever encoding.
//
// More than one field has no single author, whatever they name.
func ParseAuthor(h *Header) Author {
	var a Author
	var bad error
	size, complete := 0, true
	for i := range h.Fields {
		f := &h.Fields[i]
		if len(f.Name) != len("from") || !f.Is("from") {
			continue
		}
		a.Fields++
		v := f.Value()
		if size += len(v); size > maxFromLen {
			bad, complete = fmt.Errorf("%w: over %d octets", ErrBadFrom, maxFromLen), false
		}
		if complete {
			bad, complete = a.read(trimEnd(v))
		}
	}
	switch cut := h.CutNames["from"]; {
	case a.Fields+cut > 1:
		bad, complete = ErrSeveralFields, complete && cut == 0
	case cut > 0:
		bad, complete = fmt.Errorf("%w: beyond the limit of the header", ErrBadFrom), false
	case a.Fields == 0:
		bad = ErrNoFrom
	case bad == nil && len(a.Domains) > 1:
		bad = ErrSeveralAddresses
	}
	if a.Err = bad; bad == nil {
		a.Domain = a.Domains[0]
		return a
	}
	a.Local = ""
	if !complete {
		a.Domains = nil
	}
	return a
}

// read adds the domains of one field, and reports whether a reader could find no others
// in it.
func (a *Author) read(value []byte) (err error, complete bool) {
	known, local := len(a.Domains), a.Local
	p := addressParser{s: value, author: a}
	if err := p.list(); err == nil && p.found > 0 {
		return nil, true
	}
	a.Domains, a.Local = a.Domains[:known], local
	return a.readMalformed(value)
}

// trimEnd takes the line end off a field value.
func trimEnd(v []byte) []byte {
	if n := len(v); n > 0 && v[n-1] == '\n' {
		v = v[:n-1]
		if n > 1 && v[n-2] == '\r' {
			v = v[:n-2]
		}
	}
	return v
}

// add counts one address.
func (a *Author) add(domain, local []byte) error {
	n, err := dns.Parse(string(domain))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadFrom, err)
	}
	for _, d := range a.Domains {
		if d == n {
			return nil
		}
	}
	if len(a.Domains) == maxAuthorDomains {
		return fmt.Errorf("%w: over %d", ErrSeveralAddresses, maxAuthorDomains)
	}
	if len(a.Domains) == 0 {
		a.Local = string(local)
	}
	a.Domains = append(a.Domains, n)
	return nil
}
