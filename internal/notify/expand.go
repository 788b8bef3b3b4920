package notify

import (
	"mime"
	"strings"
	"time"

	"dmarcd/internal/policy"
	"dmarcd/internal/text"
)

// Limits of what one event brings in, in octets.
const (
	maxValue   = 500
	maxEncoded = 4 * maxValue // a subject in its encoded form
	maxRcpts   = 20           // recipients shown
)

// none replaces a missing value.
const none = "-"

// builtIn is the text of a notification where none is configured.
const builtIn = `Subject: DMARC %TACTION%: mail from %HEADERFROM%

A message met a rule that asks for a notification.

Action:      %TACTION%
Rule:        %RULENAME%
Also done:   %ACTION%

Date:        %DATE&TIME%
From domain: %HEADERFROM%
Sender:      %SENDER%
Recipients:  %RCPTS%
Subject:     %SUBJECT%
Client:      %CLIENTIP%
Mail ID:     %MAILID%

SPF:         %SPFRESULT%
DKIM:        %DKIMRESULT%
DMARC:       %DMARCRESULT%

Header of the message:

%HEADERS%
`

// expand fills the template in; zero is the built-in one. The texts are safe: of
// printable characters, the subject one line.
func expand(t policy.NotificationTemplate, e *Event) (subject, body string) {
	if t.IsZero() {
		t, _ = policy.ParseNotification(builtIn) // a test reads it
	}
	value := func(token string) string { return tokenValue(token, e) }
	subject = strings.TrimSpace(text.Line(t.Subject(value), maxValue))
	if subject == "" {
		subject = "DMARC failure " + done(e.Action) + ": " + word(e.HeaderFrom)
	}
	return subject, t.Body(value)
}

// done says what an action did with the message.
func done(action string) string {
	switch policy.Action(action) {
	case policy.Bypass:
		return "let through"
	case policy.Quarantine:
		return "quarantined"
	case policy.Reject:
		return "rejected"
	case policy.Discard:
		return "discarded"
	case policy.Defer:
		return "deferred"
	}
	return word(action)
}

// tokenValue is the value of a token.
func tokenValue(token string, e *Event) string {
	switch token {
	case "SENDER":
		return word(e.Sender)
	case "RCPTS":
		return word(strings.Join(e.Rcpts, ", "))
	case "SUBJECT":
		return word(decode(e.Subject))
	case "DATE&TIME":
		return e.At.UTC().Format(time.RFC1123Z)
	case "HEADERS":
		return lines(e.Headers, MaxHeaders)
	case "MAILID":
		if e.QueueID != "" {
			return word(e.QueueID)
		}
		return word(e.MessageID)
	case "RULENAME":
		return word(e.Rule)
	case "TACTION":
		return word(e.Action)
	case "ACTION":
		return word(e.Tags)
	case "SPFRESULT":
		return word(e.SPF)
	case "DKIMRESULT":
		return word(e.DKIM)
	case "DMARCRESULT":
		return word(e.DMARC)
	case "HEADERFROM":
		return word(e.HeaderFrom)
	case "CLIENTIP":
		if !e.ClientIP.IsValid() {
			return "local"
		}
		return word(e.ClientIP.String()) // a zone may hold anything
	}
	return none
}

// word is a value as one line of printable text, "-" if there is none.
func word(s string) string {
	if s = strings.TrimSpace(text.Line(s, maxValue*maxRcpts)); s == "" {
		return none
	}
	return s
}

// decode reads the encoded words of a field (RFC 2047). What it cannot read
// stays as it is.
func decode(s string) string {
	s = strings.NewReplacer("\r", "", "\n", "").Replace(s) // folds, RFC 5322 section 2.2.3
	var d mime.WordDecoder
	decoded, err := d.DecodeHeader(s)
	if err != nil {
		decoded = s
	}
	return strings.TrimSpace(text.Line(decoded, maxValue))
}

// lines is oneLine for text of several lines, most octets of it.
func lines(b []byte, most int) string {
	rest := string(b[:min(len(b), most)])
	var out strings.Builder
	for line := range strings.Lines(rest) {
		blank := line[0] == ' ' || line[0] == '\t' // of a folded field
		if line = strings.TrimSpace(text.Line(line, len(line)*2)); line == "" {
			continue
		}
		if blank {
			out.WriteByte(' ')
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	if len(b) > most {
		out.WriteString("[cut here]\n")
	}
	return out.String()
}
