package dnstest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

const (
	defaultTTL  = 300 // seconds, of records without one
	negativeTTL = 5   // seconds, of the SOA in answers without records
)

// Zone is DNS data with faults. It answers look-ups by itself, without
// sockets, as the resolver would, and feeds a Server. It may be used and
// changed from several goroutines.
type Zone struct {
	mu     sync.Mutex
	nodes  map[string]*node // by name in wire form, lower case
	delay  time.Duration
	asked  map[question]int
	notify chan struct{} // closed and replaced at each query
}

// node is a name that exists: with records, with faults, or with descendants only.
type node struct {
	records []mdns.RR
	faults  []*fault
	held    []hold
}

type fault struct {
	Fault
	applied int
}

type hold struct {
	qtype uint16 // 0 for every type
	until chan struct{}
}

// question is what is counted: a name in wire form and a type.
type question struct {
	name  string
	qtype uint16
}

// ParseZone reads zone text; the package comment says what it may hold.
func ParseZone(text string) (*Zone, error) {
	z := &Zone{nodes: map[string]*node{}, asked: map[question]int{}, notify: make(chan struct{})}
	if err := z.Add(text); err != nil {
		return nil, err
	}
	return z, nil
}

// MustZone is ParseZone for text known when the test is written; it panics on an error.
func MustZone(text string) *Zone {
	z, err := ParseZone(text)
	if err != nil {
		panic(err)
	}
	return z
}

// Add adds zone text to what is there.
func (z *Zone) Add(text string) error {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		words := strings.Fields(line)
		if c := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ";") }); c >= 0 {
			words = words[:c]
		}
		if len(words) < 2 || words[1] != "FAULT" {
			continue
		}
		if len(words) == 2 {
			return fmt.Errorf("dnstest: line %d: FAULT of what kind?", i+1)
		}
		f, err := parseFault(words[2:])
		if err != nil {
			return fmt.Errorf("dnstest: line %d: %w", i+1, err)
		}
		if err := z.addFault(words[0], f); err != nil {
			return fmt.Errorf("dnstest: line %d: %w", i+1, err)
		}
		lines[i] = "" // keeps the parser's line numbers true
	}
	p := mdns.NewZoneParser(strings.NewReader(strings.Join(lines, "\n")), ".", "")
	p.SetDefaultTTL(defaultTTL)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if err := z.addRR(rr); err != nil {
			return err
		}
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("dnstest: %w", err)
	}
	return nil
}

// AddTXT adds one TXT record of the given character-strings, any octets in
// them, each of at most 255.
func (z *Zone) AddTXT(name dns.Name, parts ...string) {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escape(p)
	}
	z.mustAdd(name, &mdns.TXT{Hdr: header(mdns.TypeTXT), Txt: escaped})
}

// AddAddr adds an A or an AAAA record.
func (z *Zone) AddAddr(name dns.Name, addr netip.Addr) {
	if addr = addr.Unmap(); addr.Is4() {
		z.mustAdd(name, &mdns.A{Hdr: header(mdns.TypeA), A: addr.AsSlice()})
		return
	}
	z.mustAdd(name, &mdns.AAAA{Hdr: header(mdns.TypeAAAA), AAAA: addr.AsSlice()})
}

// AddMX adds an MX record; the zero Name as host makes the null MX (RFC 7505).
func (z *Zone) AddMX(name dns.Name, preference uint16, host dns.Name) {
	z.mustAdd(name, &mdns.MX{Hdr: header(mdns.TypeMX), Preference: preference, Mx: present(host)})
}

// AddPTR adds a PTR record to the reverse name of addr.
func (z *Zone) AddPTR(addr netip.Addr, host dns.Name) {
	z.mustAdd(reverse(addr), &mdns.PTR{Hdr: header(mdns.TypePTR), Ptr: present(host)})
}

// AddCNAME adds an alias.
func (z *Zone) AddCNAME(name, target dns.Name) {
	z.mustAdd(name, &mdns.CNAME{Hdr: header(mdns.TypeCNAME), Target: present(target)})
}

// AddFault adds a fault to name.
func (z *Zone) AddFault(name dns.Name, f Fault) {
	if err := z.addFault(present(name), f); err != nil {
		panic(err)
	}
}

// Remove takes away all records and faults of name. Its descendants stay.
func (z *Zone) Remove(name dns.Name) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.nodes, wire(name))
	for key := range z.nodes { // what is below keeps the name in being
		z.grow(key)
	}
}

// SetDelay holds back every answer by d.
func (z *Zone) SetDelay(d time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.delay = d
}

// Hold keeps back the answers to queries for name, all types if typ is "",
// until release is called.
func (z *Zone) Hold(name dns.Name, typ string) (release func()) {
	h := hold{qtype: mdns.StringToType[typ], until: make(chan struct{})}
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.grow(wire(name))
	n.held = append(n.held, h)
	return sync.OnceFunc(func() { close(h.until) })
}

// Queries tells how often name was asked for typ, such as "TXT"; typ "" adds
// up all types, the zero Name all names.
func (z *Zone) Queries(name dns.Name, typ string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.count(name, typ)
}

func (z *Zone) count(name dns.Name, typ string) int {
	sum := 0
	for q, n := range z.asked {
		if (name.IsZero() || q.name == wire(name)) && (typ == "" || q.qtype == mdns.StringToType[typ]) {
			sum += n
		}
	}
	return sum
}

// Asked lists what was asked since the start, each once, as "TXT example.com", sorted.
func (z *Zone) Asked() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	var out []string
	for q := range z.asked {
		name, _, err := mdns.UnpackDomainName([]byte(q.name), 0)
		if err != nil {
			continue
		}
		out = append(out, mdns.TypeToString[q.qtype]+" "+strings.TrimSuffix(name, "."))
	}
	slices.Sort(out)
	return out
}

// Await waits until Queries(name, typ) is at least n.
func (z *Zone) Await(ctx context.Context, name dns.Name, typ string, n int) error {
	for {
		z.mu.Lock()
		have, changed := z.count(name, typ), z.notify
		z.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dnstest: %d of %d queries for %s %s: %w", have, n, typ, name, ctx.Err())
		case <-changed:
		}
	}
}

func (z *Zone) addFault(name string, f Fault) error {
	key, err := pack(name)
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.grow(key)
	n.faults = append(n.faults, &fault{Fault: f})
	return nil
}

func (z *Zone) mustAdd(name dns.Name, rr mdns.RR) {
	rr.Header().Name = present(name)
	if err := z.addRR(rr); err != nil {
		panic(err)
	}
}

func (z *Zone) addRR(rr mdns.RR) error {
	key, err := pack(rr.Header().Name)
	if err != nil {
		return err
	}
	if _, err := rdata(rr); err != nil {
		return fmt.Errorf("dnstest: %s: %w", rr.Header().Name, err)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.grow(key)
	n.records = append(n.records, rr)
	return nil
}

// grow gives the node of a name, made with all its ancestors where they are
// missing (empty non-terminals, RFC 8020 section 2).
func (z *Zone) grow(key string) *node {
	for k := key; ; k = parent(k) {
		if z.nodes[k] == nil {
			z.nodes[k] = &node{}
		}
		if k == root {
			return z.nodes[key]
		}
	}
}

func header(typ uint16) mdns.RR_Header {
	return mdns.RR_Header{Rrtype: typ, Class: mdns.ClassINET, Ttl: defaultTTL}
}
