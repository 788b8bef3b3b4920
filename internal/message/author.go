package message

import (
	"errors"
	"fmt"

	"dmarcd/internal/dns"
)

// Limits of what is read as a From. Ordinary ones take a tenth of this; what
// goes beyond is no From that anyone can trust.
const (
	maxFromLen       = 16 << 10 // octets of all From fields together
	maxAuthorDomains = 16       // distinct ones; RFC 9989 section 11.5 wants a limit
	maxCommentDepth  = 64       // comments within comments, RFC 5322 section 3.2.2
)

// Why a message has no single author domain (RFC 9989 section 5.3.1).
var (
	// ErrNoFrom: there is no From field.
	ErrNoFrom = errors.New("message: no From field")
	// ErrManyFrom: the From fields name several domains, or one of them was
	// beyond a limit of the header, so that nobody knows what it names.
	ErrManyFrom = errors.New("message: several From domains")
	// ErrBadFrom: a From field is not read from end to end, or names no domain.
	ErrBadFrom = errors.New("message: From cannot be read")
)

// Author is whom a message says it is from, as far as DMARC cares.
type Author struct {
	Domain dns.Name // the single author domain; zero exactly when Err is set
	// Domains are the distinct author domains in their order. They are complete
	// or nil: a From of which a part is unreadable, cut or beyond a limit could
	// name any domain.
	Domains []dns.Name
	Local   string // local part of the first address as written, for logs; "" if Err is set
	Fields  int    // From fields in the header, those cut not counted
	Err     error  // wraps ErrNoFrom, ErrManyFrom or ErrBadFrom; nil when there is a single domain
}

// ParseAuthor reads the addresses of all From fields (RFC 5322 section 3.6.2,
// RFC 6854 for groups, RFC 6532 for UTF-8) and gives their domain as A-labels.
//
// A verdict about one domain is worth nothing if the reader is shown another. So
// a domain counts only where the grammar puts one, never in a phrase, comment,
// quoted string, encoded word or route, and a field that cannot be read from end
// to end gives none. What broken software often writes is read where no second
// domain can hide in it:
//
//   - dots and brackets in a phrase ("John Q. Public", "[List] Ann"),
//   - raw 8-bit text in a phrase or local part,
//   - a phrase with a bare comma ("Doe, John <john@example.com>"),
//   - an address as an unquoted phrase ("a@example.com <b@example.org>"): both
//     its domain and that of the true address count, so that such a From has a
//     single domain only if they are the same.
//
// Several fields are read as one list, each with an address at least: RFC 5322
// forbids them, and which of them readers show differs.
func ParseAuthor(h *Header) Author {
	var a Author
	size := 0
	for i := range h.Fields {
		f := &h.Fields[i]
		if len(f.Name) != len("from") || !f.Is("from") {
			continue
		}
		a.Fields++
		v := f.Value()
		if size += len(v); size > maxFromLen && a.Err == nil {
			a.Err = fmt.Errorf("%w: over %d octets", ErrBadFrom, maxFromLen)
		}
		if a.Err == nil {
			a.read(v)
		}
	}
	switch {
	case a.Err != nil:
	case h.CutNames["from"] > 0:
		a.Err = fmt.Errorf("%w: a field beyond the limit of the header", ErrManyFrom)
	case a.Fields == 0:
		a.Err = ErrNoFrom
	case len(a.Domains) == 1:
		a.Domain = a.Domains[0]
		return a
	default:
		a.Err, a.Local = ErrManyFrom, ""
		return a
	}
	a.Domains, a.Local = nil, ""
	return a
}

// read adds the domains of one field value.
func (a *Author) read(value []byte) {
	p := addressParser{s: trimEnd(value), author: a}
	err := p.list()
	if err == nil && p.found == 0 {
		err = fmt.Errorf("%w: no address", ErrBadFrom)
	}
	a.Err = err
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
		return fmt.Errorf("%w: over %d", ErrManyFrom, maxAuthorDomains)
	}
	if len(a.Domains) == 0 {
		a.Local = string(local)
	}
	a.Domains = append(a.Domains, n)
	return nil
}
