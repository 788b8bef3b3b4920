package outgoing_test

import (
	"testing"
	"time"
)

// TestOutsideHosts sends to those who ask for it, later where the DNS is in trouble.
func TestOutsideHosts(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		err := r.zone.Add(`
sender.example._report._dmarc.yes.example.net TXT "v=DMARC1"
sender.example._report._dmarc.other.example.net TXT "v=DMARC1; rua=mailto:new@other.example.net,mailto:OLD@other.example.net"
sender.example._report._dmarc.away.example.net TXT "v=DMARC1; rua=mailto:new@victim.example"
sender.example._report._dmarc.later.example.com FAULT servfail TXT
sender.example._report._dmarc.never.example.com FAULT servfail TXT
`)
		if err != nil {
			t.Fatal(err)
		}
		r.load(aggregate(yesterday, "sender.example", "v=DMARC1; p=none; rua=mailto:a@sender.example,mailto:b@yes.example.net,mailto:old@other.example.net,"+
			"mailto:too@other.example.net,mailto:c@away.example.net,mailto:d@no.example.org,mailto:e@later.example.com,mailto:f@never.example.com", failed(1)))
		r.night()
		want := map[string]string{
			"a@sender.example": "sent", "b@yes.example.net": "sent", "old@other.example.net": "sent", "new@other.example.net": "sent",
			"too@other.example.net": "replaced", "c@away.example.net": "unverified unverified", "d@no.example.org": "unverified unverified",
			"e@later.example.com": "unconfirmed dns", "f@never.example.com": "unconfirmed dns",
		}
		check := func() {
			t.Helper()
			got := r.states()
			for to, state := range want {
				if got[to] != state {
					t.Errorf("%s: %q, want %q", to, got[to], state)
				}
			}
			if len(got) != len(want) {
				t.Errorf("deliveries %v", got)
			}
		}
		check()
		name := "sender.example._report._dmarc.later.example.com"
		r.zone.Remove(parseName(t, name))
		if err := r.zone.Add(name + ` TXT "v=DMARC1"`); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			r.clock.add(5 * time.Hour)
			r.drain()
		}
		want["e@later.example.com"], want["f@never.example.com"] = "sent", "expired dns"
		check()
		for to, state := range want {
			if n := len(r.server.got(to)); (n == 1) != (state == "sent") {
				t.Errorf("%d mails to %s", n, to)
			}
		}
		if len(r.server.got("new@victim.example")) > 0 {
			t.Error("mail to a host that did not ask")
		}
	})
}

// TestUnsafeAddresses sends nothing to an address by which a mail server may route or
// run something, and to those beside it.
func TestUnsafeAddresses(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", "v=DMARC1; p=none; rua=mailto:-oQ@sender.example,mailto:victim%25example.net@sender.example,"+
			"mailto:host%21user@sender.example,mailto:%7Csh@sender.example,mailto:good@sender.example", failed(1)))
		r.night()
		for to, want := range map[string]string{
			"-oQ@sender.example": "failed mail", "victim%example.net@sender.example": "failed mail", "host!user@sender.example": "failed mail",
			"|sh@sender.example": "failed mail", "good@sender.example": "sent",
		} {
			if got := r.states()[to]; got != want {
				t.Errorf("%s: %q, want %q", to, got, want)
			}
			if n := len(r.server.got(to)); (n == 1) != (want == "sent") {
				t.Errorf("%d mails to %s", n, to)
			}
		}
	})
}
