package report

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"dmarcd/internal/text"
)

// ErrBadMail is wrapped if the given values cannot form a mail.
var ErrBadMail = errors.New("report: no mail can be made")

// Lengths of a line without its CRLF (RFC 5322 section 2.1.1). hardLine leaves room for a
// name before the text.
const (
	softLine = 78
	hardLine = 900
)

// head is the common beginning of the header of our mails.
type head struct {
	from, fromName, to string
	messageID          string
	date               time.Time
	subject            string
}

func (h *head) check() error {
	switch {
	case !isAddress(h.from):
		return fmt.Errorf("%w: From %q is no address", ErrBadMail, text.XML(h.from, maxContact))
	case !isAddress(h.to):
		return fmt.Errorf("%w: To %q is no address", ErrBadMail, text.XML(h.to, maxContact))
	case !isAddress(h.messageID):
		return fmt.Errorf("%w: Message-ID %q is none", ErrBadMail, text.XML(h.messageID, maxContact))
	case h.date.IsZero():
		return fmt.Errorf("%w: no date", ErrBadMail)
	}
	return nil
}

// append writes the fields up to MIME-Version. Auto-Submitted prevents automatic replies (RFC
// 3834 section 5).
func (h *head) append(b []byte) []byte {
	b = appendField(b, "From", strings.TrimLeft(displayName(h.fromName)+" <"+h.from+">", " "))
	b = appendField(b, "To", "<"+h.to+">")
	b = appendField(b, "Subject", h.subject)
	b = appendField(b, "Date", h.date.UTC().Format(time.RFC1123Z))
	b = appendField(b, "Message-ID", "<"+h.messageID+">")
	b = appendField(b, "Auto-Submitted", "auto-generated")
	return appendField(b, "MIME-Version", "1.0")
}

// appendField writes one header field, folded at spaces; runs of spaces become one. It accepts
// any value: line ends become spaces and octets beyond ASCII become "?", so that no value can
// add a field or end the header.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	line := len(name) + 1
	for i, word := range strings.Fields(oneLine(value)) {
		if i > 0 && line+1+len(word) > softLine {
			b = append(b, '\r', '\n')
			line = 0
		}
		for len(word) > hardLine { // there is no place to fold
			b = append(b, ' ')
			b = append(b, word[:hardLine]...)
			b = append(b, '\r', '\n')
			word, line = word[hardLine:], 0
		}
		b = append(b, ' ')
		b = append(b, word...)
		line += 1 + len(word)
	}
	return append(b, '\r', '\n')
}

// oneLine returns text unfolded, in printable ASCII, without spaces at the ends.
func oneLine(s string) string {
	s = strings.NewReplacer("\r\n", "", "\r", " ", "\n", " ").Replace(s)
	return strings.Trim(text.ASCII(s, len(s)), " ")
}

// displayName returns the phrase before an address: plain words unchanged, other ASCII as a
// quoted string, the rest as encoded words (RFC 2047 section 5).
func displayName(s string) string {
	s = text.XML(s, maxName)
	if strings.Contains(s, "  ") { // folding would lose a space
		return encodedWords(s)
	}
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] > '~' {
			return encodedWords(s)
		}
		plain = plain && (isAtext(s[i]) || s[i] == ' ')
	}
	if plain && !strings.Contains(s, "=?") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// encodedWords encodes pieces of whole characters, each in under 75 octets (RFC 2047 section
// 2).
func encodedWords(s string) string {
	const piece = 39 // 52 octets of base64
	var words []string
	for len(s) > 0 {
		n := min(piece, len(s))
		for n < len(s) && n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, " ")
}

// isAddress reports whether s is an address that never needs quoting: a dot-atom, "@" and a
// host name. It also serves for message ids.
func isAddress(s string) bool {
	const longest = 254 // RFC 5321 section 4.5.3.1.3, without the brackets
	local, host, found := strings.Cut(s, "@")
	return found && len(s) <= longest && isDotAtom(local, isAtext) && isDotAtom(host, isHostChar)
}

// isDotAtom reports whether s is words of such octets separated by single dots.
func isDotAtom(s string, is func(byte) bool) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" {
			return false
		}
		for i := 0; i < len(word); i++ {
			if !is(word[i]) {
				return false
			}
		}
	}
	return true
}

// isAtext reports whether c is atext (RFC 5322 section 3.2.3).
func isAtext(c byte) bool {
	return isHostChar(c) || '!' <= c && c <= '~' && strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0
}

func isHostChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// appendBase64 writes data in lines of 76 (RFC 2045 section 6.8).
func appendBase64(b, data []byte) []byte {
	const octets = 57
	for len(data) > 0 {
		n := min(octets, len(data))
		b = base64.StdEncoding.AppendEncode(b, data[:n])
		b = append(b, '\r', '\n')
		data = data[n:]
	}
	return b
}

// appendText writes a text/plain part: its header and the text, whose lines end in LF. It is
// 7-bit if the text is.
func appendText(b []byte, text string) []byte {
	plain := true
	for i := 0; i < len(text); i++ {
		plain = plain && text[i] < 0x80
	}
	if plain {
		b = append(b, "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"...)
		return append(b, strings.ReplaceAll(text, "\n", "\r\n")...)
	}
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"...)
	return appendBase64(b, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
}
