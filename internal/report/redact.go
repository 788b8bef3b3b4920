package report

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"dmarcd/internal/message"
)

// Bounds of a redacted header, so that a report stays small.
const (
	maxRedactedFields    = 100
	maxRedactedField     = 4 << 10
	maxRedacted          = 48 << 10
	maxRedactedAddresses = 20
)

// Redactor removes personal information from texts (RFC 9991 section 7). With a key, local
// parts of addresses become a hash (RFC 6590 section 3), so that the same address is
// recognisable but not readable; without one they become "redacted". The receiver keeps the
// key. A Redactor is safe for concurrent use.
type Redactor struct {
	Key []byte
}

// treatment is how a header field is redacted.
type treatment int

const (
	drop      treatment = iota
	asText              // local parts hashed, URLs made harmless
	asList              // only its addresses, hashed; display names are removed
	asTrace             // asText without recipients and login names
	asTags              // asText without copied header fields
	asMedia             // the media type without its parameters, which contain file names
	untouched           // values without personal information
)

// treatmentOf decides by name. Privacy first: unlisted fields are removed, and so are Subject,
// Bcc, and fields with web addresses made for one recipient, such as List-Unsubscribe.
func treatmentOf(name string) treatment {
	switch strings.ToLower(name) {
	case "from", "sender", "reply-to", "return-path", "to", "cc", "resent-from", "resent-sender", "resent-to", "resent-cc":
		return asList
	case "received":
		return asTrace
	case "authentication-results", "arc-authentication-results", "received-spf", "list-id", "x-mailer", "user-agent":
		return asText
	case "dkim-signature", "arc-message-signature", "arc-seal":
		return asTags
	case "content-type":
		return asMedia
	case "date", "message-id", "mime-version", "content-transfer-encoding", "auto-submitted", "precedence":
		return untouched
	}
	return drop
}

// Header returns the part of a mail's header that a failure report shows: the fields that help
// to find out why authentication failed, redacted, as 7-bit lines of CRLF. It keeps the order
// and is bounded.
func (r Redactor) Header(h *message.Header) []byte {
	var out []byte
	for i, f := range h.Fields {
		if i == maxRedactedFields || len(out) > maxRedacted {
			break
		}
		value := f.Value()
		value = value[:min(len(value), maxRedactedField)]
		text := unfold(string(bytes.TrimSpace(value)))
		switch treatmentOf(f.Name) {
		case asList:
			text = r.list(text)
		case asTrace:
			text = r.Text(trace(text))
		case asTags:
			text = r.Text(withoutCopies(text))
		case asText:
			text = r.Text(text)
		case asMedia:
			text, _, _ = strings.Cut(text, ";")
		case untouched:
			text = defang(text)
		default:
			continue
		}
		if text != "" {
			out = appendField(out, f.Name, text)
		}
	}
	return out
}

// unfold joins the lines of a field (RFC 5322 section 2.2.3).
func unfold(s string) string {
	return strings.NewReplacer("\r\n", "", "\n", "").Replace(s)
}

// Address redacts one address; it redacts text without "@" completely. The null reverse-path
// stays "".
func (r Redactor) Address(s string) string {
	if s == "" {
		return ""
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return r.hash(s)
	}
	if at == 0 { // a DKIM identity of a domain alone, RFC 6376 section 3.5
		return s
	}
	return r.hash(s[:at]) + s[at:]
}

// hash replaces a local part. Its alphabet is that of an atom.
func (r Redactor) hash(local string) string {
	if len(r.Key) == 0 {
		return "redacted"
	}
	mac := hmac.New(sha256.New, r.Key)
	mac.Write([]byte(local))
	const octets = 12
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:octets])
}

// Text redacts every address in a text and makes its URLs harmless: hxxp for
// http (RFC 9991 section 7.3).
func (r Redactor) Text(s string) string {
	s = defang(s)
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '@')
		if at < 0 {
			break
		}
		start := localStart(s[:at])
		b.WriteString(s[:start])
		if start < at {
			b.WriteString(r.hash(s[start:at]))
		}
		b.WriteByte('@')
		s = s[at+1:]
	}
	b.WriteString(s)
	return b.String()
}

