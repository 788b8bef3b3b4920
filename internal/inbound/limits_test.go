package inbound_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/filter"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
)

// queriesOfOneMessage is the bound.
const queriesOfOneMessage = 150

// Whom a greedy message asks for how many names. Together they are over the bound.
const (
	spfHosts   = 10
	spfTerms   = 5                                // mx, with as many hosts as RFC 7208 section 4.6.4 allows
	spfAsks    = 1 + spfTerms + spfTerms*spfHosts // nearly all that one check may
	keysAsked  = 60                               // where limits.signatures allows them
	aboveAsked = 40                               // names above the domains that signed
	sealsAsked = 50                               // sets of an ARC chain (RFC 8617 section 4.2.1); asked last

	manySignatures = "limits: {signatures: 60}"
)

// greedy is a forgery that asks for as many names as it can: by SPF, by signatures with
// deep domains, by a chain of fifty seals, and by a deep From.
func greedy(t *testing.T) (m mail, zone string) {
	t.Helper()
	var b, header strings.Builder
	b.WriteString(behaviourZone)
	terms := make([]string, spfTerms)
	for i := range terms {
		terms[i] = fmt.Sprintf("mx:m%d.flood.example", i)
		for j := range spfHosts {
			fmt.Fprintf(&b, "m%d.flood.example. MX 10 h%d.m%d.flood.example.\nh%d.m%d.flood.example. A 192.0.2.200\n", i, j, i, j, i)
		}
	}
	fmt.Fprintf(&b, "flood.example. TXT \"v=spf1 %s -all\"\n", strings.Join(terms, " "))
	for i := range keysAsked {
		fmt.Fprintf(&header, "DKIM-Signature: v=1; a=rsa-sha256; d=a.b.c.s%d.d.e.f.reject.example; s=k; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=%s\n", i, strings.Repeat("A", 344))
	}
	m = from("reject.example").sender("x@flood.example").by("203.0.113.9")
	raw := []byte(crlf(header.String() + strings.Replace(m.raw, "@reject.example", "@a.b.c.x.y.z.reject.example", 1)))
	for i := range sealsAsked {
		s := newSigner(fmt.Sprintf("s%d.seal.example", i), "k")
		b.WriteString(s.record())
		raw = arctest.Seal(raw, "mx.example; dmarc=pass header.from=reject.example", s.domain, s.selector, s.key, "")
	}
	m.raw = strings.ReplaceAll(string(raw), "\r\n", "\n")
	return m, b.String()
}

// bounded holds a message that was greedy to the bound, and to a verdict that DNS had no part in.
func bounded(t *testing.T, r *rig, res miltertest.Answer) {
	t.Helper()
	o := r.last()
	if res.Code != 550 || o.Decision.Reason != policy.ReasonPolicy {
		t.Errorf("answered %+v for %s, want 550 for the published policy", res, o.Decision.Reason)
	}
	if n := len(r.dns.Zone.Asked()); n > queriesOfOneMessage || n < queriesOfOneMessage-20 {
		t.Errorf("%d names were asked for, want nearly %d", n, queriesOfOneMessage)
	}
	if s := o.Verdict.DMARC.Status; s != dmarc.Fail {
		t.Errorf("dmarc=%s", s)
	}
	for i := range o.Verdict.DKIM {
		if s := o.Verdict.DKIM[i].Status; s == dkim.TempError || o.Verdict.DKIMAlignments[i] == dmarc.AlignmentUnknown {
			t.Errorf("signature %d: %s, alignment %s", i, s, o.Verdict.DKIMAlignments[i])
		}
	}
	if trace := o.Record(filter.Remember{Settings: r.settings.Load(), Sampled: true}).Trace; len(trace.Answers) > queriesOfOneMessage || trace.Cut {
		t.Errorf("%d answers are remembered, cut: %v", len(trace.Answers), trace.Cut)
	}
}

// temperrorPolicies differ in what happens to a temperror: whoever sends must not be able to choose one.
var temperrorPolicies = map[string]string{
	"by policy": "{default: {dmarc: {arc: {enabled: true}}}}",
	"deferred":  "{default: {dmarc: {arc: {enabled: true}, actions: {temperror: defer}}}}",
	"bypassed":  "{default: {dmarc: {arc: {enabled: true}, actions: {temperror: bypass}}}}",
}

// TestQueriesOfOneMessage has a forgery that asks for more names than one message may,
// once with SPF after everything else and once before it. Beyond the bound SPF is
// permerror and a d= does not align; the policy of the author is found all the same.
func TestQueriesOfOneMessage(t *testing.T) {
	m, zone := greedy(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, yaml := range temperrorPolicies {
		t.Run("SPF last/"+name, func(t *testing.T) {
			r := newRig(t, zone, yaml, manySignatures)
			release := r.dns.Zone.Hold(dns.MustParse("flood.example"), "TXT")
			answer := make(chan *miltertest.Result, 1)
			go func() { answer <- r.send(m) }()
			if err := r.dns.Zone.Await(ctx, dns.Name{}, "", keysAsked+aboveAsked); err != nil {
				t.Fatal(err)
			}
			release()
			bounded(t, r, (<-answer).Answer)
			if s := r.last().Verdict.SPF; s.Status != spf.PermError || !errors.Is(s.Err, spf.ErrQueryLimit) {
				t.Errorf("spf=%s, %v", s.Status, s.Err)
			}
		})
		t.Run("SPF first/"+name, func(t *testing.T) {
			r := newRig(t, zone, yaml, manySignatures)
			mta := r.open(miltertest.Peer{Addr: m.client}, miltertest.Postfix())
			mta.PutStrings(miltertest.CmdMail, "<"+m.mailFrom+">")
			mta.PutStrings(miltertest.CmdRcpt, "<user@example.org>")
			if err := mta.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := r.dns.Zone.Await(ctx, dns.Name{}, "", spfAsks); err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(m.raw, "\n\n")
			head = strings.NewReplacer("\n ", "\x00 ", "\n\t", "\x00\t").Replace(head)
			for line := range strings.SplitSeq(head, "\n") {
				name, value, _ := strings.Cut(strings.ReplaceAll(line, "\x00", "\r\n"), ":")
				mta.PutStrings(miltertest.CmdHeader, name, value)
			}
			mta.Put(miltertest.CmdEOH)
			mta.Put(miltertest.CmdBody, []byte(crlf(body)))
			p, err := mta.Get()
			for err == nil && (p.Cmd == miltertest.RespContinue || p.Cmd == miltertest.RespSkip) {
				mta.Put(miltertest.CmdEnd)
				p, err = mta.Get()
			}
			if err != nil || p.Cmd != miltertest.RespReplyCode {
				t.Fatalf("answered %q, %v", p.Cmd, err)
			}
			bounded(t, r, miltertest.Answer{Code: 550, Text: string(p.Data)})
			if s := r.last().Verdict.SPF.Status; s != spf.Fail {
				t.Errorf("spf=%s", s)
			}
			chain := r.last().Verdict.ARC
			if refused := fmt.Sprint(chain.Err); chain.Status != arc.Fail || chain.Temporary || !strings.Contains(refused, "limit") {
				t.Errorf("arc=%s, temporary: %v, %s", chain.Status, chain.Temporary, refused)
			}
		})
	}
}
