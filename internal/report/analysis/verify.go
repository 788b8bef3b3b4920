package analysis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/destination"
)

// Resolver looks names up for verifying: past any cache of ours, so that what it says
// is what is published now, as far as the recursive servers know.
type Resolver interface {
	spf.Resolver
	// LookupTTL is LookupTXT, and also returns how long resolvers may keep the answer.
	LookupTTL(ctx context.Context, name dns.Name) (texts []string, ttl time.Duration, err error)
}

// Verifier verifies the records of managed domains. It is safe for concurrent use.
type Verifier struct {
	Resolver Resolver
	PSL      bool // discovery by the public suffix list
}

// VerifyRequest is what to verify.
type VerifyRequest struct {
	Domain    dns.Name
	Ours      []OurAddress // our addresses for reports on it, its own first
	Foreign   func(address string) bool
	Expected  string     // the record that is expected; "" for any
	Selectors []Selector // in use
}

// CheckResult is the result of one check of a record.
type CheckResult string

// Results of checks.
const (
	CheckOK      CheckResult = "ok"
	CheckWarning CheckResult = "warning" // reports come all the same
	CheckFault   CheckResult = "fault"
	CheckUnknown CheckResult = "unknown" // it could not be looked up
)

// Check is one check of a record.
type Check struct {
	Name   string      `json:"name"`
	Result CheckResult `json:"result"`
	Text   string      `json:"text"`             // for people
	Record string      `json:"record,omitempty"` // as found, of SPF and keys
}

// Verification is the result of verifying a domain's record.
type Verification struct {
	Domain    dns.Name `json:"domain"`
	Result    Word     `json:"result"`
	Why       string   `json:"why"`                 // one sentence
	Name      dns.Name `json:"name"`                // where the record was looked for
	Record    string   `json:"record,omitempty"`    // that governs, as found
	TTL       int64    `json:"ttl,omitempty"`       // seconds that resolvers may keep it
	Inherited dns.Name `json:"inherited,omitzero"`  // where the record is, if it is not the domain's own
	Expected  string   `json:"expected,omitempty"`  // the record that was expected
	Policy    string   `json:"policy,omitempty"`    // that applies to mail from the domain
	Checks    []Check  `json:"checks"`              // in the order made
	SPF       Check    `json:"spf"`                 // state of its SPF record
	Selectors []Check  `json:"selectors,omitempty"` // and of the DKIM keys in use
}

// verification is the state of a Verification in progress.
type verification struct {
	Verification
	v        *Verifier
	req      *VerifyRequest
	governed *dmarc.Result
}

// Verify looks up everything that decides whether reports on the domain come to us.
func (v *Verifier) Verify(ctx context.Context, req *VerifyRequest) Verification {
	m := verification{v: v, req: req, Verification: Verification{Domain: req.Domain, Expected: req.Expected}}
	m.record(ctx)
	m.SPF = v.checkSPF(ctx, req.Domain)
	for _, s := range req.Selectors {
		m.Selectors = append(m.Selectors, v.checkKey(ctx, s))
	}
	return m.Verification
}

// conclude records the first word found; later ones do not change it.
func (m *verification) conclude(word Word, format string, args ...any) {
	if m.Result == "" {
		m.Result, m.Why = word, fmt.Sprintf(format, args...)
	}
}

func (m *verification) check(name string, result CheckResult, format string, args ...any) {
	m.Checks = append(m.Checks, Check{Name: name, Result: result, Text: fmt.Sprintf(format, args...)})
}

