// Package errkind says what an error means to the person who asked: that there is no
// such thing, that the question makes no sense, that the program is used or
// configured wrongly, that something is in trouble, or that it is not allowed. A
// command turns the kind into its exit code, HTTP into a status. Errors keep their
// text and their cause; the kind is laid around them where it is known.
package errkind

import (
	"errors"
	"fmt"
)

// Kind is what an error means. Its words are those of the admin socket and of the
// JSON API.
type Kind string

// Kinds of errors.
const (
	NotFound   Kind = "not_found"   // there is no such thing: the answer is no
	BadRequest Kind = "request"     // what was asked makes no sense
	WrongUse   Kind = "wrong_use"   // wrong flags, or a fault of the configuration
	NotAllowed Kind = "not_allowed" // not for this viewer
	Trouble    Kind = "trouble"     // it could not be done, now at least: DNS, store, network, disk
)

// Error is an error with its kind.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the error without its kind.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of that kind, for a variable that others wrap.
func New(kind Kind, text string) error { return &Error{Kind: kind, Err: errors.New(text)} }

// Errorf makes an error of that kind; %w wraps as in fmt.Errorf.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err its kind; nil stays nil. The outermost kind counts.
func Wrap(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Err: err}
}

// Of is the kind of err: Trouble for one that has none.
func Of(err error) Kind {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return Trouble
}
