// Package demo makes up a quarter of a year of mail for three tenants: what twelve
// reporters tell of it in reports, what arrived here, and what the DNS said on each
// day. The same seed gives the same. Names and addresses are those that are reserved
// for documentation, but for two services, which are called as they are so that they
// can be recognised.
//
// What was planted is known (see Events, Hosts and Sum), so that every answer about it
// can be checked.
package demo

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Days is how long it lasts: days 1 to 90.
const Days = 90

// The tenants.
const (
	Acme    = "acme.example"    // p=quarantine; a service breaks
	Globex  = "globex.example"  // p=reject; is forged in a wave
	Initech = "initech.example" // p=reject; its record is weakened by mistake
)

// Tenants are the managed domains.
func Tenants() []dns.Name {
	return []dns.Name{dns.MustParse(Acme), dns.MustParse(Globex), dns.MustParse(Initech)}
}

// World is one such quarter. It is not changed by use, and may be used from several
// goroutines.
type World struct {
	seed  uint64
	first memory.Day
}

// New makes the quarter that ends with a day.
func New(seed uint64, last memory.Day) *World { return &World{seed: seed, first: last - Days + 1} }

// Day gives the date of day n, from 1.
func (w *World) Day(n int) memory.Day { return w.first + memory.Day(n-1) }

// EventKind is what was planted.
type EventKind string

// Kinds of events.
const (
	ServiceBroken  EventKind = "service_broken"  // its signatures fail: the key is gone from the DNS
	SpoofWave      EventKind = "spoof_wave"      // forged mail from many addresses
	RecordWeakened EventKind = "record_weakened" // p=none is published
)

// Event is something that was planted. It lasts from day From to day To, both included.
type Event struct {
	Kind     EventKind
	Tenant   string
	Service  string // of ServiceBroken
	Selector string // of ServiceBroken
	From, To int
}

// Events are all that were planted.
func Events() []Event {
	return []Event{
		{Kind: ServiceBroken, Tenant: Acme, Service: "sendgrid.net", Selector: "s1", From: 20, To: 30},
		{Kind: SpoofWave, Tenant: Globex, From: 45, To: 48},
		{Kind: RecordWeakened, Tenant: Initech, From: 60, To: 63},
	}
}

// during tells whether a kind of event of a tenant goes on.
func during(kind EventKind, tenant string, day int) bool {
	for _, e := range Events() {
		if e.Kind == kind && e.Tenant == tenant && e.From <= day && day <= e.To {
			return true
		}
	}
	return false
}

// Host is an address that mail comes from, and what it is in truth.
type Host struct {
	Addr      netip.Addr
	Name      string // in the DNS, both ways; "" for none
	Service   string // domain; "" for nobody's
	Own       bool   // of the tenant
	Forwarder bool
}

// stream is mail of one kind: a tenant's, from some hosts.
type stream struct {
	tenant   string
	hosts    []Host
	weekday  int // messages
	bulk     int // on Tuesdays and Thursdays; 0 for as on others
	selector string
	signer   string // d= of a signature of the service's own; "" for none
	path     string // domain of the return path; "" for the tenant's
	forged   bool   // neither passes
	only     string // reporter that sees it; "" for all
	extra    string // and another one
	event    EventKind
}

func host(addr, name, service string) Host {
	return Host{Addr: netip.MustParseAddr(addr), Name: name, Service: service}
}

func own(tenant, addr, name string) Host {
	return Host{Addr: netip.MustParseAddr(addr), Name: name + "." + tenant, Service: tenant, Own: true}
}

func workspace() []Host {
	return []Host{
		host("198.51.100.41", "mail-lf1-f41.google.com", "google.com"), host("198.51.100.42", "mail-ej1-f42.google.com", "google.com"),
		host("2001:db8:4864::41", "mail-lf1-x141.google.com", "google.com"),
	}
}

func sendgrid() []Host {
	return []Host{
		host("203.0.113.20", "o1.ptr7.sendgrid.net", "sendgrid.net"), host("203.0.113.21", "o2.ptr7.sendgrid.net", "sendgrid.net"),
	}
}

// streams are all mail but forgeries of the wave.
func streams() []stream {
	forwarder := Host{Addr: netip.MustParseAddr("203.0.113.90"), Name: "alumni.uni.example", Service: "uni.example", Forwarder: true}
	return []stream{
		{tenant: Acme, hosts: []Host{own(Acme, "192.0.2.10", "mx1"), own(Acme, "192.0.2.11", "mx2"), own(Acme, "2001:db8:a::10", "mx1")}, weekday: 400, selector: "s2026"},
		{tenant: Acme, hosts: workspace(), weekday: 250, selector: "google"},
		{tenant: Acme, hosts: sendgrid(), weekday: 80, bulk: 600, selector: "s1", signer: "sendgrid.net", path: "em.sendgrid.net", event: ServiceBroken},
		{tenant: Acme, hosts: []Host{forwarder}, weekday: 6, selector: "s2026", path: "alumni.uni.example", only: "bigmail.example", extra: "college.example"},
		{tenant: Globex, hosts: []Host{own(Globex, "192.0.2.30", "mail")}, weekday: 150, selector: "g1"},
		{tenant: Globex, hosts: workspace(), weekday: 120, selector: "google"},
		{tenant: Initech, hosts: []Host{own(Initech, "192.0.2.50", "relay")}, weekday: 60, selector: "k2026"},
		{tenant: Initech, hosts: sendgrid(), weekday: 20, bulk: 120, selector: "s1", signer: "sendgrid.net", path: "em.sendgrid.net"},
	}
}

// wave is the forged mail of a day.
func wave() stream {
	s := stream{tenant: Globex, weekday: 900, forged: true, event: SpoofWave}
	for i := range 40 {
		s.hosts = append(s.hosts, Host{Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(128 + 3*i)})})
	}
	return s
}

// Hosts are all addresses that mail comes from, each once.
func Hosts() []Host {
	var out []Host
	seen := map[netip.Addr]bool{}
	for _, s := range append(streams(), wave()) {
		for _, h := range s.hosts {
			if !seen[h.Addr] {
				seen[h.Addr] = true
				out = append(out, h)
			}
		}
	}
	return out
}

// policyOf is what a tenant publishes on a day.
func policyOf(tenant string, day int) report.Policy {
	switch {
	case during(RecordWeakened, tenant, day):
		return report.PolicyNone
	case tenant == Acme:
		return report.PolicyQuarantine
	}
	return report.PolicyReject
}

// dice gives the chance of one thing, the same whatever else was asked before.
func (w *World) dice(parts ...string) *rand.Rand {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // a hash takes all
		_, _ = h.Write([]byte{0})
	}
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}