// record verifies the policy record.
func (m *verification) record(ctx context.Context) {
	name, err := RecordName(m.req.Domain)
	if err != nil {
		m.conclude(WordBroken, "%s is too long a name for a DMARC record", m.req.Domain)
		return
	}
	m.Name = name
	texts, ttl, err := m.v.Resolver.LookupTTL(ctx, name)
	if err != nil && !dns.IsNone(err) {
		m.check("lookup", CheckUnknown, "%s could not be looked up: %s", name, DNSTrouble(err))
		m.conclude(WordUnknown, "%s could not be looked up: %s", name, DNSTrouble(err))
		return
	}
	own := m.own(texts)
	if m.Result != "" {
		m.TTL = int64(ttl.Seconds())
		m.Record = strings.Join(own, "\n")
		return
	}
	discoverer := dmarc.Discoverer{Resolver: m.v.Resolver, PSL: m.v.PSL}
	discovery := discoverer.Begin(ctx, m.req.Domain)
	defer discovery.Close()
	result := discovery.Evaluate(nil)
	m.governed = &result
	switch {
	case result.Status == dmarc.TempError && result.Record == nil:
		m.check("lookup", CheckUnknown, "the names above could not be looked up: %s", DNSTrouble(result.Err))
		m.conclude(WordUnknown, "no record at %s, and the names above could not be looked up: %s", name, DNSTrouble(result.Err))
		return
	case result.Record == nil && len(own) == 0:
		m.check("record", CheckFault, "there is no DMARC record at %s or above it", name)
		m.conclude(WordMissing, "there is no DMARC record at %s or above it", name)
		return
	}
	m.governing(ctx, own, ttl)
}

// own returns the DMARC records among the texts at the domain itself, and concludes if they
// are broken.
func (m *verification) own(texts []string) []string {
	var records, near []string
	for _, text := range texts {
		if _, err := dmarc.ParseRecord(text); err == nil {
			records = append(records, text)
		} else if strings.HasPrefix(strings.ToLower(strings.Join(strings.Fields(strings.Trim(text, `"' `)), "")), "v=dmarc") {
			near = append(near, text)
		}
	}
	switch {
	case len(records) > 1:
		m.check("single", CheckFault, "there are %d DMARC records at %s; receivers apply none of them", len(records), m.Name)
		m.conclude(WordBroken, "there are %d DMARC records at %s; receivers apply none of them", len(records), m.Name)
	case len(records) == 0 && len(near) > 0:
		m.check("syntax", CheckFault, "the record at %s does not begin with v=DMARC1 as a tag of its own: %s", m.Name, quoted(near[0]))
		m.conclude(WordBroken, "the record at %s does not begin with v=DMARC1 as a tag of its own: %s", m.Name, quoted(near[0]))
		return near
	}
	return records
}

// governing verifies the record that applies to the domain, its own or inherited.
func (m *verification) governing(ctx context.Context, own []string, ttl time.Duration) {
	record, at := m.governed.Record, m.governed.PolicyDomain
	if record == nil { // its own, without a valid policy and a reporting address
		record, _ = dmarc.ParseRecord(own[0])
		at = m.req.Domain
	}
	if at != m.req.Domain {
		m.Inherited = at
		name, err := RecordName(at)
		if err == nil {
			_, ttl, err = m.v.Resolver.LookupTTL(ctx, name)
		}
		if err != nil {
			ttl = 0
		}
		m.check("record", CheckOK, "no record of its own; the one of %s applies", at)
	} else {
		m.check("record", CheckOK, "found at %s", m.Name)
	}
	m.Record, m.TTL, m.Policy = record.Text, int64(ttl.Seconds()), string(m.governed.Policy)
	m.expected()
	m.syntax(record)
	m.reports(ctx, record, at)
	m.conclude(WordInEffect, "the record is in effect, and names %s", m.found(record))
}

