package inbound_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
)

// TestTrustedHops walks from relay to relay until the true client is found.
func TestTrustedHops(t *testing.T) {
	const (
		config  = "client_ip_from: {192.0.2.0/24: received, 10.1.0.0/16: received}\ntrusted_networks: [10.0.0.0/8, 127.0.0.0/8]"
		postfix = "Received: from %s (%s [%s])\n\tby relay.example (Postfix) with %s id 4XyZ\n\tfor <user@example.org>; Mon, 30 Nov 2026 00:00:00 +0000 (UTC)\n"
		qmail   = "Received: (qmail 123 invoked from network); 30 Nov 2026 00:00:00 -0000\n"
		local   = "Received: by inner.example (Postfix, from userid 0)\n\tid 4XyZ; Mon, 30 Nov 2026 00:00:00 +0000 (UTC)\n"
	)
	hop := func(helo, addr string) string { return fmt.Sprintf(postfix, helo, "unknown", addr, "ESMTP") }
	login := func(addr, with string) string { return fmt.Sprintf(postfix, "x", "unknown", addr, with) }
	const good, bad = "198.51.100.7", "203.0.113.9"
	cases := []struct {
		name     string
		received []string // from the top
		extra    string   // for config
		ip       string   // "" for not read
		bypassed policy.Reason
		want     string
	}{
		{"one hop", []string{hop("x", good)}, "", good, "", "accept"},
		{"one hop, a forgery", []string{hop("x", bad)}, "", bad, "", "reject"},
		{"two hops", []string{hop("inner", "192.0.2.7"), hop("x", good)}, "", good, "", "accept"},
		{"two hops, a forgery", []string{hop("inner", "192.0.2.7"), hop("x", bad)}, "", bad, "", "reject"},
		{"a content filter", []string{hop("localhost", "127.0.0.1"), hop("x", good)}, "", good, "", "accept"},
		{"a content filter over IPv6", []string{hop("localhost", "IPv6:::1"), hop("x", bad)}, "", bad, "", "reject"},
		{"an inner host in trusted_networks", []string{hop("inner", "10.2.0.1"), hop("x", bad)}, "", bad, "", "reject"},
		{"three of them", []string{hop("a", "10.2.0.1"), hop("b", "192.0.2.9"), hop("c", "127.0.0.1"), hop("x", bad)}, "", bad, "", "reject"},
		{"an inner host's own mail", []string{hop("inner", "10.2.0.1")}, "", "10.2.0.1", policy.ReasonTrusted, "accept"},
		{"an inner host's own mail, by a program", []string{hop("inner", "10.2.0.1"), local}, "", "10.2.0.1", policy.ReasonTrusted, "accept"},
		{"the relay's own mail", []string{hop("localhost", "127.0.0.1")}, "", "127.0.0.1", policy.ReasonTrusted, "accept"},
		{"a field without from is passed over", []string{qmail, hop("x", bad)}, "", bad, "", "reject"},
		{"beyond the first stranger nothing counts", []string{hop("x", bad), hop("y", good)}, "", bad, "", "reject"},
		{"a stranger's field that looks like ours", []string{hop("x", bad), hop("inner", "10.2.0.1")}, "", bad, "", "reject"},
		{"HELO is the client's own text", []string{hop("[198.51.100.7]", bad)}, "", bad, "", "reject"},
		{"Exim: HELO in the comment", []string{"Received: from [203.0.113.9] (helo=[198.51.100.7])\n\tby relay.example with esmtp (Exim 4.98)\n\tid 1; Mon, 30 Nov 2026 00:00:00 +0000\n"}, "", bad, "", "reject"},
		{"qmail: HELO in the comment", []string{qmail, "Received: from unknown (HELO [198.51.100.7]) (203.0.113.9)\n  by relay.example with SMTP; 30 Nov 2026 00:00:00 -0000\n"}, "", bad, "", "reject"},
		{"the inner hop's field cannot be read", []string{hop("inner", "10.2.0.1"), "Received: from nowhere\n"}, "", "", "", "reject"},
		{"a login at the relay", []string{login(bad, "ESMTPSA")}, "", bad, policy.ReasonLogin, "accept"},
		{"a login at an inner hop", []string{hop("inner", "10.2.0.1"), login(bad, "ESMTPA")}, "", bad, policy.ReasonLogin, "accept"},
		{"a login with UTF8", []string{login(bad, "UTF8SMTPSA")}, "", bad, policy.ReasonLogin, "accept"},
		{"a login that is not to be skipped", []string{login(bad, "ESMTPSA")}, "skip_authenticated: false", bad, "", "reject"},
		{"a stranger's login is nothing", []string{hop("x", bad), login(good, "ESMTPSA")}, "", bad, "", "reject"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, "{}", config, c.extra)
			res := r.send(from("reject.example").with(strings.Join(c.received, "")).by("192.0.2.1"))
			o := r.last()
			got := ""
			if o.Envelope.ClientIP.IsValid() {
				got = o.Envelope.ClientIP.String()
			}
			if got != c.ip || o.Bypassed != c.bypassed || outcomeWord(res) != c.want {
				t.Errorf("client %q, bypassed for %q, %s; want %q, %q, %s", got, o.Bypassed, outcomeWord(res), c.ip, c.bypassed, c.want)
			}
			if o.Unrecovered != (c.ip == "") {
				t.Errorf("unrecovered: %v", o.Unrecovered)
			}
		})
	}
	t.Run("a login of a client that is told nowhere", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}", config)
		endless := strings.Repeat(hop("x", "10.2.0.1"), 100)
		if got := outcomeWord(r.send(from("reject.example").with(endless).by("192.0.2.1"))); got != "reject" || !r.last().Unrecovered {
			t.Errorf("a hundred hops: %s", got)
		}
	})
}

// TestRelayWarnings warns once an hour, and counts for `dmarcd status`.
func TestRelayWarnings(t *testing.T) {
	clock := newClock()
	r := newRigAt(t, clock.now, behaviourZone, "{}", "client_ip_from: {192.0.2.0/24: received}")
	unread := from("none.example").with("Received: from nowhere\n").by("192.0.2.1")
	read := from("none.example").with("Received: from x (unknown [203.0.113.9]) by relay.example with ESMTP; Mon, 30 Nov 2026 00:00:00 +0000\n").by("192.0.2.1")
	private := from("none.example").by("100.64.0.1")
	for range 3 {
		for _, m := range []mail{unread, read, private, private.by("172.16.0.1")} {
			r.send(m)
		}
	}
	if got, want := r.filter.Relays(), (filter.RelayStats{Network: mustPrefix("192.0.2.0/24"), Read: 3, Unread: 3}); len(got) != 1 || got[0] != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	warned := func() (relay, private int) {
		log := r.log.String()
		return strings.Count(log, "true client behind a relay"), strings.Count(log, "client in a private network")
	}
	if relay, private := warned(); relay != 1 || private != 1 || !strings.Contains(r.log.String(), `"field":"Received: from nowhere"`) {
		t.Errorf("%d and %d warnings, want one each\n%s", relay, private, r.log)
	}
	clock.advance(time.Hour)
	r.send(unread)
	r.send(private)
	if relay, private := warned(); relay != 2 || private != 2 {
		t.Errorf("%d and %d warnings an hour later, want two each", relay, private)
	}
}
