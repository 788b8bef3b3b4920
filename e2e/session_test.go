//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// goodResults is what we say of a signed message of good.example from its own host.
const goodResults = "spf=pass smtp.mailfrom=good.example; dkim=pass header.d=good.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
	"dmarc=pass header.from=good.example policy.dmarc=reject"

// good is a message of good.example that passes when goodClient sends it.
var good = scenario{
	client: goodClient, from: "bounce@good.example",
	letter: letter{from: "good.example", signer: "good.example"},
	want:   delivered, ar: goodResults,
}

// TestUnixSocket has each MTA ask dmarcd by its unix socket.
func TestUnixSocket(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		good.check(t, m, to, dial(t, m.addrUnix(), good.client, "mail.good.example").send(good.from, good.letter.text(to), to))
	})
}

// TestThreeMails sends three messages on one connection, of which the first is
// refused: each is judged by its own facts, and all by those of the connection.
func TestThreeMails(t *testing.T) {
	three := []scenario{
		{
			name: "1", from: "ceo@bank.example", letter: letter{from: "bank.example"},
			want: refused, reply: "bank.example asks to reject",
		},
		{name: "2", from: good.from, letter: good.letter, want: delivered, ar: goodResults},
		{
			name: "3", from: "ceo@shop.example", letter: letter{from: "shop.example"}, want: held,
			ar: "spf=fail smtp.mailfrom=shop.example; dkim=none; dmarc=fail header.from=shop.example policy.dmarc=quarantine",
		},
	}
	eachMTA(t, func(t *testing.T, m mta) {
		c := dial(t, m.addr(), goodClient, "mail.good.example")
		for _, s := range three {
			t.Run(s.name, func(t *testing.T) {
				c.t = t
				to := rcpt(t, s.to)
				s.check(t, m, to, c.send(s.from, s.letter.text(to), to))
			})
		}
	})
}

// TestRelease lets a held message go with the MTA's own commands: it arrives with
// what we wrote on it.
func TestRelease(t *testing.T) {
	s := scenario{
		client: stranger, from: "ceo@shop.example", letter: letter{from: "shop.example"}, want: delivered,
		ar: "spf=fail smtp.mailfrom=shop.example; dkim=none; dmarc=fail header.from=shop.example policy.dmarc=quarantine",
	}
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		answer := dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(to), to)
		id := m.queueID(answer.text)
		if _, onHold, err := m.held(id); err != nil || !onHold {
			t.Fatalf("the message %s is not on hold (%v)", id, err)
		}
		if err := m.release(id); err != nil {
			t.Fatalf("releasing %s: %v", id, err)
		}
		s.check(t, m, to, answer)
	})
}

// TestReset begins a message, takes it back, and sends another one.
func TestReset(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		c := dial(t, m.addr(), good.client, "mail.good.example")
		c.must(c.cmd("MAIL FROM:<ceo@bank.example>"), 250)
		c.must(c.cmd("RCPT TO:<someone@watched.example>"), 250)
		c.must(c.cmd("RSET"), 250)
		good.check(t, m, to, c.send(good.from, good.letter.text(to), to))
	})
}

// TestAbortedHalfway breaks the connection in the middle of a message: nothing
// is delivered, and the next message is none the worse for it.
func TestAbortedHalfway(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		lost := rcpt(t, "watched.example")
		here.unwanted.add(lost)
		c := dial(t, m.addr(), good.client, "mail.good.example")
		c.begin("ceo@bank.example", lost)
		text := letter{from: "bank.example", body: strings.Repeat("a line of some length, many times over\r\n", 30_000)}.text(lost)
		c.write(text[:len(text)/2])
		c.conn.Close()

		to := rcpt(t, "")
		good.check(t, m, to, dial(t, m.addr(), good.client, "mail.good.example").send(good.from, good.letter.text(to), to))
	})
}

// TestLarge sends 20 MB, signed.
func TestLarge(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		var body strings.Builder
		for i := 0; body.Len() < 20_000_000; i++ {
			fmt.Fprintf(&body, "%07d the quick brown fox  jumps over\tthe lazy dog, again and again\r\n", i)
		}
		s := good
		s.letter.body = body.String()
		to := rcpt(t, "")
		answer := dial(t, m.addr(), s.client, "mail.good.example").send(s.from, s.letter.text(to), to)
		s.check(t, m, to, answer)
		if got, arrived := here.sink.await(to, deliveryLimit); arrived && got.body != s.letter.body {
			t.Errorf("the body of %d octets arrived as one of %d, or changed", len(s.letter.body), len(got.body))
		}
	})
}

