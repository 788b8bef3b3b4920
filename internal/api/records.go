package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

// Lookup names a domain.
type Lookup struct {
	Domain string `json:"domain"`
}

// FoundRecord is the DMARC record that governs mail from a domain.
type FoundRecord struct {
	Result       string       `json:"result"` // found, none or temperror
	Domain       string       `json:"domain"`
	OrgDomain    string       `json:"org_domain,omitempty"`
	PolicyDomain string       `json:"policy_domain,omitempty"` // where the record is
	Record       string       `json:"record,omitempty"`
	Warnings     []string     `json:"warnings,omitempty"`
	Tag          string       `json:"tag,omitempty"` // that gives the policy: p, sp or np
	Requested    string       `json:"requested,omitempty"`
	Policy       string       `json:"policy,omitempty"` // after t=y
	Walk         []LookupStep `json:"walk,omitempty"`
	Error        string       `json:"error,omitempty"`
}

// LookupStep is one name that was queried for a record.
type LookupStep struct {
	Name   string `json:"name"`
	Record string `json:"record,omitempty"`
	Error  string `json:"error,omitempty"`
}

// RecordLookup walks the DNS tree from a domain (RFC 9989 section 4.10).
func RecordLookup() Op[Lookup, FoundRecord] {
	return Op[Lookup, FoundRecord]{
		Name: "record.lookup", Summary: "Which DMARC record governs mail from a domain, and every name asked for it.",
		Role: RoleViewer, Scope: ScopeNone, Example: Lookup{Domain: "example.com"}, Do: lookUpRecord,
	}
}

func lookUpRecord(ctx context.Context, s *Service, _ Viewer, in Lookup) (FoundRecord, error) {
	name, err := dns.Parse(in.Domain)
	if err != nil {
		return FoundRecord{}, errkind.Wrap(errkind.BadRequest, err)
	}
	if s.DNS == nil {
		return FoundRecord{}, missing("DNS")
	}
	config := s.Settings()
	ctx, cancel := context.WithTimeout(ctx, config.Resolver.Budget)
	defer cancel()
	discoverer := dmarc.Discoverer{Resolver: s.DNS, PSL: config.Discovery == settings.DiscoveryPSL}
	discovery := discoverer.Begin(ctx, name)
	defer discovery.Close()
	discovery.Wait() // the whole walk is shown, needed for a result or not
	r := discovery.Evaluate(nil)
	out := FoundRecord{
		Result: "none", Domain: name.String(), OrgDomain: r.OrgDomain.String(), PolicyDomain: r.PolicyDomain.String(),
		Tag: r.Source, Requested: string(r.Requested), Policy: string(r.Policy), Error: troubleText(r.Err),
	}
	switch {
	case r.Record != nil:
		out.Result, out.Record, out.Warnings = "found", r.Record.Text, r.Record.Warnings
	case r.Status == dmarc.TempError:
		out.Result = string(dmarc.TempError)
	}
	for _, step := range r.Walk {
		out.Walk = append(out.Walk, LookupStep{Name: "_dmarc." + step.Name.String(), Record: step.Text, Error: troubleText(step.Err)})
	}
	return out, nil
}

// troubleText describes a DNS error for people; "" for none.
func troubleText(err error) string {
	if err == nil {
		return ""
	}
	return analysis.DNSTrouble(err)
}

// VerifyRequest names domains to verify.
type VerifyRequest struct {
	Domains []string `json:"domains,omitempty"` // at most 1000; empty: every managed domain that is known by name
	// Expect is the expected record: nil for the one generated last, "" for any.
	Expect *string `json:"expect,omitempty"`
}

// RecordVerify checks in the DNS, bypassing our caches, whether reports on domains come to us.
func RecordVerify() Stream[VerifyRequest, analysis.Verification] {
	return Stream[VerifyRequest, analysis.Verification]{
		Name: "record.verify", Summary: "Whether the DMARC records of domains are in effect and send their reports to us.",
		Role: RoleViewer, Scope: ScopeDomains, Do: verifyRecords,
	}
}

