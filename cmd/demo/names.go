package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/demo"
	"dmarcd/internal/dns"
)

// nameServer answers as the DNS of the made-up quarter does, on loopback.
type nameServer struct {
	names demo.Names
	addr  string
	udp   *mdns.Server
	tcp   *mdns.Server
}

// serveNames begins to answer on a free port.
func serveNames(names demo.Names) (*nameServer, error) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	stream, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	s := &nameServer{names: names, addr: packets.LocalAddr().String()}
	s.udp = &mdns.Server{PacketConn: packets, Handler: s}
	s.tcp = &mdns.Server{Listener: stream, Handler: s}
	for _, one := range []*mdns.Server{s.udp, s.tcp} {
		go func() { _ = one.ActivateAndServe() }() // it ends with close
	}
	return s, nil
}

func (s *nameServer) close() {
	_, _ = s.udp.Shutdown(), s.tcp.Shutdown()
}

// ServeDNS answers one question.
func (s *nameServer) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if len(q.Question) == 1 {
		s.answer(m, q.Question[0])
	}
	_ = w.WriteMsg(m) // who asked asks again
}

func (s *nameServer) answer(m *mdns.Msg, q mdns.Question) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	head := mdns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: mdns.ClassINET, Ttl: 300}
	name, err := dns.Parse(q.Name)
	switch q.Qtype {
	case mdns.TypeTXT:
		var texts []string
		texts, err = s.names.LookupTXT(ctx, name)
		for _, t := range texts {
			m.Answer = append(m.Answer, &mdns.TXT{Hdr: head, Txt: []string{t}})
		}
	case mdns.TypeA, mdns.TypeAAAA:
		var addrs []netip.Addr
		addrs, err = s.names.LookupAddr(ctx, name, q.Qtype == mdns.TypeAAAA)
		for _, a := range addrs {
			if a.Is4() {
				m.Answer = append(m.Answer, &mdns.A{Hdr: head, A: a.AsSlice()})
			} else {
				m.Answer = append(m.Answer, &mdns.AAAA{Hdr: head, AAAA: a.AsSlice()})
			}
		}
	case mdns.TypePTR:
		var hosts []dns.Name
		hosts, err = s.names.LookupPTR(ctx, reversed(q.Name))
		for _, h := range hosts {
			m.Answer = append(m.Answer, &mdns.PTR{Hdr: head, Ptr: h.String() + "."})
		}
	}
	if err != nil && (q.Qtype == mdns.TypeTXT || q.Qtype == mdns.TypePTR) { // nobody here needs to know more exactly whether a name exists
		m.Rcode = mdns.RcodeNameError
	}
}

// reversed is the address that a name of the reverse zone is about; zero for none.
func reversed(name string) netip.Addr {
	if text, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(text, ".")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		addr, err := netip.ParseAddr(strings.Join(parts, "."))
		if err == nil {
			return addr
		}
	}
	text, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok {
		return netip.Addr{}
	}
	var b strings.Builder
	digits := strings.Split(text, ".")
	for i := len(digits) - 1; i >= 0; i-- {
		b.WriteString(digits[i])
		if i%4 == 0 && i > 0 {
			b.WriteByte(':')
		}
	}
	addr, err := netip.ParseAddr(b.String())
	if err != nil {
		return netip.Addr{}
	}
	return addr
}
