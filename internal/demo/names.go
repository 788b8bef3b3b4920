package demo

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
)

// ReportAddress is where the tenants' reports come to.
const ReportAddress = "dmarc@reports.example"

// Names answers look-ups as the DNS does on one day. It may be used by several
// goroutines.
type Names struct{ day int }

// Names gives the DNS of day n, from 1.
func (w *World) Names(n int) Names { return Names{day: n} }

// DMARC is the record of a tenant on that day.
func (n Names) DMARC(tenant string) string {
	return fmt.Sprintf("v=DMARC1; p=%s; rua=mailto:%s", policyOf(tenant, n.day), ReportAddress)
}

// SPF is the record of a tenant.
func (n Names) SPF(tenant string) string {
	text := "v=spf1"
	google := false
	for _, s := range streams() {
		for _, h := range s.hosts {
			switch {
			case s.tenant != tenant:
			case h.Own && h.Addr.Is4():
				text += " ip4:" + h.Addr.String()
			case h.Own:
				text += " ip6:" + h.Addr.String()
			case h.Service == "google.com":
				google = true
			}
		}
	}
	if google {
		text += " include:_spf.google.com"
	}
	return text + " -all"
}

// Selectors are those that a tenant's mail is signed with, whether their keys are there
// or not.
func (n Names) Selectors(tenant string) []string {
	var out []string
	for _, s := range streams() {
		if s.tenant == tenant && s.selector != "" && !slices.Contains(out, s.selector) {
			out = append(out, s.selector)
		}
	}
	return out
}

// texts are the TXT records of a name.
func (n Names) texts(name string) []string {
	for _, t := range Tenants() {
		switch tenant := t.String(); name {
		case tenant:
			return []string{n.SPF(tenant)}
		case "_dmarc." + tenant:
			return []string{n.DMARC(tenant)}
		case tenant + "._report._dmarc.reports.example":
			return []string{"v=DMARC1"}
		}
	}
	switch name {
	case "_spf.google.com":
		return []string{"v=spf1 ip4:198.51.100.40/29 ip6:2001:db8:4864::/48 ~all"}
	case "sendgrid.net", "em.sendgrid.net":
		return []string{"v=spf1 ip4:203.0.113.20/30 ~all"}
	}
	for _, s := range streams() {
		gone := s.event == ServiceBroken && during(s.event, s.tenant, n.day)
		if s.selector != "" && name == s.selector+"._domainkey."+s.tenant && !gone {
			return []string{demoKey}
		}
	}
	return partnerTexts(name)
}

// demoKey is a key that nobody holds: that of RFC 8463 appendix A.2.
const demoKey = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

func none(name dns.Name, typ string) error {
	return &dns.Error{Name: name, Type: typ, Err: dns.ErrNXDomain}
}

// LookupTXT gives the TXT records of a name.
func (n Names) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	if texts := n.texts(name.String()); texts != nil {
		return texts, nil
	}
	return nil, none(name, "TXT")
}

// LookupAddr gives the addresses of a name.
func (n Names) LookupAddr(_ context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, h := range Hosts() {
		if h.Name == name.String() && h.Addr.Is6() == v6 {
			out = append(out, h.Addr)
		}
	}
	if len(out) == 0 {
		return nil, none(name, "A")
	}
	return out, nil
}

// LookupMX gives no hosts: nothing here needs them.
func (n Names) LookupMX(_ context.Context, name dns.Name) ([]dns.Name, error) {
	return nil, none(name, "MX")
}

// LookupPTR gives the name of an address.
func (n Names) LookupPTR(_ context.Context, addr netip.Addr) ([]dns.Name, error) {
	for _, h := range Hosts() {
		if h.Addr == addr.Unmap() && h.Name != "" {
			name, err := dns.Parse(h.Name)
			return []dns.Name{name}, err
		}
	}
	return nil, fmt.Errorf("demo: %s: %w", addr, dns.ErrNXDomain)
}

// Policy is what a tenant publishes on that day.
func (n Names) Policy(tenant string) report.Policy { return policyOf(tenant, n.day) }
