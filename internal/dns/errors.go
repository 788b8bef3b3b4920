package dns

import (
	"errors"
	"fmt"
)

// Reasons why a look-up returned no records. Test with errors.Is; a resolver wraps
// them in an *Error.
var (
	// ErrNXDomain: the name does not exist, nor does any name below it (RFC 8020).
	ErrNXDomain = errors.New("dns: no such domain")
	// ErrNoData: the name exists, but has no record of the requested type.
	ErrNoData = errors.New("dns: no record of that type")
	// ErrTemporary: the answer is unknown: SERVFAIL, time-out, an unusable answer, or an
	// exhausted budget of the message. It never means "none".
	ErrTemporary = errors.New("dns: temporary failure")
	// ErrQueryLimit: the message exceeded its limit of names, and this one was not queried.
	// The sender chooses how many there are, so it is neither "none" nor temporary: whatever
	// depends on the answer counts as not passed.
	ErrQueryLimit = errors.New("dns: over the limit of queries of one message")
)

// Error tells which look-up failed and why.
type Error struct {
	Name Name
	Type string // "TXT", "A", …
	Err  error  // wraps one of ErrNXDomain, ErrNoData, ErrTemporary, ErrQueryLimit
	// Alias reports, with an ErrNXDomain, that Name itself exists as an alias whose target
	// does not. An alias that a DNAME synthesizes does not count.
	Alias bool
}

// Error names the look-up and the reason.
func (e *Error) Error() string { return fmt.Sprintf("dns: %s %s: %v", e.Type, e.Name, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// IsNone reports whether err proves that there is no such record: ErrNXDomain or
// ErrNoData.
func IsNone(err error) bool { return errors.Is(err, ErrNXDomain) || errors.Is(err, ErrNoData) }

// Exists reports whether a look-up that ended with err shows that the name exists (RFC
// 8020 section 2): it has records of some type.
func Exists(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok && e.Alias {
		return true
	}
	return err == nil || errors.Is(err, ErrNoData)
}
