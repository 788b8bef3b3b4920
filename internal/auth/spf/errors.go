package spf

import (
	"errors"
	"strconv"
	"strings"

	"dmarcd/internal/dns"
)

// Reasons for a PermError. Test with errors.Is. A TempError wraps the resolver's
// error, usually dns.ErrTemporary.
var (
	// ErrSyntax: the record breaks the grammar (RFC 7208 section 12).
	ErrSyntax = errors.New("spf: syntax error")
	// ErrRecordSize: the record is larger than this package reads.
	ErrRecordSize = errors.New("spf: record too large")
	// ErrMultipleRecords: the domain publishes several records (section 4.5).
	ErrMultipleRecords = errors.New("spf: more than one record")
	// ErrNoRecord: an include or redirect leads to no record (sections 5.2, 6.1).
	ErrNoRecord = errors.New("spf: target has no record")
	// ErrTarget: the target of an include or redirect is not a domain name.
	ErrTarget = errors.New("spf: target is no domain name")
	// ErrLookupLimit: more than ten terms that look something up (section 4.6.4).
	ErrLookupLimit = errors.New("spf: more than 10 terms with DNS look-ups")
	// ErrVoidLimit: more than two terms whose look-ups found nothing (section 4.6.4).
	ErrVoidLimit = errors.New("spf: more than 2 void look-ups")
	// ErrMXLimit: an mx mechanism with more than ten hosts (section 4.6.4).
	ErrMXLimit = errors.New("spf: more than 10 MX hosts")
	// ErrQueryLimit: more DNS queries than this package allows one check.
	ErrQueryLimit = errors.New("spf: too many DNS queries")
)

// Error tells where a check ended in TempError or PermError, and why.
type Error struct {
	Status Status   // TempError or PermError
	Domain dns.Name // whose record was looked up or evaluated
	Term   string   // the term at fault, as written; "" for the record as a whole
	Err    error    // the reason
}

// Error names the record, the term and the reason. It quotes the term, which is
// the owner's text, and cuts it at 80 octets.
func (e *Error) Error() string {
	s := "spf: " + strconv.QuoteToASCII(e.Domain.String())
	if e.Term != "" {
		s += ": " + strconv.QuoteToASCII(cut(e.Term))
	}
	return s + ": " + strings.TrimPrefix(e.Err.Error(), "spf: ")
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// cut limits how much of an owner's text our messages contain.
func cut(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
