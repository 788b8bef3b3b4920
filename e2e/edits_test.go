//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// spoofOfShop is a message that fails, of a domain with p=quarantine.
var spoofOfShop = scenario{client: stranger, from: "ceo@shop.example", letter: letter{from: "shop.example"}, want: delivered}

// spoofOfNews is a message that fails, of a domain with p=none.
var spoofOfNews = scenario{client: stranger, from: "ceo@news.example", letter: letter{from: "news.example"}, want: delivered}

// TestTagSubject puts words before the Subject, whatever it looks like.
func TestTagSubject(t *testing.T) {
	subjects := map[string]string{ // as sent, with the leading space → as delivered, unfolded
		" hello":                       "Subject: [not verified] hello",
		"tight":                        "Subject: [not verified] tight",
		" =?utf-8?Q?Gr=C3=BC=C3=9Fe?=": "Subject: [not verified] =?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
		" [not verified] again":        "Subject: [not verified] again",
	}
	eachMTA(t, func(t *testing.T, m mta) {
		for sent, want := range subjects {
			t.Run(strings.TrimSpace(sent), func(t *testing.T) {
				s := spoofOfNews
				s.letter.subject = sent
				to := rcpt(t, "tagged.example")
				answer := dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(to), to)
				s.check(t, m, to, answer)
				if got, arrived := here.sink.await(to, deliveryLimit); arrived && !slices.Equal(got.unfolded("Subject"), []string{want}) {
					t.Errorf("got %q, want %q", got.unfolded("Subject"), want)
				}
			})
		}
	})
}

// TestQuarantineByHeader marks the message and holds nothing.
func TestQuarantineByHeader(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		s, to := spoofOfShop, rcpt(t, "marked.example")
		s.check(t, m, to, dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(to), to))
		got, arrived := here.sink.await(to, deliveryLimit)
		if !arrived {
			return
		}
		checkField(t, got, "X-Spam-Flag", "", "YES")
		checkField(t, got, "X-TM-Quarantine", "", "dmarc")
	})
}

// TestQuarantineByRedirect sends the message elsewhere, and to nobody else.
func TestQuarantineByRedirect(t *testing.T) {
	const mailbox = "quarantine@example.org"
	eachMTA(t, func(t *testing.T, m mta) {
		first, second := rcpt(t, "moved.example"), "too-"+rcpt(t, "moved.example")
		here.unwanted.add(first)
		here.unwanted.add(second)
		s := spoofOfShop
		answer := dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(first), first, second)
		if answer.code != 250 {
			t.Fatalf("the MTA said %d %s; want 250", answer.code, answer.text)
		}
		toFirst := func(m mail) bool { return slices.Contains(m.fields, "To: <"+first+">") }
		got, arrived := here.sink.awaitWhere(mailbox, deliveryLimit, toFirst)
		if !arrived {
			t.Fatalf("the message did not get to %s", mailbox)
		}
		checkField(t, got, "X-TM-Original-Recipients", "", "<"+first+">, <"+second+">")
		checkField(t, got, "X-TM-Quarantine", "", "dmarc")
	})
}

// TestDiscard takes a message and drops it.
func TestDiscard(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "dropped.example")
		here.unwanted.add(to)
		c := dial(t, m.addr(), stranger, "client.example")
		c.must(c.send("sales@partner.example", letter{from: "partner.example", signer: "partner.example"}.text(to), to), 250)
		// What comes after it on the same connection arrives, and so would it have.
		s, next := spoofOfNews, rcpt(t, "")
		s.check(t, m, next, c.send(s.from, s.letter.text(next), next))
	})
}