// Bounds of verifying.
const (
	verifyAtOnce   = 8
	verifyBudget   = 30 * time.Second // for one domain
	selectorsShown = 50               // of one domain
	selectorsSince = 30               // days
)

func verifyRecords(ctx context.Context, s *Service, v Viewer, in VerifyRequest, yield func(*analysis.Verification) error) error {
	if s.DNS == nil {
		return missing("DNS")
	}
	names, err := s.askedDomains(v, in.Domains)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		analysis.Verification
		err error
	}
	waiting := make(chan chan result, verifyAtOnce)
	go func() { // it ends with ctx, or with the list
		defer close(waiting)
		for _, name := range names {
			one := make(chan result, 1)
			select {
			case waiting <- one:
			case <-ctx.Done():
				return
			}
			go func() {
				found, err := s.verifyRecord(ctx, name, in.Expect)
				one <- result{found, err}
			}()
		}
	}()
	for one := range waiting {
		r := <-one
		if r.err != nil {
			return r.err
		}
		if err := yield(&r.Verification); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// verifyRecord verifies one domain, using what the store knows about it.
func (s *Service) verifyRecord(ctx context.Context, name dns.Name, expect *string) (analysis.Verification, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyBudget)
	defer cancel()
	config := s.Settings()
	req := analysis.VerifyRequest{Domain: name, Ours: analysis.OurAddresses(config, name), Foreign: func(address string) bool {
		domains, some := analysis.Customer(config, address)
		return some && domains != nil
	}}
	if expect != nil {
		req.Expected = strings.TrimSpace(*expect)
	}
	if s.Received != nil {
		var err error
		if expect == nil {
			if req.Expected, err = s.Received.Expected(ctx, name); err != nil {
				return analysis.Verification{}, err
			}
		}
		since := today(s) - selectorsSince
		if req.Selectors, err = s.Received.Selectors(ctx, name, since, selectorsShown); err != nil {
			return analysis.Verification{}, err
		}
	}
	verifier := analysis.Verifier{Resolver: s.DNS, PSL: config.Discovery == settings.DiscoveryPSL}
	return verifier.Verify(ctx, &req), nil
}

