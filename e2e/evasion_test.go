//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestRecipientSpelling spells a recipient in the ways that an MTA may read as one
// of ours: none gets a forgery past the filter.
func TestRecipientSpelling(t *testing.T) {
	for name, spelling := range map[string]func(local string) string{
		"no domain": func(l string) string { return l },
		"localhost": func(l string) string { return l + "@localhost" },
		"this host": func(l string) string { return l + "@mx.example.org" },
		"percent":   func(l string) string { return l + "%example.org" },
		"quoted":    func(l string) string { return `"` + l + `@example.org"` },
		"bang":      func(l string) string { return "example.org!" + l },
		"route":     func(l string) string { return "@elsewhere.example:" + l + "@example.org" },
	} {
		t.Run(name, func(t *testing.T) {
			eachMTA(t, func(t *testing.T, m mta) {
				to := rcpt(t, "")
				local, _, _ := strings.Cut(to, "@")
				c := dial(t, m.addr(), stranger, "client.example")
				c.must(c.cmd("MAIL FROM:<ceo@bank.example>"), 250)
				if r := c.cmd("RCPT TO:<%s>", spelling(local)); r.code != 250 {
					t.Logf("the MTA itself refuses it: %d %s", r.code, r.text)
					return
				}
				c.must(c.cmd("DATA"), 354)
				c.must(c.data(letter{from: "bank.example"}.text(to)), 550)
				here.unwanted.add(to)
			})
		})
	}
}

// TestNUL puts a NUL before the true author. Postfix shows a filter a field only
// up to it, so it has to refuse it, as Sendmail does by itself.
func TestNUL(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		text := letter{from: "bank.example"}.text(to)
		text = strings.Replace(text, "From: ", "From: a@silent.example\x00 ", 1)
		if !strings.Contains(text, "\x00") {
			t.Fatalf("no From field in %q", text)
		}
		c := dial(t, m.addr(), stranger, "client.example")
		c.begin("a@silent.example", to)
		if r := c.data(text); r.code/100 == 2 {
			t.Errorf("the MTA said %d %s; want it refused", r.code, r.text)
		}
		here.unwanted.add(to)
	})
}
