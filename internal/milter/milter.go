// Package milter carries mail between an MTA and a filter: the server side of
// the milter protocol, its sockets, and a client that plays the MTA.
//
// A Server runs a Session for each connection of an MTA. It defines what the protocol
// leaves open: malformed or out-of-order packets end the connection, a panic costs one
// message, every wait is bounded, and an MTA that cannot carry out a verdict is refused.
// The protocol has no standard; Sendmail's libmilter and Postfix are the references.
// Submit uses the client of emersion/go-milter, whose server this one replaces.
//
// # Divergences
//
//   - Every string must end in NUL, and connect must come before MAIL: libmilter
//     takes a connection without it, but its client would count as local.
//   - An address that cannot be parsed counts as an unknown client, like a missing one.
//   - In header values a CR that ends no line and an LF that folds nothing become a
//     space. Sendmail sends the latter where it takes a bare LF for a fold.
//   - A HELO or connect within a transaction aborts the transaction.
//   - No progress packets are sent: an answer takes less time than MTAs wait.
//   - The context of a Session does not end when the MTA gives up waiting for an answer:
//     the connection is not read meanwhile.
package milter

import (
	"context"
	"net/netip"
)

// Session receives the events of one MTA connection. All calls come in order from one
// goroutine. Slices handed over are valid during the call only. One connection carries
// many messages: Connect and Helo hold until the next Connect or Helo, even if messages
// are refused, aborted or answered in between.
type Session interface {
	Connect(Connect)
	Helo(name string)
	// Mail begins a transaction. A transaction ends with EndOfMessage or Abort.
	Mail(Mail)
	// Rcpt adds one recipient. The Reply is sent only if Config.RcptReplies said so at
	// negotiation; otherwise it must be zero. A recipient answered with a Reply is
	// refused and the transaction goes on.
	Rcpt(Rcpt) Reply
	// Header adds one field. Value is the text after the colon, leading space and folds
	// kept, folds as CRLF, without the last CRLF.
	Header(name string, value []byte)
	EndOfHeader()
	// Body hands over part of the body, line ends as received. It returns false when
	// nothing more of the body is needed; the MTA is then told to skip the rest.
	Body(chunk []byte) (more bool)
	// EndOfMessage asks for the answer. ctx ends with the connection. QueueID is the last
	// value of the macro i.
	EndOfMessage(ctx context.Context, queueID string) Response
	// Abort ends the transaction without an answer; it is also called when the connection
	// breaks or a new Mail arrives within a transaction.
	Abort()
	// Close is the last call, made once.
	Close()
}

// Connect is the MTA's description of the SMTP client.
type Connect struct {
	Host        string     // the client's name as the MTA has it
	Addr        netip.Addr // unmapped, without zone; zero for a local or unknown client
	Daemon      string     // macro {daemon_name}
	MTA         string     // macro j: the MTA's own name
	MTAVersion  string     // macro v
	RcptReplies bool       // whether recipients of this connection can be refused
}

// Mail is the start of a transaction.
type Mail struct {
	From     string // the path as sent, with its angle brackets
	AuthUser string // macro {auth_authen}; "" for a client that did not log in
	QueueID  string // macro i if known by now
	Test     bool   // macro {dmarcd_test}, which only the maker of the milter connection can set: not real mail
}

// Rcpt is one recipient.
type Rcpt struct {
	To     string // the path as sent, with its angle brackets
	Mailer string // macro {rcpt_mailer}; "error" means that the MTA itself refused it
	// Addr is the macro {rcpt_addr}: the address to which the MTA will send the mail, by
	// its own parsing of the path; "" if not known.
	Addr string
}

// Reply is an SMTP answer other than success. The zero Reply is success.
type Reply struct {
	Code     int    // 400 to 599
	Enhanced string // such as "5.7.1"; "" for none (RFC 3463)
	Text     string // one line; characters that SMTP forbids are replaced when sent
}

// IsZero reports whether r means success.
func (r Reply) IsZero() bool { return r == Reply{} }

// EditKind is what an Edit does.
type EditKind int

// Kinds of Edit.
const (
	DeleteHeader EditKind = iota + 1 // the Index-th field called Name, counted from 1 at the top
	InsertHeader                     // at the very top of the message
	AddHeader                        // at the end of the header
	ChangeHeader                     // the Index-th field called Name gets Value
	AddRcpt                          // Name is the address with angle brackets
	DeleteRcpt
)

// Edit is one change of the message. Edits are carried out in order.
type Edit struct {
	Kind  EditKind
	Name  string
	Index int
	Value string // without the final CRLF; folds as CRLF and a blank
}

// Response is the answer at end of message: edits, and what happens to the mail. The zero
// Response lets it pass unchanged. With a Reply or Discard the edits are not sent.
type Response struct {
	Edits      []Edit
	Quarantine string // reason for the hold queue; "" for none
	Reply      Reply
	Discard    bool
}
