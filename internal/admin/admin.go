// Package admin is the socket through which commands reach the running daemon: HTTP over a
// unix socket in its state directory. It carries the operations of package api. Anyone who
// may open the socket may ask everything; there is no other login.
//
// Each request and answer has the protocol's version in the header field Dmarcd-Protocol and
// the program's in Dmarcd-Version. Server and client refuse another protocol with a readable
// message. Dmarcd-Source of an answer states where the daemon's configuration comes from.
//
//	GET  /hello
//	POST /call/NAME      an operation with one answer: JSON to JSON
//	POST /stream/NAME    an operation that streams: JSON to frames
//
// A frame is one octet for the kind, the length of the payload as a varint, and the payload.
//
//	J   a value as JSON
//	B   a value in its own encoding (encoding.BinaryAppender)
//	.   nothing: the server is still working
//	E   the end, after which nothing follows: the number of values as a varint
//	X   the end by an error, as JSON
//
// A stream without E or X is truncated, which is an error for the reader. An error outside a
// stream is the same JSON with a status of 400 or more.
package admin

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// Protocol is the version of the socket's protocol.
const Protocol = 2

// SocketName is the name of the socket in the state directory.
const SocketName = "admin.sock"

// SocketPath returns the path of the daemon's socket for that state directory.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, SocketName) }

// Errors of a Client. Test with errors.Is.
var (
	// ErrNoDaemon: nobody listens on the socket.
	ErrNoDaemon = errkind.New(errkind.Trouble, "no daemon is running")
	// ErrNotAllowed: the socket exists, but this user may not use it.
	ErrNotAllowed = errkind.New(errkind.WrongUse, "not allowed to ask the daemon")
	// ErrProtocol: the daemon has a version that this program does not support.
	ErrProtocol = errors.New("the daemon speaks another version of the admin protocol")
	// ErrBusy: the daemon has reached its limit of commands.
	ErrBusy = errors.New("the daemon is busy")
	// ErrCut: the daemon's answer is truncated.
	ErrCut = errors.New("the daemon's answer was cut off")
)

// Error kinds of the socket itself, in addition to those of errkind.
const (
	kindBusy     errkind.Kind = "busy"     // too many clients at once
	kindProtocol errkind.Kind = "protocol" // another version of the protocol
)

// wireError is an error as sent to a client.
type wireError struct {
	Kind errkind.Kind `json:"kind"`
	Text string       `json:"error"`
}

func newWireError(err error) wireError {
	return wireError{Kind: errkind.Of(err), Text: text.Error(err)}
}

// status returns the HTTP status of the answer.
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

// answered is an error from the daemon, with the daemon's text.
type answered struct {
	text  string
	cause error
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.cause }

// error returns the error for the client's caller.
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

// disagree is the message for two incompatible versions.
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
