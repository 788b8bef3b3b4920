package inbound_test

import (
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
)

// TestQueriesOfOneMessage has a forgery that asks for as many names as it can: by SPF,
// which may ask 10 times for 10 hosts, and by signatures whose keys and domains are
// deep. The answer is the same as without them, and costs a bounded number of queries.
func TestQueriesOfOneMessage(t *testing.T) {
	var zone, header strings.Builder
	zone.WriteString(behaviourZone)
	terms := make([]string, 10)
	for i := range terms {
		terms[i] = fmt.Sprintf("mx:m%d.flood.example", i)
		for j := range 10 {
			fmt.Fprintf(&zone, "m%d.flood.example. MX 10 h%d.m%d.flood.example.\nh%d.m%d.flood.example. A 192.0.2.200\n", i, j, i, j, i)
		}
	}
	fmt.Fprintf(&zone, "flood.example. TXT \"v=spf1 %s -all\"\n", strings.Join(terms, " "))
	for i := range 10 {
		fmt.Fprintf(&header, "DKIM-Signature: v=1; a=rsa-sha256; d=a.b.c.d.e.f.g.s%d.flood.example; s=k; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\n", i)
	}
	spoof := from("reject.example").sender("x@flood.example").by("203.0.113.9").with(header.String())
	for name, c := range map[string]struct {
		policy string
		want   string
		reason policy.Reason
	}{
		"rejected":                              {"{}", "reject", policy.ReasonPolicy},
		"no temperror for who defers those":     {"{default: {dmarc: {actions: {temperror: defer}}}}", "reject", policy.ReasonPolicy},
		"nor for who lets them through at once": {"{default: {dmarc: {actions: {temperror: bypass}}}}", "reject", policy.ReasonPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, zone.String(), c.policy)
			res := r.send(spoof)
			o := r.last()
			if got := outcomeWord(res); got != c.want || o.Decision.Reason != c.reason {
				t.Errorf("%s for %s, want %s for %s", got, o.Decision.Reason, c.want, c.reason)
			}
			trace := o.Record(filter.Remember{Settings: r.settings.Load(), Sampled: true}).Trace
			if asked := len(trace.Answers); asked > 150 || asked < 60 || trace.Cut {
				t.Errorf("%d queries, want at most 150; spf %s (%v)", asked, o.Verdict.SPF.Status, o.Verdict.SPF.Err)
			}
			if got := o.Verdict.SPF.Status; got != "permerror" && got != "fail" {
				t.Errorf("spf=%s", got)
			}
		})
	}
}
