// Package admin is the door by which commands reach the running daemon: HTTP over
// a unix socket in its state directory. Who may open the socket may ask everything;
// there is no other login.
//
// Each request and answer names the protocol's version in the header field
// Dmarcd-Protocol and the program's own in Dmarcd-Version; a server refuses another
// protocol with a line that people understand, and so does a client.
//
//	GET  /hello
//	GET  /find?id=ID                    a stream of records, newest first
//	GET  /records?since=T&until=T       a stream of records, oldest first
//	GET  /count?since=T&until=T         {"count": N}
//	POST /call/NAME                     JSON to JSON
//
// A time is in Unix microseconds. A stream is a row of frames: one octet for the
// kind, the length of the payload as a varint, and the payload.
//
//	R   a record in the encoding of package memory
//	.   nothing: the server is still at work
//	E   the end, after which nothing follows: the number of records as a varint
//	X   the end by an error, as JSON
//
// A stream without E or X was cut off, which is an error for the reader. An error
// that is not in a stream is the same JSON with a status of 400 or more.
package admin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"dmarcd/internal/memory"
)

// Protocol is the version of what is spoken on the socket.
const Protocol = 1

// SocketName is the name of the socket in the state directory.
const SocketName = "admin.sock"

// SocketPath is the socket of the daemon with that state directory.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, SocketName) }

// MaxFound bounds the records that Find gives.
const MaxFound = 1000

// Memory is what is remembered of mail. Client is one, over the socket; the daemon
// gives Server one.
type Memory interface {
	// Find gives the records whose queue id or message-id (without its brackets) is
	// id, newest first, at most MaxFound; none is no error.
	Find(ctx context.Context, id string) ([]*memory.Record, error)
	// Records gives the records from since until before until, oldest first and
	// without their traces; a zero time is no bound. It ends with the first error of
	// yield, and returns that.
	Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error
	// Count says how many records Records would give, as nearly as is known quickly.
	Count(ctx context.Context, since, until time.Time) (int64, error)
}

// Errors of a Client. Test with errors.Is.
var (
	// ErrNoDaemon: nobody listens on the socket.
	ErrNoDaemon = errors.New("no daemon is running")
	// ErrNotAllowed: the socket is there, but not for this user.
	ErrNotAllowed = errors.New("not allowed to ask the daemon")
	// ErrProtocol: the daemon is of a version that this program does not understand.
	ErrProtocol = errors.New("the daemon speaks another version of the admin protocol")
	// ErrCut: the daemon's answer ended before its end.
	ErrCut = errors.New("the daemon's answer was cut off")
)

// Kind says what an error of the daemon means to a command.
type Kind string

// Kinds of errors.
const (
	KindRequest  Kind = "request"   // what was asked makes no sense
	KindNotFound Kind = "not_found" // there is no such thing
	KindBusy     Kind = "busy"      // too many clients at once
	KindProtocol Kind = "protocol"  // another version of the protocol
	KindTrouble  Kind = "trouble"   // the daemon could not do it, now at least
)

// Error is an error that the daemon answered. A Handler returns one to say what
// kind of error it is; other errors are KindTrouble.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"error"`
}

func (e *Error) Error() string { return e.Text }

// Is makes a refusal of the protocol's version ErrProtocol.
func (e *Error) Is(target error) bool { return target == ErrProtocol && e.Kind == KindProtocol }

// Errorf makes an Error.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// asError is the error as it is told to a client.
func asError(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return &Error{Kind: KindTrouble, Text: err.Error()}
}

// Names of header fields.
const (
	fieldProtocol = "Dmarcd-Protocol"
	fieldVersion  = "Dmarcd-Version"
)

// disagree is the line for two versions that do not understand each other.
func disagree(daemon, command string) string {
	return fmt.Sprintf("the running daemon is dmarcd %s and this command is dmarcd %s, which do not understand each other; "+
		"restart the daemon, or use the dmarcd it was started from", orUnknown(daemon), orUnknown(command))
}

func orUnknown(version string) string {
	if version == "" {
		return "(unknown version)"
	}
	return fmt.Sprintf("%q", version)
}