// TestForgedFields sends fields that claim to be ours, in many spellings, and
// some that are not ours to remove.
func TestForgedFields(t *testing.T) {
	forged := []string{
		"Authentication-Results: mx.example.org; dmarc=pass header.from=bank.example",
		"authentication-results: MX.Example.Org; spf=pass smtp.mailfrom=bank.example",
		"Authentication-Results: (a comment) \"mx.example.org\"; dkim=pass header.d=bank.example",
		"Authentication-Results:\r\n mx.example.org\r\n 1;\r\n dmarc=pass",
		"Authentication-Results:mx.example.org;dmarc=pass",
		"X-TM-Authentication-Results: spf=pass; dkim=pass; dmarc=pass",
		"X-TM-Received-SPF: Pass",
		"X-TM-Quarantine: dmarc",
	}
	foreign := []string{
		"Authentication-Results: other.example; dmarc=pass header.from=bank.example",
		"Authentication-Results: mx.example.org.evil.example; spf=pass",
		"ARC-Authentication-Results: i=1; mx.example.org; dmarc=pass",
		"X-Other: mx.example.org; dmarc=pass",
	}
	s := scenario{
		client: stranger, from: "ceo@news.example", want: delivered,
		// Ours and foreign ones alternate, so that a wrong index removes a wrong field.
		letter: letter{from: "news.example", extra: slices.Concat(forged[:3], foreign[:2], forged[3:], foreign[2:])},
		ar:     "spf=fail smtp.mailfrom=news.example; dkim=none; dmarc=fail header.from=news.example policy.dmarc=none",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=news.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=fail action=none header.from=news.example;",
	}
	eachMTA(t, func(t *testing.T, m mta) {
		to := rcpt(t, "")
		answer := dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(to), to)
		s.check(t, m, to, answer)
		got, arrived := here.sink.await(to, deliveryLimit)
		if !arrived {
			return
		}
		for _, f := range forged {
			if slices.Contains(got.fields, f) {
				t.Errorf("a forged field is still there: %q", f)
			}
		}
		for _, f := range foreign {
			if !slices.Contains(got.fields, f) {
				t.Errorf("a foreign field is gone: %q", f)
			}
		}
		if n := len(got.unfolded("X-TM-Received-SPF")) + len(got.unfolded("X-TM-Quarantine")); n != 0 {
			t.Errorf("%d forged X-TM fields are still there", n)
		}
	})
}

// TestXCLIENT lets Postfix believe in a client of another address and name
// (Sendmail has no such command).
func TestXCLIENT(t *testing.T) {
	m := here.mtas[0]
	for _, addr := range []string{goodClient, "IPV6:" + clientV6} {
		t.Run(addr, func(t *testing.T) {
			c := dial(t, m.addr(), "192.0.2.25", "proxy.example")
			c.must(c.cmd("XCLIENT ADDR=%s NAME=mail.good.example", addr), 220)
			c.ehlo("mail.good.example")
			to := rcpt(t, "")
			good.check(t, m, to, c.send(good.from, good.letter.text(to), to))
		})
	}
}

// TestConflictingRecipients sends one message to two domains that decide
// otherwise: the first try is put off, the second is split at RCPT.
func TestConflictingRecipients(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		enforced, watched := rcpt(t, ""), rcpt(t, "watched.example")
		text := letter{from: "bank.example"}.text(enforced)
		first := dial(t, m.addr(), stranger, "client.example").send("ceo@bank.example", text, enforced, watched)
		if first.code != 451 || !strings.Contains(first.text, "4.5.3") {
			t.Fatalf("the MTA said %d %s; want 451 4.5.3", first.code, first.text)
		}

		c := dial(t, m.addr(), stranger, "client.example")
		c.must(c.cmd("MAIL FROM:<ceo@bank.example>"), 250)
		c.must(c.cmd("RCPT TO:<%s>", enforced), 250)
		c.must(c.cmd("RCPT TO:<%s>", watched), 452)
		c.must(c.cmd("DATA"), 354)
		c.must(c.data(text), 550)
		here.unwanted.add(enforced)

		alone := scenario{
			want: delivered,
			ar:   "spf=fail smtp.mailfrom=bank.example; dkim=none; dmarc=fail header.from=bank.example policy.dmarc=reject",
		}
		alone.check(t, m, watched, c.send("ceo@bank.example", text, watched))
	})
}
