package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// trueAnswer packs the true answer to a raw query.
func trueAnswer(t *testing.T, query []byte, text string) []byte {
	t.Helper()
	var q mdns.Msg
	if err := q.Unpack(query); err != nil {
		t.Error(err)
		return nil
	}
	m := new(mdns.Msg).SetReply(&q)
	m.Answer = []mdns.RR{&mdns.TXT{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeTXT, Class: mdns.ClassINET, Ttl: 60}, Txt: []string{text}}}
	p, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return p
}

// TestWrongSource: an answer from another port is not taken, the one from the
// server is.
func TestWrongSource(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		n, from, err := server.ReadFrom(buf)
		if err != nil {
			return
		}
		if _, err := other.WriteTo(trueAnswer(t, buf[:n], "forged"), from); err != nil {
			t.Error(err)
		}
		if _, err := server.WriteTo(trueAnswer(t, buf[:n], "true"), from); err != nil {
			t.Error(err)
		}
	}()
	c := open(t, Config{Servers: []string{server.LocalAddr().String()}})
	got, err := c.LookupTXT(context.Background(), name("a.example"))
	if err != nil || len(got) != 1 || got[0] != "true" {
		t.Errorf("got %q, %v", got, err)
	}
	<-done
}

// TestFlood: whoever sends guess after guess drives the query to TCP, where
// guessing does not help.
func TestFlood(t *testing.T) {
	z := dnstest.MustZone("a.example TXT true\na.example FAULT truncate")
	s, err := dnstest.Start("127.0.0.1:0", z)
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Addr
	s.Close()
	streams, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer streams.Close()
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer packets.Close()
	go func() {
		buf := make([]byte, 512)
		n, from, err := packets.ReadFrom(buf)
		if err != nil {
			return
		}
		guess := trueAnswer(t, buf[:n], "forged")
		for range maxIgnored {
			guess[0]++
			if guess[0] == buf[0] {
				guess[0]++
			}
			if _, err := packets.WriteTo(guess, from); err != nil {
				return
			}
		}
	}()
	go serveTCP(t, streams, func(conn net.Conn, query []byte) {
		answer := trueAnswer(t, query, "true")
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	})
	c := open(t, Config{Servers: []string{addr}})
	got, err := c.LookupTXT(context.Background(), name("a.example"))
	if err != nil || len(got) != 1 || got[0] != "true" {
		t.Errorf("got %q, %v", got, err)
	}
}

// serveTCP hands each query to answer and closes the connection then.
func serveTCP(t *testing.T, l net.Listener, answer func(conn net.Conn, query []byte)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Error(err)
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			t.Error(err)
		}
		answer(conn, query)
		_ = conn.Close()
	}
}

// TestBadTCP checks failures after truncation over UDP.
func TestBadTCP(t *testing.T) {
	cases := []struct {
		name   string
		answer func(conn net.Conn, query []byte)
	}{
		{"closed at once", func(net.Conn, []byte) {}},
		{"half a length", func(c net.Conn, _ []byte) { _, _ = c.Write([]byte{0}) }},
		{"length 0", func(c net.Conn, _ []byte) { _, _ = c.Write([]byte{0, 0}) }},
		{"shorter than its length", func(c net.Conn, q []byte) { _, _ = c.Write(append([]byte{0xff, 0xff}, q...)) }},
		{"the query back", func(c net.Conn, q []byte) {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		}},
		{"truncated again", func(c net.Conn, q []byte) {
			p := trueAnswer(t, q, "cut")
			p[2] |= 0x02
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...))
		}},
		{"wrong id", func(c net.Conn, q []byte) {
			p := trueAnswer(t, q, "forged")
			p[0]++
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...))
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go serveTCP(t, l, tc.answer)
			c := open(t, Config{Servers: []string{l.Addr().String()}})
			q := mustQuery(t, "a.example", mdns.TypeTXT)
			f, fail := c.exchange(context.Background(), q, attempt{server: c.servers[0], tcp: true, edns: true})
			if fail == nil {
				t.Fatalf("got %+v", f)
			}
			if !strings.Contains(fail.Error(), "over TCP") {
				t.Errorf("failure %q does not say how it was asked", fail)
			}
		})
	}
}

// TestSockets: reused on loopback alone.
func TestSockets(t *testing.T) {
	srv := dnstest.New(t, "*.ok.example TXT a\n*.dead.example FAULT timeout")
	c := open(t, Config{Timeout: impatient}, srv)
	s := c.servers[0]
	look := func(ask string) { _, _ = c.LookupTXT(context.Background(), name(ask)) }
	look("a.dead.example")
	if n := len(s.idle); n != 0 {
		t.Errorf("%d sockets kept that a late answer may come to", n)
	}
	c.timeout = patient
	look("a.ok.example")
	if n := len(s.idle); n != 1 {
		t.Fatalf("%d sockets kept, want 1", n)
	}
	kept := s.idle[0]
	look("b.ok.example")
	if len(s.idle) != 1 || s.idle[0] != kept {
		t.Error("the socket was not used again")
	}

	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	remote := &server{addr: netip.MustParseAddrPort("192.0.2.1:53")}
	remote.release(conn)
	if len(remote.idle) != 0 {
		t.Error("a socket to another host was kept: its port would not be fresh")
	}
	if _, err := conn.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is still open: %v", err)
	}
}

// TestBudget: a look-up never outlasts its context, whatever the server does.
func TestBudget(t *testing.T) {
	srv := dnstest.New(t, `
a.example FAULT timeout
b.example FAULT truncate delay=1m
c.example FAULT garbage
`)
	c := open(t, Config{}, srv)
	for _, ask := range []string{"a.example", "b.example", "c.example"} {
		ctx, cancel := context.WithTimeout(context.Background(), impatient)
		_, err := c.LookupTXT(ctx, name(ask))
		if ctx.Err() == nil {
			t.Errorf("%s: gave up before its budget was spent: %v", ask, err)
		}
		if !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", ask, err)
		}
		cancel()
	}
}

// TestDroppedEDNS: a middlebox that drops queries with an OPT record.
func TestDroppedEDNS(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if buf[headerLen-1] != 0 {
				continue
			}
			if _, err := server.WriteTo(trueAnswer(t, buf[:n], "true"), from); err != nil {
				return
			}
		}
	}()
	c := open(t, Config{Servers: []string{server.LocalAddr().String()}, Timeout: time.Second})
	if got, err := c.LookupTXT(context.Background(), name("a.example")); err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}
