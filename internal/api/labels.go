package api

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// LabelsRequest asks for the labels of sources.
type LabelsRequest struct {
	Domain string `json:"domain,omitempty"` // managed; "" for all
}

// Labels are the labels of sources, by domain.
type Labels struct {
	Labels []analysis.LabelSet `json:"labels"`
}

// AnalysisLabels lists the labels that admins set.
func AnalysisLabels() Op[LabelsRequest, Labels] {
	return Op[LabelsRequest, Labels]{
		Name: "analysis.labels", Summary: "The labels of sources: authorised, forwarder or ignore.",
		Role: RoleViewer, Scope: ScopeDomains,
		Do: func(ctx context.Context, s *Service, v Viewer, in LabelsRequest) (Labels, error) {
			if s.Received == nil {
				return Labels{}, missing("received reports")
			}
			return s.labels(ctx, v, in.Domain)
		},
	}
}

func (s *Service) labels(ctx context.Context, v Viewer, domain string) (Labels, error) {
	var managed []dns.Name
	if v.Limited() {
		managed = v.Domains
	}
	if domain != "" {
		name, err := dns.Parse(domain)
		if err != nil {
			return Labels{}, errkind.Wrap(errkind.BadRequest, err)
		}
		managed = slices.DeleteFunc([]dns.Name{name}, func(n dns.Name) bool { return !v.Sees(n) })
	}
	list, err := s.Received.Labels(ctx, managed)
	return Labels{Labels: append([]analysis.LabelSet{}, list...)}, err
}

// SetLabelRequest labels a source of a managed domain. One of Service, Host and Network is set;
// the label of a host or network is an exception from that of its service.
type SetLabelRequest struct {
	Domain  string         `json:"domain"`
	Service string         `json:"service,omitempty"`
	Host    string         `json:"host,omitempty"`
	Network string         `json:"network,omitempty"` // CIDR, or an address
	Label   analysis.Label `json:"label"`             // "" takes it away
	Note    string         `json:"note,omitempty"`
}

// maxLabelNote bounds a note, in octets.
const maxLabelNote = 500

// AnalysisSetLabel labels a source, and returns all labels that the viewer may see.
func AnalysisSetLabel() Op[SetLabelRequest, Labels] {
	return Op[SetLabelRequest, Labels]{
		Name: "analysis.set_label", Summary: "Label a source of a managed domain as authorised, forwarder or ignore, or take its label away.",
		Role: RoleAdmin, Scope: ScopeDomains, Changes: true,
		Example: SetLabelRequest{Domain: "ours.example", Service: "mailer.example", Label: analysis.LabelAuthorised}, Do: setLabel,
	}
}

func setLabel(ctx context.Context, s *Service, v Viewer, in SetLabelRequest) (Labels, error) {
	if s.Received == nil {
		return Labels{}, missing("received reports")
	}
	l, err := s.readLabel(v, &in)
	if err != nil {
		return Labels{}, err
	}
	if err := s.Received.SetLabel(ctx, l); err != nil {
		return Labels{}, err
	}
	return s.labels(ctx, v, "")
}

// readLabel checks a request.
func (s *Service) readLabel(v Viewer, in *SetLabelRequest) (analysis.LabelSet, error) {
	bad := func(format string, args ...any) (analysis.LabelSet, error) {
		return analysis.LabelSet{}, errkind.Errorf(errkind.BadRequest, format, args...)
	}
	domain, err := dns.Parse(in.Domain)
	switch {
	case err != nil:
		return bad("%w", err)
	case !v.Sees(domain) || analysis.ManagedBy(s.Settings()).Owner(domain) != domain:
		return analysis.LabelSet{}, errkind.Errorf(errkind.NotFound, "there is no managed domain %s", domain)
	case len(in.Note) > maxLabelNote:
		return bad("a note of over %d octets", maxLabelNote)
	}
	switch in.Label {
	case analysis.LabelNone, analysis.LabelAuthorised, analysis.LabelForwarder, analysis.LabelIgnore:
	default:
		return bad("%q is none of authorised, forwarder, ignore", in.Label)
	}
	l := analysis.LabelSet{Domain: domain, Label: in.Label, Note: in.Note, By: v.name(), At: s.Now().UTC().Truncate(time.Second)}
	named := 0
	for _, text := range []string{in.Service, in.Host, in.Network} {
		if text != "" {
			named++
		}
	}
	if named != 1 {
		return bad("name one of service, host and network")
	}
	switch {
	case in.Service == analysis.ServiceUnknown:
		return bad("what is not identified cannot be labelled as one; name a host or network")
	case in.Network != "":
		l.Network, err = readNetwork(in.Network)
	case in.Host != "":
		l.Host, err = readName(in.Host)
	default:
		l.Service, err = readName(in.Service)
	}
	if err != nil {
		return bad("%w", err)
	}
	return l, nil
}

func readName(text string) (string, error) {
	name, err := dns.Parse(text)
	return name.String(), err
}

// readNetwork parses a CIDR block or an address.
func readNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err
}

// SetLabel converts arguments to a request.
func SetLabel(r SetLabelRequest, args []string, host bool) SetLabelRequest {
	r.Domain = args[0]
	_, notAddress := netip.ParseAddr(args[1])
	switch {
	case host:
		r.Host = args[1]
	case notAddress == nil || strings.Contains(args[1], "/"):
		r.Network = args[1]
	default:
		r.Service = args[1]
	}
	if args[2] != "none" {
		r.Label = analysis.Label(args[2])
	}
	return r
}
