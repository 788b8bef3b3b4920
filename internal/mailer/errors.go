package mailer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/text"
)

// Reasons why mail was not handed over, without a reply of the server.
var (
	// ErrMail: the mail cannot be sent, because it is not 7-bit or not lines of CRLF.
	ErrMail = errors.New("mailer: not a mail of 7-bit lines")
	// ErrAddress: an address is not valid in an SMTP command.
	ErrAddress = errors.New("mailer: not an address")
	// ErrRecipients: there are no recipients, or over MaxRecipients.
	ErrRecipients = errors.New("mailer: number of recipients")
	// ErrSize: the mail is larger than the server accepts (RFC 1870).
	ErrSize = errors.New("mailer: larger than the server takes")
	// ErrNoTLS: TLS is required, and the server does not offer it.
	ErrNoTLS = errors.New("mailer: the server does not offer STARTTLS")
	// ErrNoLogin: the server offers no login mechanism that we support.
	ErrNoLogin = errors.New("mailer: the server offers neither AUTH PLAIN nor LOGIN")
	// ErrProtocol: the server does not speak SMTP.
	ErrProtocol = errors.New("mailer: not SMTP")
)

// Stage is the step at which a transaction failed.
type Stage string

// Stages, in order.
const (
	StageMail      Stage = "mail"       // the mail or its addresses, before any connection
	StageConnect   Stage = "connect"    //
	StageGreeting  Stage = "greeting"   // up to the answer to EHLO
	StageStartTLS  Stage = "STARTTLS"   //
	StageHandshake Stage = "TLS"        //
	StageAuth      Stage = "AUTH"       //
	StageMailFrom  Stage = "MAIL FROM"  //
	StageRcpt      Stage = "RCPT TO"    //
	StageData      Stage = "DATA"       // up to the server's reply to DATA
	StageContent   Stage = "after DATA" // the mail itself and the reply to it
)

// Error is the reason why mail was not handed over.
type Error struct {
	Stage    Stage
	Code     int    // of the server's reply; 0 without a reply
	Enhanced string // RFC 3463, such as "5.1.1"; "" if there was none
	Text     string // of the reply: printable ASCII (RFC 5321 section 4.2), cut
	Err      error  // the cause if there was no reply; nil otherwise
}

// Error names the stage and the reason.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("mailer: %s: %v", e.Stage, e.Err)
	}
	words := make([]string, 0, 3)
	for _, w := range []string{fmt.Sprint(e.Code), e.Enhanced, e.Text} {
		if w != "" {
			words = append(words, w)
		}
	}
	return fmt.Sprintf("mailer: %s: the server said %s", e.Stage, strings.Join(words, " "))
}

// Unwrap returns the cause if there was no reply of the server.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same mail may be accepted later. It is false if the mail
// cannot be sent at all, or if the server rejected it permanently (RFC 5321 section
// 4.2.1). Any other failure is that of a server or the network.
func (e *Error) Temporary() bool {
	switch {
	case e.Stage == StageMail || errors.Is(e.Err, ErrSize):
		return false
	case e.Code < 500 || e.Code > 599:
		return true
	}
	switch e.Stage {
	case StageMailFrom, StageRcpt, StageData, StageContent:
		return false
	}
	return true
}

// Reply returns the stage and the server's reply: code 0 without one.
func (e *Error) Reply() (stage string, code int, enhanced string) {
	return string(e.Stage), e.Code, e.Enhanced
}

// TooLarge reports whether the server announced that it accepts no mail of that size (RFC
// 1870).
func (e *Error) TooLarge() bool { return errors.Is(e.Err, ErrSize) }

// Refusal is one recipient who does not receive the mail.
type Refusal struct {
	To    string
	Error *Error
}

// RecipientsError lists the recipients who do not receive the mail. All others do.
type RecipientsError struct {
	Refused []Refusal // at least one, in the order given to Send
}

// Error states how many were refused, and why the first was.
func (e *RecipientsError) Error() string {
	text := fmt.Sprintf("%v (for %s)", e.Refused[0].Error, e.Refused[0].To)
	if more := len(e.Refused) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// Unwrap returns the reasons, one for each recipient.
func (e *RecipientsError) Unwrap() []error {
	errs := make([]error, len(e.Refused))
	for i := range e.Refused {
		errs[i] = e.Refused[i].Error
	}
	return errs
}

// Temporary reports whether Retry lists any recipient.
func (e *RecipientsError) Temporary() bool { return len(e.Retry()) > 0 }

// Retry lists the recipients for whom the same mail may be accepted later.
func (e *RecipientsError) Retry() []string {
	var to []string
	for _, r := range e.Refused {
		if r.Error.Temporary() {
			to = append(to, r.To)
		}
	}
	return to
}

// fault converts the error of a step to an Error. If ctx has ended, its cause is the
// reason.
func fault(ctx context.Context, stage Stage, err error) *Error {
	reply := (*smtp.SMTPError)(nil)
	if errors.As(err, &reply) {
		e := &Error{Stage: stage, Code: reply.Code, Text: text.ASCII(reply.Message, maxText)}
		if c := reply.EnhancedCode; c != (smtp.EnhancedCode{}) && c != smtp.NoEnhancedCode {
			e.Enhanced = fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
		}
		return e
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%s)", context.Cause(ctx), text.Cut(err.Error(), maxText))
	}
	return &Error{Stage: stage, Err: err}
}

// errorStage returns the stage of an *Error, "" for other errors and nil.
func errorStage(err error) Stage {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Stage
	}
	return ""
}

// isReply reports whether err is a negative reply, after which the session continues.
func isReply(err error) bool {
	reply := (*smtp.SMTPError)(nil)
	const closing = 421 // RFC 5321 section 3.8
	return errors.As(err, &reply) && reply.Code != closing
}

// maxText bounds the stored text of a server's reply, in octets.
const maxText = 300