// askedDomains returns the domains of a request that the viewer may see: every managed one if it
// names none.
func (s *Service) askedDomains(v Viewer, asked []string) ([]dns.Name, error) {
	if len(asked) == 0 {
		managed := analysis.ManagedBy(s.Settings()).Names()
		names := slices.DeleteFunc(managed, func(n dns.Name) bool { return !v.Sees(n) })
		if len(names) == 0 {
			return nil, errkind.Errorf(errkind.NotFound, "no domain is managed: name the domains in analysis.domains of dmarcd.yaml, or in policy.yaml")
		}
		return names, nil
	}
	if len(asked) > maxPage {
		return nil, errkind.Errorf(errkind.BadRequest, "domains: at most %d at a time", maxPage)
	}
	var names []dns.Name
	for _, text := range asked {
		name, err := dns.Parse(text)
		switch {
		case err != nil:
			return nil, errkind.Wrap(errkind.BadRequest, err)
		case !v.Sees(name):
			return nil, errkind.Errorf(errkind.NotFound, "there is no managed domain %s", name)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, nil
}

// GenerateRequest names domains and the wanted content of their records.
type GenerateRequest struct {
	Domains []string `json:"domains,omitempty"` // at most 100; empty: every managed domain that is known by name
	analysis.RecordChange
}

// maxGenerated bounds the domains of one request.
const maxGenerated = 100

// GeneratedRecords are records, ready to publish.
type GeneratedRecords struct {
	Records []GeneratedRecord `json:"records"`
}

// GeneratedRecord is a record for a domain.
type GeneratedRecord struct {
	Domain    dns.Name `json:"domain"`
	Name      string   `json:"name"`               // where it belongs
	Record    string   `json:"record"`             // value of the TXT record
	Zone      string   `json:"zone"`               // the same as a line of a zone file
	Standing  string   `json:"standing,omitempty"` // record of its own that stands; "" for none
	Inherited string   `json:"inherited,omitempty"`
	// From is where the inherited record is; "" for none.
	From           string               `json:"inherited_from,omitempty"`
	Changes        []analysis.TagChange `json:"changes"`
	Authorizations []Authorization      `json:"authorizations"`
	Notes          []string             `json:"notes"`
}

// Authorization is the record by which an address's host accepts the reports of another
// organization (RFC 9990 section 4).
type Authorization struct {
	Address string `json:"address"`
	Name    string `json:"name"`
	Zone    string `json:"zone"`
	State   string `json:"state"` // published, missing or unknown
	Text    string `json:"text,omitempty"`
}

// RecordGenerate generates records from the existing ones. RecordVerify then expects each.
func RecordGenerate() Op[GenerateRequest, GeneratedRecords] {
	return Op[GenerateRequest, GeneratedRecords]{
		Name: "record.generate", Summary: "A DMARC record for a domain, made of the one that stands.",
		Role: RoleAdmin, Scope: ScopeDomains, Changes: true, Do: generateRecords,
	}
}

func generateRecords(ctx context.Context, s *Service, v Viewer, in GenerateRequest) (GeneratedRecords, error) {
	if s.DNS == nil {
		return GeneratedRecords{}, missing("DNS")
	}
	names, err := s.askedDomains(v, in.Domains)
	switch {
	case err != nil:
		return GeneratedRecords{}, err
	case len(names) > maxGenerated:
		return GeneratedRecords{}, errkind.Errorf(errkind.BadRequest, "%d domains at once; name at most %d", len(names), maxGenerated)
	}
	out := GeneratedRecords{}
	for _, name := range names {
		one, err := s.generateRecord(ctx, name, in.RecordChange)
		if err != nil {
			return GeneratedRecords{}, err
		}
		out.Records = append(out.Records, one)
	}
	return out, nil
}

func (s *Service) generateRecord(ctx context.Context, domain dns.Name, change analysis.RecordChange) (GeneratedRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyBudget)
	defer cancel()
	name, err := analysis.RecordName(domain)
	if err != nil {
		return GeneratedRecord{}, errkind.Wrap(errkind.BadRequest, err)
	}
	out := GeneratedRecord{Domain: domain, Name: name.String(), Authorizations: []Authorization{}}
	fallback, err := s.standing(ctx, domain, name, &out)
	if err != nil {
		return GeneratedRecord{}, err
	}
	own := ""
	if ours := analysis.OurAddresses(s.Settings(), domain); len(ours) > 0 {
		own = ours[0].Address
	} else {
		out.Notes = append(out.Notes, "no address of ours is known, so rua has none: set analysis.addresses in dmarcd.yaml")
	}
	made, err := analysis.GenerateRecord(out.Standing, change, own, fallback)
	if err != nil {
		return GeneratedRecord{}, errkind.Wrap(errkind.BadRequest, err)
	}
	out.Record, out.Zone = made.Text, analysis.ZoneLine(name, made.Text)
	out.Changes = append([]analysis.TagChange{}, made.Changes...)
	out.Notes = append(append([]string{}, out.Notes...), made.Notes...)
	s.authorize(ctx, domain, &out)
	if s.Received == nil {
		return out, nil
	}
	if err := s.warnOfLoss(ctx, domain, &out); err != nil {
		return GeneratedRecord{}, err
	}
	return out, s.Received.SetExpected(ctx, domain, out.Record, s.Now())
}

// standing returns the existing record, and the policy for a record without one: the one that
// applies so far.
func (s *Service) standing(ctx context.Context, domain, name dns.Name, out *GeneratedRecord) (dmarc.Policy, error) {
	texts, _, err := s.DNS.LookupTTL(ctx, name)
	if err != nil && !dns.IsNone(err) {
		return "", errkind.Errorf(errkind.Trouble, "the record that stands could not be looked up: %s: %s", name, analysis.DNSTrouble(err))
	}
	for _, text := range texts {
		if _, err := dmarc.ParseRecord(text); err != nil {
			continue
		}
		if out.Standing == "" {
			out.Standing = text
			continue
		}
		out.Notes = append(out.Notes, fmt.Sprintf("there are several DMARC records at %s; delete all others: %s", name, text))
	}
	if out.Standing != "" {
		return dmarc.PolicyNone, nil
	}
	discoverer := dmarc.Discoverer{Resolver: s.DNS, PSL: s.Settings().Discovery == settings.DiscoveryPSL}
	discovery := discoverer.Begin(ctx, domain)
	defer discovery.Close()
	r := discovery.Evaluate(nil)
	switch {
	case r.Record == nil && r.Status == dmarc.TempError:
		return "", errkind.Errorf(errkind.Trouble, "the record that applies could not be looked up: %s", analysis.DNSTrouble(r.Err))
	case r.Record == nil:
		return dmarc.PolicyNone, nil
	}
	out.Inherited, out.From = r.Record.Text, r.PolicyDomain.String()
	out.Notes = append(out.Notes, fmt.Sprintf("so far the record of %s applies, with the policy %s; a record of its own takes its place altogether", out.From, r.Requested))
	return r.Requested, nil
}

// authorize determines which outside hosts must accept the reports, and whether they do.
func (s *Service) authorize(ctx context.Context, domain dns.Name, out *GeneratedRecord) {
	for _, a := range analysis.Authorizations(ctx, s.DNS, s.Settings().Discovery == settings.DiscoveryPSL, domain, out.Record) {
		one := Authorization{Address: a.Address, Name: a.Name.String(), Zone: analysis.ZoneLine(a.Name, "v=DMARC1"), State: "published"}
		switch {
		case a.Err != nil:
			one.State, one.Text = "unknown", analysis.DNSTrouble(a.Err)
		case a.Refused != "":
			one.State, one.Text = "missing", a.Refused
		}
		out.Authorizations = append(out.Authorizations, one)
	}
}

// warnOfLoss states how much mail of authorised sources a stricter policy would hit, and why the
// domain is not ready for it.
func (s *Service) warnOfLoss(ctx context.Context, domain dns.Name, out *GeneratedRecord) error {
	record, err := dmarc.ParseRecord(out.Record)
	if err != nil || record.P == dmarc.PolicyNone {
		return nil
	}
	if before, err := dmarc.ParseRecord(out.Standing); err == nil && before.P == record.P {
		return nil
	}
	const days = 30
	f := analysis.Filter{From: today(s) - days + 1, To: today(s), Domain: []dns.Name{domain}, Result: analysis.ResultNotCompliant}
	f.Label.Any = []analysis.Label{analysis.LabelAuthorised}
	page, err := s.Received.Overview(ctx, analysis.Query{Filter: f, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Rows) > 0 {
		if weekly := page.Rows[0].Messages * 7 / days; weekly > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("p=%s would affect about %d messages a week of sources that you authorised, by the reports of the last %d days", record.P, weekly, days))
		}
	}
	r, err := s.assess(ctx, domain)
	if err != nil {
		return err
	}
	for i := range r.Steps {
		step := &r.Steps[i]
		if string(step.Policy) != string(record.P) || step.Ready || step.InForce {
			continue
		}
		for _, why := range step.Because[:min(len(step.Because), maxNotReady)] {
			out.Notes = append(out.Notes, fmt.Sprintf("not ready for p=%s: %s", record.P, why))
		}
	}
	return nil
}

// maxNotReady bounds the stated reasons against a policy.
const maxNotReady = 5
