package memory

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// dice makes records of every kind.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1))} }

func (d dice) yes() bool { return d.IntN(2) == 0 }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

func (d dice) name() dns.Name {
	return pick(d, dns.Name{}, dns.MustParse("example.com"), dns.MustParse("mail.example.com"), dns.MustParse("_x.other.example"))
}

func (d dice) text() string {
	return pick(d, "", "x", "a text with \"quotes\"", "\x00\xff not UTF-8", "日本語")
}

func (d dice) addr() netip.Addr {
	return pick(d, netip.Addr{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
}

func list[T any](d dice, each func() T) []T {
	n := d.IntN(4)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = each()
	}
	return out
}

func (d dice) err() error {
	causes := causes()
	cause := causes[d.IntN(len(causes))]
	return pick(d, nil, cause, fmt.Errorf("looking at it: %w", cause))
}

func (d dice) dmarcRecord() *dmarc.Record {
	text := pick(d, "", "v=DMARC1; p=reject; rua=mailto:d@example.com", "v=DMARC1; p=quarantine; t=y; np=none", "v=DMARC1; p=bogus")
	if text == "" {
		return nil
	}
	rec, err := dmarc.ParseRecord(text)
	if err != nil {
		panic(err)
	}
	return rec
}

func (d dice) step() dmarc.Step {
	s := dmarc.Step{Name: d.name(), Record: d.dmarcRecord(), Err: d.err()}
	if s.Record != nil {
		s.Text = s.Record.Text
	}
	return s
}

func (d dice) dkimResult() dkim.Result {
	return dkim.Result{
		Status: pick(d, dkim.Pass, dkim.Fail, dkim.Policy, dkim.TempError, dkim.PermError), Domain: d.name(),
		Selector: pick(d, "", "s1"), Identity: d.text(), Algorithm: pick(d, "", "rsa-sha256", "rsa-sha512"),
		Header: pick(d, "", "simple"), Body: "relaxed", KeyBits: d.IntN(4096), Partial: d.yes(), Testing: d.yes(),
		SigPrefix: "abcd1234", Processed: d.yes(), Err: d.err(),
	}
}

func (d dice) verdict() policy.Verdict {
	v := policy.Verdict{
		Authors: list(d, d.name), DKIM: list(d, d.dkimResult),
		SPF: spf.Result{
			Status: pick(d, spf.Pass, spf.Fail, spf.None, ""), Domain: d.name(), Scope: pick(d, spf.MailFrom, spf.Helo),
			Mechanism: d.text(), Chain: list(d, d.text), Terms: list(d, d.text), Lookups: d.IntN(11), Voids: d.IntN(3),
			Explanation: d.text(), Err: d.err(), ClientIP: d.addr(), WalkCut: d.yes(), Walk: list(d, func() spf.Step {
				return spf.Step{
					Domain: d.name(), Term: d.text(), Depth: d.IntN(10), Outcome: pick(d, spf.Match, spf.NoMatch, spf.Broken),
					Result: pick(d, "", spf.Fail), Target: d.name(), LocalPart: d.yes(),
				}
			}),
		},
		DMARC: dmarc.Result{
			Status: pick(d, dmarc.Pass, dmarc.Fail, dmarc.None, dmarc.TempError), Author: d.name(), OrgDomain: d.name(),
			PolicyDomain: d.name(), Record: d.dmarcRecord(), Source: pick(d, "", "p", "sp", "np"),
			Requested: pick(d, "", dmarc.PolicyReject, dmarc.PolicyNone), Policy: pick(d, "", dmarc.PolicyReject, dmarc.PolicyQuarantine),
			NonExistent: d.yes(), SPFAligned: d.yes(), DKIMAligned: d.yes(), Walk: list(d, d.step), Err: d.err(),
		},
	}
	alignment := func() dmarc.Alignment { return pick(d, dmarc.Aligned, dmarc.Unaligned, dmarc.AlignmentUnknown) }
	if d.yes() {
		v.SPFAlignment = alignment()
		for range v.DKIM {
			v.DKIMAlignments = append(v.DKIMAlignments, alignment())
		}
		v.DMARC.Alignments = append([]dmarc.Alignment{v.SPFAlignment}, v.DKIMAlignments...)
	}
	if d.yes() {
		hop := func() arc.Hop {
			return arc.Hop{
				Instance: d.IntN(50), SealDomain: d.name(), SealSelector: d.text(), AMSDomain: d.name(), AMSSelector: d.text(),
				AMSPass: d.yes(), FromSigned: d.yes(), Results: d.text(),
			}
		}
		v.ARC = arc.Result{Status: pick(d, arc.Pass, arc.Fail, arc.None), Hops: list(d, hop), OldestPass: d.IntN(3), Temporary: d.yes(), Err: d.err()}
	}
	return v
}

func (d dice) decision() policy.Decision {
	r := policy.Decision{
		Action: pick(d, policy.Bypass, policy.Quarantine, policy.Reject, policy.Defer, policy.Discard),
		Would:  pick(d, policy.Bypass, policy.Reject), Reason: pick(d, policy.ReasonPass, policy.ReasonPolicy, policy.ReasonARC),
		Rule: pick(d, "", "dmarc.actions.reject", "a.rule.of.tomorrow"), Comment: d.text(), Evaluated: d.yes(), Enforced: d.yes(),
		Ran: policy.Checks{SPF: d.yes(), DKIM: d.yes()}, Status: pick(d, dmarc.Pass, dmarc.Fail),
	}
	if d.yes() {
		r.Reply = policy.Reply{Code: 550, Enhanced: "5.7.1", Text: d.text()}
	}
	return r
}

func (d dice) trace() *Trace {
	if d.yes() {
		return nil
	}
	return &Trace{Cut: d.yes(), Answers: list(d, func() Answer {
		return Answer{
			Name: d.name().String(), Type: pick(d, "TXT", "MX", "HTTPS"), Texts: list(d, d.text),
			Error: pick(d, "", "nxdomain", "temporary: time-out"), Took: time.Duration(d.IntN(1e6)) * time.Microsecond,
		}
	})}
}

func (d dice) record() *Record {
	r := &Record{
		At:      time.Date(2026, 11, 25, 1, 2, 3, d.IntN(1e6)*1000, time.UTC),
		QueueID: d.text(), MessageID: d.text(), MTA: d.text(), ClientIP: d.addr(), Helo: d.text(), NullSender: d.yes(),
		Sender: d.text(), EnvelopeFrom: d.name(), Recipients: list(d, d.text), Verdict: d.verdict(), DeferLapsed: d.yes(),
		Forged: d.IntN(3), ForgedKept: d.yes(), Dropped: d.yes(), Decision: d.decision(), Added: list(d, d.text), Removed: list(d, d.text), Hold: d.text(),
		Redirect: d.text(), Tag: d.text(), Mixed: d.text(), CarriesReport: d.yes(), PSL: d.yes(), Trace: d.trace(), Chosen: -1,
		Outcomes: list(d, func() Outcome {
			return Outcome{
				Domains: list(d, d.name), Decision: d.decision(), Mode: pick(d, policy.Enforce, policy.Monitor), Criteria: pick(d, "", policy.CriteriaRFC, policy.CriteriaHES),
				Quarantine: policy.QuarantineHold, DailyReports: d.yes(), File: d.text(), Line: d.IntN(100),
			}
		}),
	}
	if n := len(r.Outcomes); n > 0 {
		r.Chosen = d.IntN(n+1) - 1
	}
	return r
}
