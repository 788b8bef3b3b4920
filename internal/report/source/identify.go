package source

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// Facts are what is known of one address. What is not known is left zero.
type Facts struct {
	Address netip.Addr
	Host    dns.Name   // its reverse name that leads back to it
	Claimed dns.Name   // its reverse name, confirmed or not
	Managed []dns.Name // managed domains that mail from it was seen of
	Covered []Covered  // by which of their SPF records it may send
	Signed  []Seen     // valid signatures of its mail, by d=
	Passed  []Seen     // domains for which SPF passed, of the return path or of HELO
	Network Network
}

// Seen is a domain that reports name, and how much mail of it there was.
type Seen struct {
	Domain   dns.Name
	Selector string // of a signature; "" if not told
	Messages int64
}

// Covered tells that the SPF record of a managed domain gives an address a pass.
type Covered struct {
	Domain dns.Name
	Chain  []dns.Name // from Domain on, the records that lead to the mechanism that matched
	Term   string     // which matched, as written
}

// direct tells that the mechanism stands in the domain's own record, or in one below
// the domain.
func (c *Covered) direct() bool {
	return !slices.ContainsFunc(c.Chain, func(n dns.Name) bool { return n != c.Domain && !n.IsBelow(c.Domain) })
}

// Network is what a database says of the network of an address.
type Network struct {
	Number uint32 // of the autonomous system; 0 for none
	Owner  string // its name, for people
	Domain dns.Name
}

// Confidence is how sure an identification is.
type Confidence string

// Confidences.
const (
	Certain Confidence = "certain" // the operator says so, or the managed domain's own records do
	High    Confidence = "high"    // the service itself says so in the DNS
	Medium  Confidence = "medium"  // somebody else says so
	Low     Confidence = "low"     // a hint
	Unknown Confidence = "unknown"
)

// EvidenceKind is what a piece of evidence is.
type EvidenceKind string

// Kinds of evidence.
const (
	EvidenceRule       EvidenceKind = "rule"        // the operator's map names the network
	EvidenceSPF        EvidenceKind = "spf"         // mechanism of the managed domain's own SPF record
	EvidenceInclude    EvidenceKind = "spf_include" // include of that record, which belongs to a service
	EvidenceHost       EvidenceKind = "host"        // forward-confirmed reverse name
	EvidenceClaimed    EvidenceKind = "claimed"     // reverse name that does not lead back
	EvidenceReturnPath EvidenceKind = "return_path" // SPF passed for that domain
	EvidenceSignature  EvidenceKind = "signature"   // d= of a valid signature
	EvidenceSelector   EvidenceKind = "selector"    // the managed domain's own signature has a selector that a service hands out
	EvidenceNetwork    EvidenceKind = "network"     // owner of the network
)

// Evidence is one piece of it.
type Evidence struct {
	Kind    EvidenceKind `json:"kind"`
	Value   string       `json:"value"`
	Service string       `json:"service,omitempty"` // domain of the service that it speaks for; "" for none
}

// Identification says who is behind an address.
type Identification struct {
	Service    dns.Name   // domain of the service, or the managed domain of own infrastructure; zero for unknown
	Label      string     // for people; "" for a service that the map does not know
	Kind       Kind       // "" for a service that the map does not know
	Confidence Confidence // never ""
	Origin     dns.Name   // another service whose signature the mail carries: it handed the mail to this one; zero for none
	Evidence   []Evidence // what speaks for Service first
}

// maxEvidence bounds the evidence of one identification.
const maxEvidence = 12

// Identify finds the service behind an address. It needs nothing but its arguments, and
// their order does not matter.
func Identify(m *Map, f *Facts) Identification {
	w := weigh{m: m, f: f}
	w.gather()
	out := w.choose()
	out.Evidence = w.evidence(out)
	out.Origin = w.origin(out.Service)
	return out
}

// clue is a piece of evidence with what it is worth.
type clue struct {
	Evidence
	service *Service // that it speaks for; nil for none of the map
	own     dns.Name // managed domain that it speaks for; zero for none
	weight  int64    // messages, among clues of one kind
}

// weigh is one identification at work.
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

// gather turns facts into clues, the heaviest of each kind first.
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
	for _, n := range c.Chain { // the first that is known: what it includes in turn is of its service
		if s := w.m.ByInclude(n); s != nil {
			w.add(EvidenceInclude, n.String(), s, dns.Name{}, 0)
			return
		}
	}
	w.add(EvidenceInclude, c.Chain[len(c.Chain)-1].String(), nil, dns.Name{}, 0)
}

// ownerOf is the managed domain that a name is, or is below; zero for none.
func ownerOf(managed []dns.Name, name dns.Name) dns.Name {
	var out dns.Name
	for _, d := range managed {
		if (name == d || name.IsBelow(d)) && d.Labels() > out.Labels() {
			out = d
		}
	}
	return out
}

// service is the service that clues of a kind speak for; nil where they speak for none.
func (w *weigh) service(kind EvidenceKind) *Service {
	for i := range w.clues {
		if c := &w.clues[i]; c.Kind == kind && c.service != nil {
			return c.service
		}
	}
	return nil
}

// own is the one managed domain that clues of a kind speak for; zero for none, or
// for several: a host that several customers share is nobody's own.
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

// choose follows the order of the package's comment.
func (w *weigh) choose() Identification {
	if s := w.service(EvidenceRule); s != nil {
		return found(s, Certain)
	}
	host, path, include := w.service(EvidenceHost), w.service(EvidenceReturnPath), w.service(EvidenceInclude)
	// A service that sends for others is told from a customer's name for its host, and
	// from a customer's list of its addresses, by what it says itself.
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
			continue // what one customer's record says is not shown to another
		}
		if len(out) < maxEvidence && !slices.Contains(out, c.Evidence) {
			out = append(out, c.Evidence)
		}
	}
	return out
}

// evidenceOrder is by strength.
var evidenceOrder = [...]EvidenceKind{
	EvidenceRule, EvidenceSPF, EvidenceHost, EvidenceReturnPath, EvidenceInclude, EvidenceSignature, EvidenceSelector, EvidenceNetwork, EvidenceClaimed,
}

// origin is the service that signed the mail, where another one is its source.
func (w *weigh) origin(service dns.Name) dns.Name {
	if s := w.service(EvidenceSignature); s != nil && s.Domain != service {
		return s.Domain
	}
	return dns.Name{}
}
