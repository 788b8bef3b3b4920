package source

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// Facts are the facts about one address. Unknown ones are zero.
type Facts struct {
	Address netip.Addr
	Host    dns.Name   // its forward-confirmed reverse name
	Claimed dns.Name   // its reverse name, confirmed or not
	Managed []dns.Name // managed domains of its mail
	Covered []Covered  // the SPF records among theirs that let it send
	Signed  []Seen     // valid signatures of its mail, by d=
	Passed  []Seen     // domains for which SPF passed, of the return path or of HELO
	Network Network
}

// Seen is a domain in reports, with the amount of its mail.
type Seen struct {
	Domain   dns.Name
	Selector string // of a signature; "" if not stated
	Messages int64
}

// Covered means that the SPF record of a managed domain gives an address a pass.
type Covered struct {
	Domain dns.Name
	Chain  []dns.Name // the records from Domain to the mechanism that matched
	Term   string     // the mechanism that matched, as written
}

// direct reports whether the mechanism is in the domain's own record, or in one below the
// domain.
func (c *Covered) direct() bool {
	return !slices.ContainsFunc(c.Chain, func(n dns.Name) bool { return n != c.Domain && !n.IsBelow(c.Domain) })
}

// Network is a database's entry for the network of an address.
type Network struct {
	Number uint32 // of the autonomous system; 0 for none
	Owner  string // its name, for people
	Domain dns.Name
}

// Confidence is the certainty of an identification.
type Confidence string

// Confidences.
const (
	Certain Confidence = "certain" // stated by the operator, or by the managed domain's own records
	High    Confidence = "high"    // stated by the service itself in the DNS
	Medium  Confidence = "medium"  // stated by somebody else
	Low     Confidence = "low"     // a hint
	Unknown Confidence = "unknown"
)

// EvidenceKind is the kind of a piece of evidence.
type EvidenceKind string

// Kinds of evidence.
const (
	EvidenceRule       EvidenceKind = "rule"        // the operator's map names the network
	EvidenceSPF        EvidenceKind = "spf"         // mechanism of the managed domain's own SPF record
	EvidenceInclude    EvidenceKind = "spf_include" // include of that record that belongs to a service
	EvidenceHost       EvidenceKind = "host"        // forward-confirmed reverse name
	EvidenceClaimed    EvidenceKind = "claimed"     // unconfirmed reverse name
	EvidenceReturnPath EvidenceKind = "return_path" // SPF passed for that domain
	EvidenceSignature  EvidenceKind = "signature"   // d= of a valid signature
	EvidenceSelector   EvidenceKind = "selector"    // selector of the managed domain's own signature, handed out by a service
	EvidenceNetwork    EvidenceKind = "network"     // owner of the network
)

// Evidence is one piece of evidence.
type Evidence struct {
	Kind    EvidenceKind `json:"kind"`
	Value   string       `json:"value"`
	Service string       `json:"service,omitempty"` // domain of the service that it indicates; "" for none
}

// Identification is the identified party behind an address.
type Identification struct {
	Service    dns.Name   // domain of the service, or the managed domain of own infrastructure; zero for unknown
	Label      string     // for people; "" for a service not in the map
	Kind       Kind       // "" for a service not in the map
	Confidence Confidence // never ""
	Origin     dns.Name   // another service that signed the mail and handed it to this one; zero for none
	Evidence   []Evidence // that for Service first
}

// maxEvidence bounds the evidence of one identification.
const maxEvidence = 12

// Identify finds the service behind an address. It is a pure function of its arguments, and
// their order does not matter.
func Identify(m *Map, f *Facts) Identification {
	w := weigh{m: m, f: f}
	w.gather()
	out := w.choose()
	out.Evidence = w.evidence(out)
	out.Origin = w.origin(out.Service)
	return out
}

// clue is a piece of evidence with its weight.
type clue struct {
	Evidence
	service *Service // the service that it indicates; nil for none of the map
	own     dns.Name // the managed domain that it indicates; zero for none
	weight  int64    // messages, among clues of one kind
}

// weigh is the state of one identification.
type weigh struct {
	m     *Map
	f     *Facts
	clues []clue
}

func (w *weigh) add(kind EvidenceKind, value string, s *Service, own dns.Name, weight int64) {
	c := clue{Evidence: Evidence{Kind: kind, Value: value}, service: s, own: own, weight: weight}
	if s != nil {
		c.Service = s.Domain.String()
	} else if !own.IsZero() {
		c.Service = own.String()
	}
	w.clues = append(w.clues, c)
}

// gather converts facts to clues, the heaviest of each kind first.
func (w *weigh) gather() {
	f := w.f
	if s := w.m.ByNetwork(f.Address); s != nil {
		w.add(EvidenceRule, f.Address.Unmap().String(), s, dns.Name{}, 0)
	}
	for i := range f.Covered {
		w.covered(&f.Covered[i])
	}
	if !f.Host.IsZero() {
		w.add(EvidenceHost, f.Host.String(), w.m.ByHost(f.Host), ownerOf(f.Managed, f.Host), 0)
	} else if !f.Claimed.IsZero() {
		w.add(EvidenceClaimed, f.Claimed.String(), nil, dns.Name{}, 0)
	}
	for _, p := range f.Passed {
		if ownerOf(f.Managed, p.Domain).IsZero() {
			w.add(EvidenceReturnPath, p.Domain.String(), w.m.BySigner(p.Domain), dns.Name{}, p.Messages)
		}
	}
	for _, s := range f.Signed {
		if ownerOf(f.Managed, s.Domain).IsZero() {
			w.add(EvidenceSignature, s.Domain.String(), w.m.BySigner(s.Domain), dns.Name{}, s.Messages)
		} else if service := w.m.BySelector(s.Selector); service != nil {
			w.add(EvidenceSelector, s.Selector, service, dns.Name{}, s.Messages)
		}
	}
	if f.Network.Owner != "" || !f.Network.Domain.IsZero() {
		w.add(EvidenceNetwork, cmp.Or(f.Network.Owner, f.Network.Domain.String()), w.m.ByHost(f.Network.Domain), dns.Name{}, 0)
	}
	slices.SortStableFunc(w.clues, func(a, b clue) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), strings.Compare(a.Value, b.Value))
	})
}

