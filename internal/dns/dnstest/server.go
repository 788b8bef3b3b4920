package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	mdns "github.com/miekg/dns"
)

// Server answers DNS packets on one UDP and one TCP port out of its Zone.
type Server struct {
	Zone *Zone // may be changed while it serves; each packet counts as a query
	Addr string

	udp, tcp *mdns.Server
	ended    context.Context
	end      context.CancelFunc
	done     sync.WaitGroup
}

// TB is the part of testing.TB that New needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// New serves zone text on a free loopback port until the test ends.
func New(t TB, zone string) *Server {
	t.Helper()
	z, err := ParseZone(zone)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s, err := Start("127.0.0.1:0", z)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start serves z on addr, UDP and TCP; port 0 picks a free one. Close ends it.
func Start(addr string, z *Zone) (*Server, error) {
	packets, streams, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	s := &Server{Zone: z, Addr: packets.LocalAddr().String()}
	s.ended, s.end = context.WithCancel(context.Background())
	h := mdns.HandlerFunc(s.serve)
	s.udp = &mdns.Server{PacketConn: packets, Handler: h}
	s.tcp = &mdns.Server{Listener: streams, Handler: h}
	var up sync.WaitGroup
	for _, srv := range []*mdns.Server{s.udp, s.tcp} {
		up.Add(1)
		srv.NotifyStartedFunc = up.Done
		s.done.Go(func() { _ = srv.ActivateAndServe() }) // ends with an error by Close alone
	}
	up.Wait() // a Shutdown before the start would be refused
	return s, nil
}

// listen takes the same port for both; a free UDP port may be taken for TCP.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	const tries = 20
	var err error
	for range tries {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", addr); err != nil {
			return nil, nil, err
		}
		var streams net.Listener
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, streams, nil
		}
		err = errors.Join(err, packets.Close())
	}
	return nil, nil, err
}

// Close ends the server and waits for it; queries held back stay unanswered.
func (s *Server) Close() {
	s.end()
	_ = s.udp.Shutdown()
	_ = s.tcp.Shutdown()
	s.done.Wait()
}

// serve answers one packet.
func (s *Server) serve(w mdns.ResponseWriter, q *mdns.Msg) {
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	if len(q.Question) != 1 || q.Question[0].Qclass != mdns.ClassINET || q.Opcode != mdns.OpcodeQuery {
		send(w, new(mdns.Msg).SetRcode(q, mdns.RcodeRefused))
		return
	}
	key, err := pack(q.Question[0].Name)
	if err != nil {
		send(w, new(mdns.Msg).SetRcode(q, mdns.RcodeFormatError))
		return
	}
	a := s.Zone.ask(key, q.Question[0].Qtype, true)
	if a.wait(s.ended) != nil {
		return
	}
	m := reply(q, &a)
	switch a.kind {
	case Timeout:
		return
	case Garbage:
		_, _ = w.Write(garbage)
		return
	case WrongID:
		m.Id++
	case WrongQuestion:
		m.Question[0].Name = elsewhere
	case Forged:
		forge(w, m)
	case NoEDNS:
		if q.IsEdns0() != nil {
			m = new(mdns.Msg).SetRcode(q, mdns.RcodeFormatError)
		}
	case Truncate:
		if overUDP {
			m.Truncated, m.Answer = true, nil
		}
	}
	if overUDP {
		m.Truncate(room(q))
	}
	send(w, m)
}

const elsewhere = "not.what.was.asked.invalid."

var garbage = []byte("\xff this is no DNS message, whatever the id")

// forge sends what an attacker would, who guesses: a wrong id, a wrong
// question, garbage.
func forge(w mdns.ResponseWriter, m *mdns.Msg) {
	id := m.Copy()
	id.Id++
	id.Answer = nil
	send(w, id)
	question := m.Copy()
	question.Question[0].Name = elsewhere
	question.Answer = nil
	send(w, question)
	_, _ = w.Write(garbage)
}

// reply makes the true answer.
func reply(q *mdns.Msg, a *answer) *mdns.Msg {
	m := new(mdns.Msg).SetRcode(q, a.rcode)
	m.Compress, m.RecursionAvailable = true, true
	m.Answer = a.records
	final := len(a.records) > 0 && a.records[len(a.records)-1].Header().Rrtype != mdns.TypeCNAME
	refused := a.rcode != mdns.RcodeSuccess && a.rcode != mdns.RcodeNameError
	if !final && !refused && a.kind != Bare && !a.loop {
		m.Ns = []mdns.RR{a.soa}
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(opt.UDPSize(), false)
	}
	return m
}

// room is how much the client takes over UDP (RFC 6891 section 6.2.3).
func room(q *mdns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return max(mdns.MinMsgSize, int(opt.UDPSize()))
	}
	return mdns.MinMsgSize
}

// send drops errors: a client that went away is no failure of the test.
func send(w mdns.ResponseWriter, m *mdns.Msg) { _ = w.WriteMsg(m) }
