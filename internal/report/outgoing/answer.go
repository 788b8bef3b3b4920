package outgoing

import (
	"context"
	"errors"
	"strings"

	"dmarcd/internal/text"
)

// refusal is the optional interface of an error of a Sender.
type refusal interface {
	error
	// Reply is the step that failed, in the words of SMTP or as below, the code of
	// the server's reply, 0 where there was none, and the enhanced code (RFC 3463).
	Reply() (step string, code int, enhanced string)
	// TooLarge reports that the server announced a size limit below the mail's size.
	TooLarge() bool
}

// Steps of a mail transaction. Any other is one before the transaction.
const (
	stepMail     = "mail" // the mail or an address was found wanting before anything was sent
	stepMailFrom = "MAIL FROM"
	stepRcpt     = "RCPT TO"
	stepData     = "DATA"
	stepContent  = "after DATA"
)

// answer is the consequence of an attempt for the delivery, the destination and the
// queue.
type answer struct {
	cause    Cause
	final    bool // another attempt is useless
	suppress bool // the destination takes no mail
	all      bool // every other delivery would end the same now: hold the queue up
	text     string
}

// judge classifies the error of an attempt. It blames the destination only where the
// server refused it at RCPT:
//
//	before MAIL FROM                 our server or login: all wait, nothing is blamed
//	MAIL FROM, 4xx or 5xx            our server does not take our sender: likewise
//	RCPT 5.1.x, 5.2.x, no enhanced   the destination is suppressed
//	RCPT 5.7.x, 530, 535             we may not relay, or not yet: tried again; when it
//	                                 expires while mail elsewhere was taken, suppressed
//	552, 5.3.4, 5.2.3, SIZE          too large; the destination is not to blame
//	DATA, content, 5xx               this mail is refused, not the destination
//	4xx, no reply                    tried again
func judge(err error) answer {
	if err == nil {
		return answer{}
	}
	a := answer{text: text.Cut(text.Error(err), maxErrorText), cause: CauseTemporary}
	var r refusal
	if !errors.As(err, &r) {
		return a.timedOut(err)
	}
	a.text = text.Cut(text.Error(r), maxErrorText) // without the address, which the log does not show
	step, code, enhanced := r.Reply()
	switch {
	case r.TooLarge():
		a.cause, a.final = CauseTooLarge, true
	case step == stepMail:
		a.cause, a.final = CauseMail, true
	case isTooLarge(step, code, enhanced):
		a.cause, a.final = CauseTooLarge, true
	case step != stepMailFrom && step != stepRcpt && step != stepData && step != stepContent:
		a.cause, a.all = CauseServer, true
	case code == 0:
		a = a.timedOut(err)
	case step == stepMailFrom:
		a.cause, a.all = CauseServer, true
	case code < 500:
		// Greylisting, a full disk, a busy host: later.
	case step == stepRcpt && (strings.HasPrefix(enhanced, "5.7.") || code == 530 || code == 535):
		a.cause = CausePolicy
	case step == stepRcpt:
		a.cause, a.final, a.suppress = CauseRefused, true, true
	default:
		a.cause, a.final = CauseContent, true
	}
	return a
}

// isTooLarge recognizes replies about the size (RFC 5321 section 4.2.3, RFC 3463 sections
// 3.3 and 3.4). 552 with 5.2.2 means a full mailbox.
func isTooLarge(step string, code int, enhanced string) bool {
	switch enhanced {
	case "5.3.4", "5.2.3":
		return code >= 500
	case "5.2.2":
		return false
	}
	return code == 552 && (enhanced == "" || step != stepRcpt)
}

func (a answer) timedOut(err error) answer {
	var net interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &net) && net.Timeout() {
		a.cause = CauseTimeout
	}
	return a
}

// maxErrorText bounds the stored text of an error, in octets.
const maxErrorText = 400
