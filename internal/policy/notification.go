package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a notification's text, both in octets.
const (
	maxNotificationTemplate = 64 << 10
	maxNotificationText     = 256 << 10 // with its tokens filled in
)

// NotificationTokens are the names that a notification text may have between percent
// signs. Those up to SPFRESULT are the vendor's, the others ours.
func NotificationTokens() []string {
	return []string{
		"SENDER", "RCPTS", "SUBJECT", "DATE&TIME", "HEADERS", "MAILID", "RULENAME", "TACTION", "ACTION",
		"SPFRESULT", "DKIMRESULT", "DMARCRESULT", "HEADERFROM", "CLIENTIP",
	}
}

// TokenError lists all unknown tokens of a text.
type TokenError struct {
	Tokens []string // as written, without their percent signs, each once
}

// maxTokensTold bounds the tokens that an error names.
const maxTokensTold = 20

// Error names the tokens, and those that there are.
func (e *TokenError) Error() string {
	told := e.Tokens[:min(len(e.Tokens), maxTokensTold)]
	what := "unknown token %"
	if len(e.Tokens) > 1 {
		what = "unknown tokens %"
	}
	return what + strings.Join(told, "% %") + "%; known are %" + strings.Join(NotificationTokens(), "% %") + "%"
}

// NotificationTemplate is the text of a notification with %TOKENS%, checked
// when made. The zero NotificationTemplate is no text: use the built-in one.
type NotificationTemplate struct {
	subject, body []part
}

// ParseNotification reads the text of a notification: UTF-8 of several lines.
// A first line "Subject: ..." gives the mail's subject; an empty line after it
// belongs to neither. Unknown tokens are a *TokenError.
//
// Tokens are letters and "&" between percent signs. A percent sign that begins none is
// literal, and so are two hexadecimal digits between percent signs, as they occur in
// URLs.
func ParseNotification(s string) (NotificationTemplate, error) {
	var t NotificationTemplate
	if len(s) > maxNotificationTemplate {
		return t, fmt.Errorf("over %d octets", maxNotificationTemplate)
	}
	if !utf8.ValidString(s) {
		return t, errors.New("not UTF-8")
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) && r != '\n' && r != '\t' {
			return t, fmt.Errorf("%U cannot be printed", r)
		}
	}
	subject, body := splitSubject(s)
	var unknown TokenError
	t.subject = tokenParts(subject, &unknown)
	t.body = tokenParts(body, &unknown)
	if len(unknown.Tokens) > 0 {
		return NotificationTemplate{}, &unknown
	}
	return t, nil
}

func splitSubject(s string) (subject, body string) {
	const name = "subject:"
	if len(s) < len(name) || !strings.EqualFold(s[:len(name)], name) {
		return "", s
	}
	subject, body, _ = strings.Cut(s[len(name):], "\n")
	return strings.TrimSpace(subject), strings.TrimPrefix(body, "\n")
}

// tokenParts splits text and tokens.
func tokenParts(s string, unknown *TokenError) []part {
	var parts []part
	plain := 0 // start of the text since the last token
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		name := tokenName(s[i+1:])
		if name == "" {
			continue
		}
		if !slices.Contains(NotificationTokens(), name) {
			if !slices.Contains(unknown.Tokens, name) {
				unknown.Tokens = append(unknown.Tokens, name)
			}
		}
		if plain < i {
			parts = append(parts, part{text: s[plain:i]})
		}
		parts = append(parts, part{variable: name})
		i += len(name) + 1
		plain = i + 1
	}
	if plain < len(s) {
		parts = append(parts, part{text: s[plain:]})
	}
	return parts
}

// tokenName is the name of a token whose first percent sign precedes s; "" if there is
// none.
func tokenName(s string) string {
	const longest = 64 // also keeps the search short where percent signs abound
	hex := true
	for i := 0; i < len(s) && i <= longest; i++ {
		c := s[i] | 0x20 // lower case
		switch {
		case s[i] == '%' && (i == 0 || hex && i == 2):
			return ""
		case s[i] == '%':
			return s[:i]
		case s[i] != '&' && (c < 'a' || c > 'z'):
			return ""
		}
		hex = hex && c <= 'f'
	}
	return ""
}

// IsZero reports whether there is no text.
func (t NotificationTemplate) IsZero() bool { return len(t.subject) == 0 && len(t.body) == 0 }

// Subject fills in the subject; "" if the template has none. Values are used unchanged:
// the caller sanitizes them, to one line.
func (t NotificationTemplate) Subject(value func(token string) string) string {
	return fill(t.subject, value)
}

// Body fills in the text, of 256 KiB at most. Values are used unchanged: the caller
// sanitizes them.
func (t NotificationTemplate) Body(value func(token string) string) string {
	return fill(t.body, value)
}

func fill(parts []part, value func(token string) string) string {
	var b strings.Builder
	for _, p := range parts {
		text := p.text
		if p.variable != "" {
			text = value(p.variable)
		}
		if room := maxNotificationText - b.Len(); len(text) > room {
			for room > 0 && !utf8.RuneStart(text[room]) {
				room--
			}
			b.WriteString(text[:room])
			break
		}
		b.WriteString(text)
	}
	return b.String()
}
