// Package admin is the socket by which commands reach the running daemon: HTTP over
// a unix socket in its state directory. It carries the operations of package api. Who
// may open the socket may ask everything; there is no other login.
//
// Each request and answer names the protocol's version in the header field
// Dmarcd-Protocol and the program's own in Dmarcd-Version; a server refuses another
// protocol with a line that people understand, and so does a client. An answer has in
// Dmarcd-Source where the daemon's configuration comes from.
//
//	GET  /hello
//	POST /call/NAME      an operation with one answer: JSON to JSON
//	POST /stream/NAME    an operation that streams: JSON to frames
//
// A frame is one octet for the kind, the length of the payload as a varint, and the
// payload.
//
//	J   a value as JSON
//	B   a value in its own encoding (encoding.BinaryAppender)
//	.   nothing: the server is still at work
//	E   the end, after which nothing follows: the number of values as a varint
//	X   the end by an error, as JSON
//
// A stream without E or X was cut off, which is an error for the reader. An error
// that is not in a stream is the same JSON with a status of 400 or more.
package admin

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// Protocol is the version of what is spoken on the socket.
const Protocol = 2

// SocketName is the name of the socket in the state directory.
const SocketName = "admin.sock"

// SocketPath is the socket of the daemon with that state directory.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, SocketName) }

// Errors of a Client. Test with errors.Is.
var (
	// ErrNoDaemon: nobody listens on the socket.
	ErrNoDaemon = errkind.New(errkind.Trouble, "no daemon is running")
	// ErrNotAllowed: the socket is there, but not for this user.
	ErrNotAllowed = errkind.New(errkind.WrongUse, "not allowed to ask the daemon")
	// ErrProtocol: the daemon is of a version that this program does not understand.
	ErrProtocol = errors.New("the daemon speaks another version of the admin protocol")
	// ErrBusy: the daemon answers as many commands as it may.
	ErrBusy = errors.New("the daemon is busy")
	// ErrCut: the daemon's answer ended before its end.
	ErrCut = errors.New("the daemon's answer was cut off")
)

// Kinds of errors of the socket itself, beside those of errkind.
const (
	kindBusy     errkind.Kind = "busy"     // too many clients at once
	kindProtocol errkind.Kind = "protocol" // another version of the protocol
)

// wireError is an error as it is told to a client.
type wireError struct {
	Kind errkind.Kind `json:"kind"`
	Text string       `json:"error"`
}

func newWireError(err error) wireError {
	return wireError{Kind: errkind.Of(err), Text: text.Error(err)}
}

// status is that of an answer of HTTP.
func (e wireError) status() int {
	switch e.Kind {
	case errkind.BadRequest, errkind.WrongUse:
		return http.StatusBadRequest
	case errkind.NotFound:
		return http.StatusNotFound
	case errkind.NotAllowed:
		return http.StatusForbidden
	case kindBusy:
		return http.StatusServiceUnavailable
	case kindProtocol:
		return http.StatusUpgradeRequired
	}
	return http.StatusInternalServerError
}

// answered is an error that the daemon answered: its text is the daemon's.
type answered struct {
	text  string
	cause error
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.cause }

// error is the error that a client gives for it.
func (e wireError) error() error {
	switch e.Kind {
	case kindBusy:
		return &answered{text: e.Text, cause: ErrBusy}
	case kindProtocol:
		return &answered{text: e.Text, cause: ErrProtocol}
	}
	return &errkind.Error{Kind: e.Kind, Err: errors.New(e.Text)}
}

// Names of header fields.
const (
	fieldProtocol = "Dmarcd-Protocol"
	fieldVersion  = "Dmarcd-Version"
	fieldSource   = "Dmarcd-Source"
)

// disagree is the line for two versions that do not understand each other.
func disagree(daemon, command string) error {
	return errkind.Errorf(kindProtocol, "the running daemon is dmarcd %s and this command is dmarcd %s, which do not understand each other; "+
		"restart the daemon, or use the dmarcd it was started from", orUnknown(daemon), orUnknown(command))
}

func orUnknown(version string) string {
	if version == "" {
		return "(unknown version)"
	}
	return fmt.Sprintf("%q", version)
}
