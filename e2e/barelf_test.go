//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// A line must end in CRLF (RFC 5321 section 2.3.8). Postfix takes LF alone for
// the end of a line too. Sendmail refuses it, unless told otherwise: then it does
// so in the body only, and in the header takes it for a fold.

// bareLF ends every line but the last in LF alone.
func bareLF(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\r\n"), "\r\n", "\n") + "\r\n"
}

// TestBareLFBody sends a signed message with bare LF in the body.
func TestBareLFBody(t *testing.T) {
	l := good.letter
	l.body = "Good day,\r\n\r\nno line here begins with a dot: is it doubled after a bare LF?\r\n\r\n"
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		head, body, _ := strings.Cut(l.text(to), "\r\n\r\n")
		text := head + "\r\n\r\n" + bareLF(body)
		good.check(t, m, to, dial(t, m.addr(), bareClient, "mail.good.example").send(good.from, text, to))
	})
}

// TestBareLFEverywhere sends a signed message with bare LF throughout: to Postfix
// it is a message like any other, Sendmail breaks off. The message after it is
// none the worse for that.
func TestBareLFEverywhere(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		answer := dial(t, m.addr(), good.client, "mail.good.example").send(good.from, bareLF(good.letter.text(to)), to)
		if m.name() == "postfix" {
			good.check(t, m, to, answer)
		} else if answer.code != 421 {
			t.Errorf("Sendmail said %d %s; want 421", answer.code, answer.text)
		}
		next := rcpt(t, "watched.example")
		good.check(t, m, next, dial(t, m.addr(), good.client, "mail.good.example").send(good.from, good.letter.text(next), next))
	})
}

// TestBareLFHidesFrom hides a second From field behind a bare LF: what we judge
// must be what the reader sees.
func TestBareLFHidesFrom(t *testing.T) {
	s := good
	s.letter.extra = []string{"X-Harmless: yes\nFrom: <ceo@bank.example>"}
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		answer := dial(t, m.addr(), bareClient, "mail.good.example").send(s.from, s.letter.text(to), to)
		if m.name() == "postfix" { // a field of its own
			scenario{want: refused, reply: "several From fields"}.check(t, m, to, answer)
			return
		}
		s.check(t, m, to, answer)
		if got, arrived := here.sink.await(to, deliveryLimit); arrived && len(got.unfolded("From")) != 1 {
			t.Errorf("the reader sees %q", got.unfolded("From"))
		}
	})
}