func (w *weigh) covered(c *Covered) {
	if c.direct() {
		w.add(EvidenceSPF, c.Domain.String()+": "+c.Term, nil, c.Domain, 0)
		return
	}
	for _, n := range c.Chain { // the first known one: its own includes belong to its service
		if s := w.m.ByInclude(n); s != nil {
			w.add(EvidenceInclude, n.String(), s, dns.Name{}, 0)
			return
		}
	}
	w.add(EvidenceInclude, c.Chain[len(c.Chain)-1].String(), nil, dns.Name{}, 0)
}

// ownerOf returns the managed domain at or above a name; zero for none.
func ownerOf(managed []dns.Name, name dns.Name) dns.Name {
	var out dns.Name
	for _, d := range managed {
		if (name == d || name.IsBelow(d)) && d.Labels() > out.Labels() {
			out = d
		}
	}
	return out
}

// service returns the service that clues of a kind indicate; nil for none.
func (w *weigh) service(kind EvidenceKind) *Service {
	for i := range w.clues {
		if c := &w.clues[i]; c.Kind == kind && c.service != nil {
			return c.service
		}
	}
	return nil
}

// own returns the one managed domain that clues of a kind indicate; zero for none or
// several: a host that several customers share belongs to none of them.
func (w *weigh) own(kind EvidenceKind) dns.Name {
	var out dns.Name
	for i := range w.clues {
		if c := &w.clues[i]; c.Kind == kind && !c.own.IsZero() {
			if !out.IsZero() && out != c.own {
				return dns.Name{}
			}
			out = c.own
		}
	}
	return out
}

func found(s *Service, c Confidence) Identification {
	return Identification{Service: s.Domain, Label: s.Label, Kind: s.Kind, Confidence: c}
}

// choose applies the order of the package comment.
func (w *weigh) choose() Identification {
	if s := w.service(EvidenceRule); s != nil {
		return found(s, Certain)
	}
	host, path, include := w.service(EvidenceHost), w.service(EvidenceReturnPath), w.service(EvidenceInclude)
	// A service that sends for others is recognised by its own declarations, despite a
	// customer's name for its host or a customer's list of its addresses.
	sender := path
	if sender == nil || !sender.Kind.Sends() {
		sender = include
	}
	if own := w.own(EvidenceHost); !own.IsZero() && (sender == nil || !sender.Kind.Sends()) {
		return Identification{Service: own, Kind: KindOwn, Confidence: Certain}
	}
	if own := w.own(EvidenceSPF); !own.IsZero() && (host == nil || host.Kind == KindHosting || host.Kind == KindAccess) &&
		(path == nil || !path.Kind.Sends()) {
		return Identification{Service: own, Kind: KindOwn, Confidence: Certain}
	}
	switch {
	case host != nil:
		return found(host, High)
	case path != nil:
		return found(path, High)
	case include != nil:
		return found(include, Medium)
	case !w.f.Host.IsZero():
		return Identification{Service: dmarc.ListOrg(w.f.Host), Confidence: Medium}
	}
	for _, kind := range []EvidenceKind{EvidenceSignature, EvidenceSelector} {
		if s := w.service(kind); s != nil {
			return found(s, Low)
		}
	}
	if s := w.service(EvidenceNetwork); s != nil {
		return found(s, Low)
	}
	if d := w.f.Network.Domain; !d.IsZero() {
		return Identification{Service: dmarc.ListOrg(d), Label: w.f.Network.Owner, Confidence: Low}
	}
	return Identification{Confidence: Unknown}
}

// evidence lists the clues, those for the service first.
func (w *weigh) evidence(chosen Identification) []Evidence {
	rank := func(c *clue) int {
		i := slices.Index(evidenceOrder[:], c.Kind)
		if c.Service != chosen.Service.String() || c.Service == "" {
			i += len(evidenceOrder)
		}
		return i
	}
	sorted := slices.Clone(w.clues)
	slices.SortStableFunc(sorted, func(a, b clue) int { return rank(&a) - rank(&b) })
	var out []Evidence
	for i := range sorted {
		c := &sorted[i]
		if c.Kind == EvidenceSPF && c.own != chosen.Service {
			continue // one customer's record is not shown to another
		}
		if len(out) < maxEvidence && !slices.Contains(out, c.Evidence) {
			out = append(out, c.Evidence)
		}
	}
	return out
}

// evidenceOrder orders kinds by strength.
var evidenceOrder = [...]EvidenceKind{
	EvidenceRule, EvidenceSPF, EvidenceHost, EvidenceReturnPath, EvidenceInclude, EvidenceSignature, EvidenceSelector, EvidenceNetwork, EvidenceClaimed,
}

// origin returns the service that signed the mail, if another one is its source.
func (w *weigh) origin(service dns.Name) dns.Name {
	if s := w.service(EvidenceSignature); s != nil && s.Domain != service {
		return s.Domain
	}
	return dns.Name{}
}