// syntax reports what is wrong with the record.
func (m *verification) syntax(record *dmarc.Record) {
	switch {
	case record.Unusable:
		m.check("policy", CheckFault, "it has no valid policy and no reporting address, so receivers do not apply it")
		m.conclude(WordBroken, "the record has no valid policy and no reporting address, so receivers do not apply it")
	case record.Voided:
		m.check("policy", CheckFault, "it has no valid policy; receivers take it for p=none")
		m.conclude(WordBroken, "the record has no valid policy; receivers take it for p=none")
	default:
		m.check("policy", CheckOK, "%s applies", m.governed.Policy)
	}
	for _, tag := range []string{"pct", "rf", "ri"} {
		if _, ok := canonical(record.Text)[tag]; ok {
			m.check("removed_tag", CheckWarning, "%s has no effect since RFC 9989", tag)
		}
	}
	for _, w := range record.Warnings {
		if strings.HasPrefix(w, "pct has no effect") {
			continue
		}
		m.check("syntax", CheckWarning, "%s", w)
	}
	if record.Testing {
		m.check("testing", CheckWarning, "t=y: receivers apply one level less than the policy says")
	}
}

// expected compares with the expected record.
func (m *verification) expected() {
	switch {
	case m.req.Expected == "":
	case m.Inherited.IsZero() && SameRecord(m.Record, m.req.Expected):
		m.check("expected", CheckOK, "it is the record that was expected")
	case m.TTL > 0:
		m.check("expected", CheckFault, "another record than the expected one is seen; resolvers may still serve an old one for up to %d s", m.TTL)
		m.conclude(WordNotYet, "another record than the expected one is seen; resolvers may still serve an old one for up to %d s", m.TTL)
	default:
		m.check("expected", CheckFault, "another record than the expected one is seen")
		m.conclude(WordNotYet, "another record than the expected one is seen")
	}
}

// found returns the address of ours that the record names; "" for none.
func (m *verification) found(record *dmarc.Record) string {
	for _, address := range destination.Addresses(record.RUA) {
		if slices.ContainsFunc(m.req.Ours, func(o OurAddress) bool { return strings.EqualFold(o.Address, address) }) {
			return address
		}
	}
	return ""
}

// reports verifies that reports come to us.
func (m *verification) reports(ctx context.Context, record *dmarc.Record, at dns.Name) {
	address := m.found(record)
	if address == "" {
		why := m.notOurs(record)
		m.check("rua", CheckFault, "%s", why)
		m.conclude(WordMissing, "%s", why)
		return
	}
	m.check("rua", CheckOK, "it names %s", address)
	if why := destination.Unsafe(address); why != "" {
		m.check("rua", CheckWarning, "%s", why)
	}
	host, err := destination.Host(address)
	if err != nil {
		m.conclude(WordBroken, "%s is no address that mail can go to", address)
		return
	}
	m.authorization(ctx, at, host, address)
	m.mx(ctx, host)
}

// notOurs explains why no address of rua is ours.
func (m *verification) notOurs(record *dmarc.Record) string {
	if len(m.req.Ours) == 0 {
		return "no address of ours is known: set analysis.addresses in dmarcd.yaml"
	}
	addresses := destination.Addresses(record.RUA)
	switch {
	case len(addresses) == 0:
		return fmt.Sprintf("the record asks for no reports by mail: rua lacks mailto:%s", m.req.Ours[0].Address)
	case m.req.Foreign != nil && slices.ContainsFunc(addresses, m.req.Foreign):
		i := slices.IndexFunc(addresses, m.req.Foreign)
		return fmt.Sprintf("rua names %s, which is for other domains; this one has %s", addresses[i], m.req.Ours[0].Address)
	}
	return fmt.Sprintf("none of our addresses is in rua, which has %s; mailto:%s is missing", quoted(strings.Join(addresses, ", ")), m.req.Ours[0].Address)
}

