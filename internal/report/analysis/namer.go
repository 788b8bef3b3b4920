package analysis

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/source"
)

// maxCovering bounds the managed domains whose SPF records are evaluated for an address.
const maxCovering = 5

// SourceAbout is what is known about a source in addition to its names.
type SourceAbout struct {
	Name       string                   `json:"name,omitempty"` // of the service, for people
	Kind       source.Kind              `json:"kind,omitempty"`
	Confidence source.Confidence        `json:"confidence,omitempty"`
	Evidence   []source.Evidence        `json:"evidence,omitempty"`
	Origin     string                   `json:"origin,omitempty"` // service that signed the mail, if another one is the source
	Forwarding source.Forwarding        `json:"forwarding,omitempty"`
	Why        []source.ForwardEvidence `json:"forwarding_why,omitempty"`
}

// SourceNamer identifies the sources of received reports. It omits the evidence of nil fields.
// It is safe for concurrent use.
type SourceNamer struct {
	Names    NameResolver
	SPF      spf.Resolver                             // should have a cache
	Services *source.Map                              // email services
	Network  func(netip.Addr) (source.Network, error) // looks up the network of an address
}

// Name looks a source up and weighs the evidence: its names, the SPF records of the managed
// domains that it sent for, and the reports on its mail.
func (n *SourceNamer) Name(ctx context.Context, o *Observed, now time.Time) Identity {
	out := LookUpSource(ctx, n.Names, o.Source, now)
	if n.Services == nil {
		return out
	}
	facts := o.Facts()
	facts.Host, facts.Claimed = nameOrZero(out.Host), nameOrZero(out.Claimed)
	sure := n.cover(ctx, &facts)
	if n.Network != nil {
		if network, err := n.Network(o.Source); err == nil {
			facts.Network = network
		}
	}
	id := source.Identify(n.Services, &facts)
	if !id.Service.IsZero() {
		out.Service = id.Service.String()
	}
	if !sure {
		out.Again = now.Add(troubleKept)
		out.Unsure = out.Unsure || id.Confidence == source.Unknown
	}
	out.About = SourceAbout{Name: id.Label, Kind: id.Kind, Confidence: id.Confidence, Evidence: id.Evidence, Origin: id.Origin.String()}
	out.About.Forwarding, out.About.Why = source.Forwards(&id, &o.Traffic)
	return out
}

// cover evaluates SPF records; false if one could not be evaluated.
func (n *SourceNamer) cover(ctx context.Context, f *source.Facts) (sure bool) {
	if n.SPF == nil {
		return true
	}
	sure = true
	for _, domain := range f.Managed[:min(len(f.Managed), maxCovering)] {
		c, ok, err := source.Cover(ctx, n.SPF, domain, f.Address)
		switch {
		case err != nil:
			sure = false
		case ok:
			f.Covered = append(f.Covered, c)
		}
	}
	return sure
}

func nameOrZero(text string) dns.Name {
	name, err := dns.Parse(text)
	if err != nil {
		return dns.Name{}
	}
	return name
}
