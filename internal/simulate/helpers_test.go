package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// parse reads a policy.
func parse(t testing.TB, text string) *settings.Policy {
	t.Helper()
	p, _, err := settings.ParsePolicy("/etc/dmarcd/new.yaml", "", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// mail is a message in a few words; the zero mail passes nothing and has no record.
type mail struct {
	from       string     // default "bank.example"; "-" for several From domains
	client     string     // default "203.0.113.7"
	spf        spf.Status // of bounce.example, or of the From domain where aligned; default none
	aligned    bool
	dkim       dkim.Status // of one signature of the From domain; "" for none
	signer     string      // whose signature that is, where it is not the From domain's
	published  dmarc.Policy
	arc        string // domain that seals a chain that passes
	arcAsked   bool   // ARC was looked at
	null       bool
	lapsed     bool // deferred for as long as may be
	forged     int
	forgedKept bool
	to         []string // default example.org
}

func (m mail) verdict() policy.Verdict {
	v := policy.Verdict{SPF: spf.Result{Status: m.spf, Domain: dns.MustParse("bounce.example"), Scope: spf.MailFrom}}
	if v.SPF.Status == "" {
		v.SPF.Status = spf.None
	}
	author := dns.MustParse(cmpOr(m.from, "bank.example"))
	if m.from == "-" {
		v.Authors = []dns.Name{dns.MustParse("one.example"), dns.MustParse("two.example")}
		v.DMARC = dmarc.NoAuthor(errors.New("several"))
		return v
	}
	v.Authors = []dns.Name{author}
	v.SPFAlignment = dmarc.Unaligned
	if m.aligned {
		v.SPF.Domain, v.SPFAlignment = author, dmarc.Aligned
	}
	v.DMARC = dmarc.Result{Status: dmarc.None, Author: author, OrgDomain: author}
	if m.dkim != "" {
		s := dkim.Result{Status: m.dkim, Domain: author, Processed: m.dkim == dkim.Pass || m.dkim == dkim.Fail}
		alignment := dmarc.Aligned
		if m.signer != "" {
			s.Domain, alignment = dns.MustParse(m.signer), dmarc.Unaligned
		}
		v.DKIM, v.DKIMAlignments = []dkim.Result{s}, []dmarc.Alignment{alignment}
	}
	if m.arc != "" {
		sealer := dns.MustParse(m.arc)
		v.ARC = arc.Result{Status: arc.Pass, OldestPass: 1, Hops: []arc.Hop{{
			Instance: 1, SealDomain: sealer, AMSDomain: sealer, AMSPass: true, FromSigned: true,
			Results: "mx." + m.arc + "; dmarc=pass header.from=" + author.String(),
		}}}
	} else if m.arcAsked {
		v.ARC = arc.Result{Status: arc.None}
	}
	if m.published != "" {
		m.evaluate(&v)
	}
	return v
}

// evaluate concludes DMARC where there is a record.
func (m mail) evaluate(v *policy.Verdict) {
	d := &v.DMARC
	rec, err := dmarc.ParseRecord("v=DMARC1; p=" + string(m.published))
	if err != nil {
		panic(err)
	}
	d.Record, d.PolicyDomain, d.Source, d.Requested, d.Policy = rec, d.Author, "p", m.published, m.published
	d.SPFAligned = v.SPF.Status == spf.Pass && m.aligned
	d.DKIMAligned = m.dkim == dkim.Pass && m.signer == ""
	switch {
	case d.SPFAligned || d.DKIMAligned:
		d.Status = dmarc.Pass
	case v.SPF.Status == spf.TempError && m.aligned || m.dkim == dkim.TempError && m.signer == "":
		d.Status = dmarc.TempError
	default:
		d.Status = dmarc.Fail
	}
}

// remember makes the record of a message judged by p, as the filter does it.
func (m mail) remember(t testing.TB, p *settings.Policy) *memory.Record {
	t.Helper()
	r := &memory.Record{
		At: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), QueueID: "4XYZ", ClientIP: netip.MustParseAddr(cmpOr(m.client, "203.0.113.7")),
		NullSender: m.null, Verdict: m.verdict(), DeferLapsed: m.lapsed, Forged: m.forged, ForgedKept: m.forgedKept,
	}
	to := m.to
	if to == nil {
		to = []string{"example.org"}
	}
	var rules []*policy.Rules
	for _, name := range to {
		domain := dns.MustParse(name)
		own, ours := p.RulesFor(domain)
		if !ours {
			continue
		}
		at := -1
		for i := range rules {
			if rules[i] == own {
				at = i
			}
		}
		if at < 0 {
			at, rules = len(rules), append(rules, own)
			d := policy.Decide(&r.Verdict, r.Facts(), own)
			if m.forgedKept && own.Mode == policy.Enforce {
				d = policy.ForgedDecision()
			}
			where := p.RulePlace(domain, d.Rule)
			r.Outcomes = append(r.Outcomes, memory.Outcome{
				Decision: d, Mode: own.Mode, Quarantine: own.Quarantine.Method, File: where.File, Line: where.Line,
			})
		}
		r.Outcomes[at].Domains = append(r.Outcomes[at].Domains, domain)
	}
	if len(rules) == 0 {
		t.Fatalf("none of %v is ours", to)
	}
	m.combine(r, p, rules)
	return r
}

// combine makes one decision, in other words than the code under test.
func (m mail) combine(r *memory.Record, p *settings.Policy, rules []*policy.Rules) {
	order := []policy.Action{policy.Bypass, policy.Defer, policy.Quarantine, policy.Discard, policy.Reject}
	// does says what is done by an outcome, in a text that sorts by strictness.
	does := func(i int) string {
		d := &r.Outcomes[i].Decision
		text := fmt.Sprint(slices.Index(order, d.Action), " ")
		if q := rules[i].Quarantine; d.Action == policy.Quarantine {
			text += map[policy.QuarantineMethod]string{policy.QuarantineHeader: "0", policy.QuarantineHold: "1", policy.QuarantineRedirect: "2" + q.Address}[q.Method]
		}
		return text + fmt.Sprint(d.Reply)
	}
	differ := false
	for i := range r.Outcomes {
		differ = differ || does(i) != does(0)
	}
	if differ {
		switch p.MixedRecipients {
		case settings.Mildest, settings.Strictest:
			for i := range r.Outcomes {
				if p.MixedRecipients == settings.Mildest && does(i) < does(r.Chosen) || p.MixedRecipients == settings.Strictest && does(i) > does(r.Chosen) {
					r.Chosen = i
				}
			}
		default:
			r.Chosen, r.Decision = -1, policy.ConflictDecision()
			return
		}
	}
	r.Decision = r.Outcomes[r.Chosen].Decision
	if q := rules[r.Chosen].Quarantine; r.Decision.Action == policy.Quarantine && q.Method == policy.QuarantineRedirect {
		r.Redirect = q.Address
	}
}

func cmpOr(a, b string) string {
	if a == "" || a == "-" {
		return b
	}
	return a
}

// draw makes mail of every kind.
func draw(rnd *rand.Rand) mail {
	yes := func() bool { return rnd.IntN(2) == 0 }
	m := mail{
		from:      one(rnd, "", "", "partner.example", "-"),
		client:    one(rnd, "", "192.0.2.9", "2001:db8:1::7"),
		spf:       one(rnd, spf.Pass, spf.Fail, spf.Softfail, spf.Neutral, spf.None, spf.PermError, spf.TempError),
		aligned:   yes(),
		dkim:      one(rnd, "", dkim.Pass, dkim.Fail, dkim.TempError, dkim.PermError),
		signer:    one(rnd, "", "lists.example"),
		published: one(rnd, "", dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject),
		arc:       one(rnd, "", "", "sealer.example"), arcAsked: yes(), null: yes(), lapsed: yes(),
		forged: one(rnd, 0, 0, 0, 2000),
		to:     [][]string{nil, {"example.net"}, {"example.org", "example.net"}, {"example.com", "example.net", "example.org"}}[rnd.IntN(4)],
	}
	return m
}

func one[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

// drawPolicy makes policies of every kind, as text.
func drawPolicy(rnd *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mode: %s\nmixed_recipients: %s\n", one(rnd, "enforce", "enforce", "monitor"), one(rnd, "on_conflict", "mildest", "strictest"))
	b.WriteString("default:\n" + drawRules(rnd, "  "))
	b.WriteString("domains:\n")
	for _, name := range []string{"example.org", "example.net"} {
		if rnd.IntN(3) > 0 {
			fmt.Fprintf(&b, "  %s:\n    mode: %s\n%s", name, one(rnd, "enforce", "monitor"), drawRules(rnd, "    "))
		}
	}
	return b.String() + "  last.example: {}\n"
}

func drawRules(rnd *rand.Rand, indent string) string {
	slot := func() string { return one(rnd, "bypass", "quarantine", "reject") }
	standalone := func() string { return one(rnd, "bypass", "quarantine", "reject", "discard") }
	soft := func() string { return one(rnd, "bypass", "defer") }
	boolean := func() string { return one(rnd, "true", "false") }
	text := strings.Join([]string{
		"dmarc:",
		"  enabled: " + one(rnd, "true", "true", "true", "false"),
		"  criteria: " + one(rnd, "rfc", "hes"),
		"  senders: " + one(rnd, "all", "all", "[bank.example]"),
		"  exceptions: " + one(rnd, "[]", "[192.0.2.0/24]"),
		"  enforced_peers: " + one(rnd, "[]", "[partner.example]", "[{domain: partner.example, require: either}]"),
		"  enforced_peer_action: " + one(rnd, "quarantine", "slot", "reject", "bypass"),
		"  skip_null_sender: " + boolean(),
		fmt.Sprintf("  actions: {none: %s, quarantine: %s, reject: %s, no_record: %s, temperror: %s}", slot(), slot(), slot(), slot(), soft()),
		"  no_record_when: " + one(rnd, "always", "unauthenticated"),
		"  multiple_from: " + slot(),
		"  arc: {enabled: " + boolean() + ", trusted_sealers: [sealer.example]}",
		"  trusted_forwarders: " + one(rnd, "[]", "[{dkim: lists.example}]", "[{ip: 192.0.2.0/24}]"),
		"sender_ip_match: " + one(rnd, "[]", "[]", "[{domain: bank.example, networks: [192.0.2.0/24], action: reject}]"),
		fmt.Sprintf("spf: {enabled: %s, actions: {fail: %s, softfail: %s, neutral: %s, none: %s, permerror: %s, temperror: %s}}",
			one(rnd, "false", "false", "true"), standalone(), standalone(), standalone(), standalone(), standalone(), soft()),
		fmt.Sprintf("dkim: {enabled: %s, skip_null_sender: %s, actions: {fail: %s, none: %s, temperror: %s}}",
			one(rnd, "false", "false", "true"), boolean(), standalone(), standalone(), soft()),
		"quarantine: " + one(rnd, "{method: hold}", "{method: header}", "{method: redirect, address: q@example.org}"),
	}, "\n")
	return indent + strings.ReplaceAll(text, "\n", "\n"+indent) + "\n"
}