// localStart returns where the local part at the end of s begins.
func localStart(s string) int {
	i := len(s)
	if i > 0 && s[i-1] == '"' {
		if open := strings.LastIndexByte(s[:i-1], '"'); open >= 0 {
			return open
		}
	}
	for i > 0 && (isAtext(s[i-1]) || s[i-1] == '.' || s[i-1] >= 0x80) {
		i--
	}
	if name, _, found := strings.Cut(s[i:], "="); found && isProperty(name) {
		i += len(name) + 1
	}
	return i
}

// isProperty reports whether a name may precede "=" and an address: those of
// Authentication-Results (RFC 8601 section 2.2), Received-SPF (RFC 7208 section 9.1) and
// DKIM-Signature. Anything else before "=" is part of the local part.
func isProperty(name string) bool {
	switch strings.ToLower(name) {
	case "i", "envelope-from", "identity", "receiver", "mailfrom", "from":
		return true
	}
	kind, property, found := strings.Cut(strings.ToLower(name), ".")
	if !found || property == "" {
		return false
	}
	return kind == "smtp" || kind == "header" || kind == "policy" || kind == "body"
}

// defang prevents programs from turning text into links.
func defang(s string) string {
	var b strings.Builder
	last := 0
	for i := 0; i+7 <= len(s); i++ {
		rest := s[i:]
		if strings.EqualFold(rest[:4], "http") && (strings.HasPrefix(rest[4:], "://") || rest[4] == 's' || rest[4] == 'S') {
			b.WriteString(s[last:i])
			b.WriteString("hxxp")
			last = i + 4
			i += 3
		}
	}
	if last == 0 {
		return s
	}
	return b.String() + s[last:]
}

// list returns the addresses of an address list, redacted, without display names and
// comments.
func (r Redactor) list(s string) string {
	var out []string
	for mailbox := range strings.SplitSeq(bareList(s), ",") {
		if open := strings.LastIndexByte(mailbox, '<'); open >= 0 {
			mailbox, _, _ = strings.Cut(mailbox[open+1:], ">")
		}
		if _, after, found := strings.Cut(mailbox, ":"); found { // the name of a group, or a route
			mailbox = after
		}
		mailbox = strings.Trim(mailbox, " \t;")
		if at := strings.LastIndexByte(mailbox, '@'); at < 1 || strings.ContainsAny(mailbox[at:], " \t\"") {
			continue
		}
		if len(out) == maxRedactedAddresses {
			break
		}
		out = append(out, "<"+r.Address(mailbox)+">")
	}
	return strings.Join(out, ", ")
}

// bareList returns an address list without comments and without quoted strings that are not
// local parts. It need not be correct for malformed lists, but must not reveal names.
func bareList(s string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '(':
			depth++
		case c == ')':
			depth = max(depth-1, 0)
		case depth > 0:
		case c == '"':
			end := quotedEnd(s, i)
			if end < len(s) && s[end] == '@' {
				b.WriteString(strings.Map(inAtom, "q"+s[i:end])) // only for hashing
			}
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// inAtom keeps the characters of a text that an atom may contain.
func inAtom(r rune) rune {
	if r < 0x80 && !isAtext(byte(r)) {
		return -1
	}
	return r
}

// quotedEnd returns the position after the quoted string that begins at i.
func quotedEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// trace returns a Received field without its recipient and without comments that name a login.
func trace(s string) string {
	words := strings.Fields(s)
	out := words[:0]
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case strings.EqualFold(w, "for") && i+1 < len(words):
			i++
			if strings.HasSuffix(words[i], ";") {
				out = append(out, ";")
			}
		case strings.HasPrefix(strings.ToLower(w), "(authenticated"):
			for i < len(words) && !strings.Contains(words[i], ")") {
				i++
			}
		default:
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// withoutCopies removes z=, the copied header fields, from a tag list (RFC 6376 section 3.5).
func withoutCopies(s string) string {
	var out []string
	for tag := range strings.SplitSeq(s, ";") {
		name, _, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) != "z" {
			out = append(out, tag)
		}
	}
	return strings.Join(out, ";")
}
