package mailer

import (
	"bytes"
	"fmt"
	"strings"

	"dmarcd/internal/text"
)

// Limits of SMTP, in octets.
const (
	maxAddress = 254 // a path of 256 with its brackets, RFC 5321 section 4.5.3.1.3
	maxLine    = 998 // a line of 1000 with its CRLF, RFC 5321 section 4.5.3.1.6
)

// checkMail rejects mail that cannot be sent unchanged.
func checkMail(from string, to []string, msg []byte) error {
	if len(to) == 0 || len(to) > MaxRecipients {
		return &Error{Stage: StageMail, Err: fmt.Errorf("%w: %d, not 1 to %d", ErrRecipients, len(to), MaxRecipients)}
	}
	if from != "" && !isAddress(from) {
		return &Error{Stage: StageMail, Err: fmt.Errorf("%w: %q", ErrAddress, text.Cut(from, maxText))}
	}
	for _, a := range to {
		if !isAddress(a) {
			return &Error{Stage: StageMail, Err: fmt.Errorf("%w: %q", ErrAddress, text.Cut(a, maxText))}
		}
	}
	if err := checkLines(msg); err != nil {
		return &Error{Stage: StageMail, Err: err}
	}
	return nil
}

// isAddress reports whether s may stand between the brackets of a MAIL or RCPT command:
// visible ASCII, with text on both sides of an "@".
func isAddress(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || c == '<' || c == '>' {
			return false
		}
	}
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && len(s) <= maxAddress
}

// checkLines requires lines as in RFC 5322 section 2.1.1. A lone CR or LF ends a line only
// for some readers; a dot at the beginning of the next line would then end the mail for
// them (RFC 5321 section 4.1.1.4).
func checkLines(msg []byte) error {
	if !bytes.HasSuffix(msg, []byte("\r\n")) {
		return fmt.Errorf("%w: the last line has no end", ErrMail)
	}
	start := 0
	for i, c := range msg {
		switch {
		case c == '\n' && (i == 0 || msg[i-1] != '\r'):
			return fmt.Errorf("%w: LF without CR at octet %d", ErrMail, i)
		case c == '\r' && msg[i+1] != '\n': // the last octet is LF
			return fmt.Errorf("%w: CR without LF at octet %d", ErrMail, i)
		case c == 0 || c > 0x7f:
			return fmt.Errorf("%w: octet %#02x at %d", ErrMail, c, i)
		case c == '\n':
			if i-1-start > maxLine {
				return fmt.Errorf("%w: a line of %d octets, over %d", ErrMail, i-1-start, maxLine)
			}
			start = i + 1
		}
	}
	return nil
}
