package store

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// epoch0 is when the tests' mail begins.
var epoch0 = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// traffic makes records like those of a mail gateway: some domains send most of
// the mail, one in eight fails and has a trace.
type traffic struct {
	*rand.Rand
	domains []dns.Name
	ours    []dns.Name
	records []*dmarc.Record
	n       int
}

func newTraffic(seed uint64, domains int) *traffic {
	d := &traffic{Rand: rand.New(rand.NewPCG(seed, 7))}
	for i := range domains {
		name := dns.MustParse(fmt.Sprintf("sender%d.example", i))
		d.domains = append(d.domains, name)
		d.records = append(d.records, must(dmarc.ParseRecord(fmt.Sprintf("v=DMARC1; p=reject; adkim=r; rua=mailto:dmarc-reports@%s", name))))
	}
	for i := range 20 {
		d.ours = append(d.ours, dns.MustParse(fmt.Sprintf("ours%d.example", i)))
	}
	return d
}

// record makes one message of a time.
func (d *traffic) record(at time.Time) memory.Record {
	d.n++
	i := int(d.ExpFloat64()*float64(len(d.domains))/8) % len(d.domains)
	from, ours := d.domains[i], d.ours[d.IntN(len(d.ours))]
	r := memory.Record{
		At: at.Truncate(time.Microsecond).UTC(), QueueID: fmt.Sprintf("4BZ%09X%03X", at.UnixMicro()&0xfffffffff, d.n&0xfff),
		MessageID: fmt.Sprintf("%016x.%x@mail.%s", d.Uint64(), d.n, from), MTA: "Postfix 3.7.11",
		ClientIP: netip.AddrFrom4([4]byte{192, 0, byte(i % 200), byte(1 + d.IntN(4))}),
		Helo:     "mail." + from.String(), Sender: "mail." + from.String(), EnvelopeFrom: from,
	}
	decision := policy.Decision{Action: policy.Bypass, Would: policy.Bypass, Reason: policy.ReasonPass, Evaluated: true, Status: dmarc.Pass}
	r.Verdict = policy.Verdict{
		SPF:     spf.Result{Status: spf.Pass, Domain: from, Scope: spf.MailFrom, Mechanism: "ip4:192.0.0.0/16", Chain: []string{from.String()}, Terms: []string{"ip4:192.0.0.0/16"}, Lookups: 1, ClientIP: r.ClientIP},
		DKIM:    []dkim.Result{{Status: dkim.Pass, Domain: from, Selector: "s1", Algorithm: "rsa-sha256", Header: "relaxed", Body: "relaxed", KeyBits: 2048, SigPrefix: "dzdVyOfA", Processed: true}},
		Authors: []dns.Name{from}, SPFAlignment: dmarc.Aligned, DKIMAlignments: []dmarc.Alignment{dmarc.Aligned},
		DMARC: dmarc.Result{
			Status: dmarc.Pass, Author: from, OrgDomain: from, PolicyDomain: from, Record: d.records[i], Source: "p", Requested: dmarc.PolicyReject, Policy: dmarc.PolicyReject,
			SPFAligned: true, DKIMAligned: true, Walk: []dmarc.Step{{Name: from, Record: d.records[i], Text: d.records[i].Text}},
		},
	}
	if d.IntN(8) == 0 {
		decision.Action, decision.Would, decision.Reason, decision.Status = policy.Reject, policy.Reject, policy.ReasonPolicy, dmarc.Fail
		r.Verdict.SPF.Status, r.Verdict.DKIM, r.Verdict.DKIMAlignments = spf.Fail, nil, nil
		r.Verdict.DMARC.Status, r.Verdict.DMARC.SPFAligned, r.Verdict.DMARC.DKIMAligned = dmarc.Fail, false, false
		r.Trace = d.trace(from)
	}
	r.Decision = decision
	r.Outcomes = []memory.Outcome{{Domains: []dns.Name{ours}, Decision: decision, Mode: policy.Enforce, Quarantine: policy.QuarantineHold, DailyReports: true, File: "policy.yaml", Line: 12}}
	r.Added = []string{"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=" + from.String() + "; dmarc=pass header.from=" + from.String()}
	return r
}

func (d *traffic) trace(from dns.Name) *memory.Trace {
	return &memory.Trace{Answers: []memory.Answer{
		{Name: "_dmarc." + from.String(), Type: "TXT", Texts: []string{`"v=DMARC1; p=reject; rua=mailto:d@` + from.String() + `"`}, Took: 12 * time.Millisecond},
		{Name: from.String(), Type: "TXT", Texts: []string{`"v=spf1 ip4:198.51.100.0/24 include:_spf.` + from.String() + ` -all"`}, Took: time.Millisecond},
		{Name: "_spf." + from.String(), Type: "TXT", Error: "nxdomain"},
	}}
}

// records makes n of them from a time on, evenly spread over a span.
func (d *traffic) batch(n int, from time.Time, span time.Duration) []memory.Record {
	out := make([]memory.Record, n)
	for i := range out {
		out[i] = d.record(from.Add(span * time.Duration(i) / time.Duration(n)))
	}
	return out
}