// authorization verifies that the address's host asks for reports on the domain (RFC
// 9990 section 4).
func (m *verification) authorization(ctx context.Context, at, host dns.Name, address string) {
	checker := destination.Checker{Resolver: m.v.Resolver, PSL: m.v.PSL}
	r := checker.Check(ctx, destination.RUA, at, host)
	switch {
	case r.Err != nil:
		m.check("authorization", CheckUnknown, "whether %s may get reports on %s could not be looked up: %s", address, at, DNSTrouble(r.Err))
		m.conclude(WordUnknown, "whether %s may get reports on %s could not be looked up: %s", address, at, DNSTrouble(r.Err))
	case !r.External:
		m.check("authorization", CheckOK, "%s is of the same organization and needs no authorization", host)
	case r.Refused != "":
		m.check("authorization", CheckFault, "%s is of another organization and does not ask for the reports: %s; publish %s IN TXT \"v=DMARC1\"", host, r.Refused, authorizationOf(at, host))
		m.conclude(WordBroken, "%s is of another organization and does not ask for reports on %s: %s", host, at, r.Refused)
	case len(r.Replace) > 0 && !slices.ContainsFunc(r.Replace, func(a string) bool { return strings.EqualFold(a, address) }):
		m.check("authorization", CheckFault, "the record at %s sends reports to %s instead", r.Name, quoted(strings.Join(r.Replace, ", ")))
		m.conclude(WordBroken, "the record at %s sends reports to %s instead", r.Name, quoted(strings.Join(r.Replace, ", ")))
	default:
		m.check("authorization", CheckOK, "%s asks for the reports at %s", host, r.Name)
	}
}

// authorizationOf returns the name of the authorization record, as far as it can exist.
func authorizationOf(domain, host dns.Name) string {
	return domain.String() + "._report._dmarc." + host.String() + "."
}

// mx verifies that mail to the address can be delivered.
func (m *verification) mx(ctx context.Context, host dns.Name) {
	hosts, err := m.v.Resolver.LookupMX(ctx, host)
	switch {
	case err == nil && len(hosts) > 0:
		m.check("mx", CheckOK, "%s has an MX record", host)
		return
	case err == nil:
		m.check("mx", CheckWarning, "%s says that it takes no mail (null MX)", host)
		return
	case !dns.IsNone(err):
		m.check("mx", CheckUnknown, "the MX record of %s could not be looked up: %s", host, DNSTrouble(err))
		return
	}
	for _, v6 := range []bool{false, true} {
		if found, err := m.v.Resolver.LookupAddr(ctx, host, v6); err == nil && len(found) > 0 {
			m.check("mx", CheckOK, "%s has no MX record, and an address that mail goes to", host)
			return
		}
	}
	m.check("mx", CheckWarning, "%s has neither an MX record nor an address: mail to it cannot be delivered", host)
}

// DNSTrouble describes a DNS error for people, without the names of our packages.
func DNSTrouble(err error) string {
	if e := (*dns.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	text := err.Error()
	for _, prefix := range []string{"dns: temporary failure: ", "dns: ", "dmarc: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// Authorization is whether the host of an address in a record asks for its reports.
type Authorization struct {
	Address string
	Name    dns.Name // where it does so
	destination.Result
}

// Authorizations returns those that a record of a domain needs: for each address in rua and
// ruf whose host belongs to another organization, each host once.
func Authorizations(ctx context.Context, r dmarc.Resolver, psl bool, domain dns.Name, text string) []Authorization {
	record, err := dmarc.ParseRecord(text)
	if err != nil {
		return nil
	}
	checker := destination.Checker{Resolver: r, PSL: psl}
	var out []Authorization
	for tag, uris := range map[destination.Tag][]dmarc.URI{destination.RUA: record.RUA, destination.RUF: record.RUF} {
		for _, address := range destination.Addresses(uris) {
			host, err := destination.Host(address)
			if err != nil || slices.ContainsFunc(out, func(a Authorization) bool { return strings.HasSuffix(a.Address, "@"+host.String()) }) {
				continue
			}
			name, err := destination.AuthorizationName(domain, host)
			if err != nil {
				continue
			}
			if found := checker.Check(ctx, tag, domain, host); found.External || found.Err != nil {
				out = append(out, Authorization{Address: address, Name: name, Result: found})
			}
		}
	}
	slices.SortFunc(out, func(a, b Authorization) int { return strings.Compare(a.Address, b.Address) })
	return out
}
