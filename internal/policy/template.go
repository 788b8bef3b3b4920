package policy

import (
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/text"
)

// TemplateVariables are the names that a reply text may hold in braces.
func TemplateVariables() []string {
	return []string{"domain", "policy_domain", "spf", "dkim", "client_ip", "queue_id", "explanation"}
}

// Template is a reply text with {variables}, checked when made. The zero
// Template expands to nothing.
type Template struct {
	text  string
	parts []part
}

type part struct {
	text     string
	variable string // "" for plain text
}

// ParseTemplate reads a reply text. An unknown or unclosed variable and an octet
// that SMTP replies may not hold (RFC 5321 section 4.2) are errors that say where.
func ParseTemplate(s string) (Template, error) {
	t := Template{text: s}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return Template{}, fmt.Errorf("octet %#02x at position %d: a reply text is one line of printable ASCII", s[i], i+1)
		}
	}
	for rest := s; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			t.parts = append(t.parts, part{text: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: rest[:open]})
		}
		name, after, ok := strings.Cut(rest[open+1:], "}")
		if !ok {
			return Template{}, fmt.Errorf("\"{\" without \"}\" in %q", s)
		}
		if !slices.Contains(TemplateVariables(), name) {
			return Template{}, fmt.Errorf("unknown variable {%s}; known are {%s}", name, strings.Join(TemplateVariables(), "} {"))
		}
		t.parts = append(t.parts, part{variable: name})
		rest = after
	}
	return t, nil
}

// String is the text as written.
func (t Template) String() string { return t.text }

// maxReplyText keeps a reply within one SMTP reply line of 512 octets with its
// code and CRLF, RFC 5321 section 4.5.3.1.5.
const maxReplyText = 500

// Expand replaces the variables. Values come from the network: characters that a reply
// line must not have become "?", and the result is cut to one line.
func (t Template) Expand(value func(variable string) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.variable == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(text.ASCII(value(p.variable), maxValue))
	}
	if b.Len() > maxReplyText {
		return b.String()[:maxReplyText]
	}
	return b.String()
}

// maxValue bounds what one variable may bring in.
const maxValue = 300
