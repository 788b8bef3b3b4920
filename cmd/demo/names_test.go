package main

import (
	"testing"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/demo"
	"dmarcd/internal/memory"
)

func TestNameServer(t *testing.T) {
	s, err := serveNames(demo.New(1, memory.Day(20_000)).Names(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, c := range []struct {
		name string
		typ  uint16
		want string // of the first answer
		code int
	}{
		{"_dmarc.acme.example.", mdns.TypeTXT, `"v=DMARC1; p=quarantine; rua=mailto:dmarc@reports.example"`, mdns.RcodeSuccess},
		{"41.100.51.198.in-addr.arpa.", mdns.TypePTR, "mail-lf1-f41.google.com.", mdns.RcodeSuccess},
		{"1.4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.6.8.4.8.b.d.0.1.0.0.2.ip6.arpa.", mdns.TypePTR, "mail-lf1-x141.google.com.", mdns.RcodeSuccess},
		{"mail-lf1-x141.google.com.", mdns.TypeAAAA, "2001:db8:4864::41", mdns.RcodeSuccess},
		{"mail-lf1-x141.google.com.", mdns.TypeA, "", mdns.RcodeSuccess},
		{"1.2.0.192.in-addr.arpa.", mdns.TypePTR, "", mdns.RcodeNameError},
		{"short.ip6.arpa.", mdns.TypePTR, "", mdns.RcodeNameError},
	} {
		q := new(mdns.Msg)
		q.SetQuestion(c.name, c.typ)
		m, err := mdns.Exchange(q, s.addr)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := ""
		if len(m.Answer) > 0 {
			head := m.Answer[0].Header().String()
			got = m.Answer[0].String()[len(head):]
		}
		if got != c.want || m.Rcode != c.code {
			t.Errorf("%s: %q, code %d", c.name, got, m.Rcode)
		}
	}
}
