package analysis

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/text"
)

// probe is an address that no SPF record lists on purpose (RFC 5737): a check of it evaluates
// the whole record, with every include.
var probe = netip.MustParseAddr("192.0.2.255")

// checkSPF checks the SPF record of a domain.
func (v *Verifier) checkSPF(ctx context.Context, domain dns.Name) Check {
	record := ""
	if texts, err := v.Resolver.LookupTXT(ctx, domain); err == nil {
		record = spfRecord(texts)
	}
	out := func(result CheckResult, format string, args ...any) Check {
		return Check{Name: domain.String(), Result: result, Text: fmt.Sprintf(format, args...), Record: record}
	}
	checker := spf.Checker{Resolver: v.Resolver, Prefetch: true}
	r := checker.Check(ctx, spf.Request{IP: probe, Helo: domain.String(), Local: "postmaster", Host: domain.String()})
	switch r.Status {
	case spf.None:
		return out(CheckWarning, "no SPF record")
	case spf.PermError:
		return out(CheckFault, "the SPF record is broken: %s", spfTrouble(r.Err))
	case spf.TempError:
		return out(CheckUnknown, "the SPF record could not be looked up: %s", spfTrouble(r.Err))
	case spf.Pass:
		if r.Mechanism == "+all" || r.Mechanism == "all" {
			return out(CheckFault, "the SPF record lets everybody pass (%s)", r.Mechanism)
		}
	}
	end := r.Mechanism
	if end == "" {
		end = "nothing"
	}
	return out(CheckOK, "an SPF record that ends in %s, with %d of 10 look-ups", end, r.Lookups)
}

// spfRecord returns the SPF records among texts, one per line.
func spfRecord(texts []string) string {
	var found []string
	for _, s := range texts {
		if version, _, _ := strings.Cut(s, " "); strings.EqualFold(version, "v=spf1") {
			found = append(found, s)
		}
	}
	return strings.Join(found, "\n")
}

// spfTrouble describes an SPF error without the names of packages.
func spfTrouble(err error) string {
	if err == nil {
		return "unknown"
	}
	return text.Error(err)
}

// checkKey checks the DKIM key of a selector in use.
func (v *Verifier) checkKey(ctx context.Context, s Selector) Check {
	out := Check{Name: s.Selector + "._domainkey." + s.Domain.String()}
	tell := func(result CheckResult, format string, args ...any) Check {
		out.Result, out.Text = result, fmt.Sprintf(format, args...)
		return out
	}
	name, err := s.Domain.Child(s.Selector + "._domainkey")
	if err != nil {
		return tell(CheckFault, "no name that a key could have")
	}
	texts, err := v.Resolver.LookupTXT(ctx, name)
	switch {
	case dns.IsNone(err):
		return tell(CheckFault, "no key; %d messages named it", s.Messages)
	case err != nil:
		return tell(CheckUnknown, "the key could not be looked up: %s", DNSTrouble(err))
	case len(texts) > 1:
		out.Record = strings.Join(texts, "\n")
		return tell(CheckWarning, "%d records where one is allowed; which one counts is not defined", len(texts))
	}
	out.Record = strings.Join(texts, "")
	tags := canonical(out.Record)
	switch key, ok := tags["p"]; {
	case !ok:
		return tell(CheckFault, "no key in the record")
	case key == "":
		return tell(CheckFault, "the key is revoked (p is empty)")
	case strings.Contains(tags["t"], "y"):
		return tell(CheckWarning, "a key in test mode (t=y)")
	}
	return tell(CheckOK, "a key; %d messages named it", s.Messages)
}
