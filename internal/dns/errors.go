package dns

import (
	"errors"
	"fmt"
)

// Why a look-up gave no records. Test with errors.Is; a resolver wraps them in
// an *Error.
var (
	// ErrNXDomain: the name does not exist, and nothing below it (RFC 8020).
	ErrNXDomain = errors.New("dns: no such domain")
	// ErrNoData: the name exists, but has no record of the type asked for.
	ErrNoData = errors.New("dns: no record of that type")
	// ErrTemporary: nothing is known: SERVFAIL, time-out, an unusable answer,
	// or the budget of the message spent. Never to be taken as "none".
	ErrTemporary = errors.New("dns: temporary failure")
	// ErrQueryLimit: the message asked for more names than one message may, and this
	// was not asked. Whoever sends chooses how many there are, so it is neither "none"
	// nor temporary: what hangs on the answer counts as not passed.
	ErrQueryLimit = errors.New("dns: over the limit of queries of one message")
)

// Error says which look-up failed and why.
type Error struct {
	Name Name
	Type string // "TXT", "A", …
	Err  error  // wraps one of ErrNXDomain, ErrNoData, ErrTemporary, ErrQueryLimit
	// Alias tells of an ErrNXDomain that Name itself exists: it is an alias, and what
	// it leads to does not. An alias that a DNAME made up does not count.
	Alias bool
}

// Error names the look-up and the reason.
func (e *Error) Error() string { return fmt.Sprintf("dns: %s %s: %v", e.Type, e.Name, e.Err) }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// IsNone reports whether err says for certain that there is no such record:
// ErrNXDomain or ErrNoData.
func IsNone(err error) bool { return errors.Is(err, ErrNXDomain) || errors.Is(err, ErrNoData) }

// Exists reports whether a look-up that ended with err shows that the name exists
// (RFC 8020 section 2): there are records of it, of whatever type.
func Exists(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok && e.Alias {
		return true
	}
	return err == nil || errors.Is(err, ErrNoData)
}
