package dnstest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

func exchange(t *testing.T, s *Server, network, name string, qtype uint16) (*mdns.Msg, error) {
	t.Helper()
	c := mdns.Client{Net: network, Timeout: 5 * time.Second}
	q := new(mdns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(1232, false)
	m, _, err := c.Exchange(q, s.Addr)
	return m, err
}

func TestServer(t *testing.T) {
	s := New(t, sample+`
dumb.example    FAULT no-edns
dumb.example    TXT  x
refused.example FAULT refused
other.example   FAULT wrong-question
`)
	cases := []struct {
		name, network, ask string
		qtype              uint16
		rcode, answers     int
		authority          int
		truncated          bool
	}{
		{"records", "udp", "EXAMPLE.com.", mdns.TypeTXT, mdns.RcodeSuccess, 2, 0, false},
		{"over TCP", "tcp", "example.com.", mdns.TypeTXT, mdns.RcodeSuccess, 2, 0, false},
		{"no data", "udp", "er.example.com.", mdns.TypeTXT, mdns.RcodeSuccess, 0, 1, false},
		{"NXDOMAIN", "udp", "x.example.com.", mdns.TypeTXT, mdns.RcodeNameError, 0, 1, false},
		{"aliases", "udp", "alias.example.", mdns.TypeA, mdns.RcodeSuccess, 3, 0, false},
		{"bare alias", "udp", "bare.example.", mdns.TypeA, mdns.RcodeSuccess, 1, 0, false},
		{"dangling alias", "udp", "dangling.example.", mdns.TypeA, mdns.RcodeNameError, 1, 1, false},
		{"alias loop", "udp", "loop1.example.", mdns.TypeA, mdns.RcodeSuccess, 2, 0, false},
		{"SERVFAIL", "udp", "fail.example.", mdns.TypeTXT, mdns.RcodeServerFailure, 0, 0, false},
		{"REFUSED", "udp", "refused.example.", mdns.TypeTXT, mdns.RcodeRefused, 0, 0, false},
		{"truncated", "udp", "cut.example.", mdns.TypeTXT, mdns.RcodeSuccess, 0, 0, true},
		{"truncated, over TCP", "tcp", "cut.example.", mdns.TypeTXT, mdns.RcodeSuccess, 1, 0, false},
		{"huge, over UDP", "udp", "huge.example.", mdns.TypeTXT, mdns.RcodeSuccess, 2, 0, true},
		{"huge, over TCP", "tcp", "huge.example.", mdns.TypeTXT, mdns.RcodeSuccess, 122, 0, false},
		{"no EDNS", "udp", "dumb.example.", mdns.TypeTXT, mdns.RcodeFormatError, 0, 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, err := exchange(t, s, c.network, c.ask, c.qtype)
			if err != nil {
				t.Fatal(err)
			}
			if m.Rcode != c.rcode || len(m.Answer) != c.answers || len(m.Ns) != c.authority || m.Truncated != c.truncated {
				t.Errorf("got %v, want rcode %d, %d answers, %d authority, TC %v", m, c.rcode, c.answers, c.authority, c.truncated)
			}
		})
	}
	if n := s.Zone.Queries(dns.MustParse("cut.example"), "TXT"); n != 2 {
		t.Errorf("counted %d queries for cut.example, want 2", n)
	}
	m, err := exchange(t, s, "udp", "other.example.", mdns.TypeTXT)
	if err != nil || m.Question[0].Name == "other.example." {
		t.Errorf("wrong question: %v, %v", m, err)
	}
}

// TestServerSilence looks at raw packets: what the library's client would not hand on.
func TestServerSilence(t *testing.T) {
	s := New(t, `
a.example FAULT timeout times=1
a.example FAULT garbage times=1
a.example FAULT wrong-id times=1
a.example TXT x
`)
	conn, err := net.Dial("udp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ask := func(id uint16) {
		q := new(mdns.Msg).SetQuestion("a.example.", mdns.TypeTXT)
		q.Id = id
		p, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := s.Zone.Await(t.Context(), dns.MustParse("a.example"), "TXT", int(id)); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (*mdns.Msg, error) {
		p := make([]byte, 4096)
		n, err := conn.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		m := new(mdns.Msg)
		return m, m.Unpack(p[:n])
	}
	ask(1) // stays unanswered, or the next read would meet it
	ask(2)
	if _, err := read(); err == nil {
		t.Error("garbage can be read")
	}
	ask(3)
	if m, err := read(); err != nil || m.Id == 3 {
		t.Errorf("wrong id: %v, %v", m, err)
	}
	ask(4)
	if m, err := read(); err != nil || m.Id != 4 || len(m.Answer) != 1 {
		t.Errorf("fourth answer: %v, %v", m, err)
	}
}

func TestStartAndClose(t *testing.T) {
	z := MustZone("a.example TXT x")
	s, err := Start("127.0.0.1:0", z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(s.Addr, z); err == nil {
		t.Error("two servers on one port")
	}
	z.Hold(dns.MustParse("a.example"), "")
	errs := make(chan error)
	go func() {
		_, err := exchange(t, s, "tcp", "a.example.", mdns.TypeTXT)
		errs <- err
	}()
	if err := z.Await(t.Context(), dns.MustParse("a.example"), "TXT", 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-errs; err == nil {
		t.Error("a query held back was answered")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := z.Await(ctx, dns.MustParse("a.example"), "TXT", 2); !errors.Is(err, context.Canceled) {
		t.Errorf("Await: %v", err)
	}
}
