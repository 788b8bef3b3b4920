package policy_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
)

// wanted is what one recipient domain does to a message.
type wanted struct {
	decision   policy.Decision
	quarantine policy.QuarantineRules
	tag        string
	signed     bool // tag_signed
	monitor    bool
	hes        bool
}

func (w wanted) rules() *policy.Rules {
	r := &policy.Rules{Mode: policy.Enforce, Quarantine: w.quarantine}
	r.DMARC.TagSubject, r.DMARC.TagSigned, r.DMARC.Criteria = w.tag, w.signed, policy.CriteriaRFC
	if w.monitor {
		r.Mode = policy.Monitor
	}
	if w.hes {
		r.DMARC.Criteria = policy.CriteriaHES
	}
	return r
}

var (
	failing  = policy.Decision{Status: dmarc.Fail, Reason: policy.ReasonPolicy, Evaluated: true, Action: policy.Bypass, Would: policy.Bypass}
	rejects  = withAction(failing, policy.Reject, "5.7.1")
	holds    = withAction(failing, policy.Quarantine, "")
	passes   = policy.Decision{Status: dmarc.Pass, Reason: policy.ReasonPass, Evaluated: true, Action: policy.Bypass, Would: policy.Bypass}
	skipped  = policy.Decision{Reason: policy.ReasonException, Action: policy.Bypass, Would: policy.Bypass}
	bySPF    = policy.Decision{Reason: policy.ReasonSPF, Action: policy.Reject, Would: policy.Reject, Reply: policy.Reply{Code: 550, Text: "SPF"}}
	watches  = policy.Decision{Status: dmarc.Fail, Reason: policy.ReasonPolicy, Evaluated: true, Action: policy.Bypass, Would: policy.Reject}
	hold     = policy.QuarantineRules{Method: policy.QuarantineHold}
	header   = policy.QuarantineRules{Method: policy.QuarantineHeader}
	redirect = policy.QuarantineRules{Method: policy.QuarantineRedirect, Address: "q@example.org"}
	other    = policy.QuarantineRules{Method: policy.QuarantineRedirect, Address: "z@example.org"}
)

func withAction(d policy.Decision, a policy.Action, text string) policy.Decision {
	d.Action, d.Would = a, a
	if text != "" {
		d.Reply = policy.Reply{Code: 550, Text: text}
	}
	return d
}

// TestCombine says of pairs whether they can share a transaction, and which of them
// mildest and strictest choose: 1 the first, 2 the second, 0 where there is nothing to
// choose. Every pair is tried in both orders, which make no difference.
func TestCombine(t *testing.T) {
	for name, c := range map[string]struct {
		a, b              wanted
		sealed            bool
		verified          bool
		mildest, stricter int
	}{
		"the same":                       {a: wanted{decision: rejects}, b: wanted{decision: rejects}},
		"another action":                 {a: wanted{decision: failing}, b: wanted{decision: rejects}, mildest: 1, stricter: 2},
		"quarantine or reject":           {a: wanted{decision: rejects}, b: wanted{decision: holds, quarantine: hold}, mildest: 2, stricter: 1},
		"another reply":                  {a: wanted{decision: rejects}, b: wanted{decision: withAction(failing, policy.Reject, "5.7.2")}, mildest: 1, stricter: 2},
		"another reason, the same reply": {a: wanted{decision: rejects}, b: wanted{decision: func() policy.Decision { d := rejects; d.Reason = policy.ReasonEnforcedPeer; return d }()}},
		"the same hold":                  {a: wanted{decision: holds, quarantine: hold}, b: wanted{decision: holds, quarantine: hold}},
		"hold and header":                {a: wanted{decision: holds, quarantine: hold}, b: wanted{decision: holds, quarantine: header}, mildest: 2, stricter: 1},
		"hold and redirect":              {a: wanted{decision: holds, quarantine: hold}, b: wanted{decision: holds, quarantine: redirect}, mildest: 1, stricter: 2},
		"another redirect address":       {a: wanted{decision: holds, quarantine: redirect}, b: wanted{decision: holds, quarantine: other}, mildest: 1, stricter: 2},
		"methods that nobody uses":       {a: wanted{decision: failing, quarantine: hold}, b: wanted{decision: failing, quarantine: redirect}},
		"a tag":                          {a: wanted{decision: failing}, b: wanted{decision: failing, tag: "[x]"}, mildest: 1, stricter: 2},
		"another tag":                    {a: wanted{decision: failing, tag: "[a]"}, b: wanted{decision: failing, tag: "[b]"}, mildest: 1, stricter: 2},
		"a tag of held mail":             {a: wanted{decision: holds, quarantine: hold, tag: "[x]"}, b: wanted{decision: holds, quarantine: hold}, mildest: 2, stricter: 1},
		"a tag of passing mail":          {a: wanted{decision: passes, tag: "[x]"}, b: wanted{decision: passes}},
		"a tag of refused mail":          {a: wanted{decision: rejects, tag: "[x]"}, b: wanted{decision: rejects}},
		"a tag on signed mail":           {a: wanted{decision: failing, tag: "[x]"}, b: wanted{decision: failing}, verified: true},
		"a tag on sealed mail":           {a: wanted{decision: failing, tag: "[x]"}, b: wanted{decision: failing}, sealed: true},
		"tag_signed on signed mail":      {a: wanted{decision: failing, tag: "[x]", signed: true}, b: wanted{decision: failing}, verified: true, mildest: 2, stricter: 1},
		"a tag that is only watched":     {a: wanted{decision: failing, tag: "[x]", monitor: true}, b: wanted{decision: failing}},
		"header words alone":             {a: wanted{decision: failing}, b: wanted{decision: passes, hes: true}},
		"one does not evaluate":          {a: wanted{decision: failing}, b: wanted{decision: skipped}},
		"monitor lets through":           {a: wanted{decision: watches, monitor: true}, b: wanted{decision: rejects}, mildest: 1, stricter: 2},
		"monitor beside a pass":          {a: wanted{decision: watches, monitor: true}, b: wanted{decision: passes}},
	} {
		t.Run(name, func(t *testing.T) {
			v, f := &policy.Verdict{}, policy.Facts{Sealed: c.sealed}
			if c.verified {
				v.DKIM = []dkim.Result{{Status: dkim.Pass}}
			}
			for _, order := range [][]int{{0, 1}, {1, 0}} {
				all := []wanted{c.a, c.b}
				var ds []policy.Decision
				var rules []*policy.Rules
				for _, i := range order {
					ds, rules = append(ds, all[i].decision), append(rules, all[i].rules())
				}
				es := policy.Effects(nil, ds, v, f, rules)
				d, chosen := policy.Combine(ds, es, rules, nil)
				if conflicts := c.mildest > 0; conflicts != (chosen < 0) || conflicts != (d.Reason == policy.ReasonConflict) {
					t.Errorf("order %v: decision %d, %s; conflict wanted: %v", order, chosen, d.Reason, conflicts)
				}
				for want, choose := range map[int]func([]policy.Effect) int{c.mildest: policy.Mildest, c.stricter: policy.Strictest} {
					if want == 0 {
						continue
					}
					if _, chosen := policy.Combine(ds, es, rules, choose); order[chosen] != want-1 {
						t.Errorf("order %v: chose number %d, want %d", order, order[chosen]+1, want)
					}
				}
			}
		})
	}
}

// TestReported checks which decision the result fields report.
func TestReported(t *testing.T) {
	for name, c := range map[string]struct {
		all    []wanted
		choose func([]policy.Effect) int
		want   int // in all; -1 for none
	}{
		"one":                            {all: []wanted{{decision: passes}}, want: 0},
		"none evaluates":                 {all: []wanted{{decision: skipped}, {decision: bySPF}}, want: -1},
		"the strictest":                  {all: []wanted{{decision: passes, hes: true}, {decision: failing}}, want: 1},
		"rfc before hes":                 {all: []wanted{{decision: failing, hes: true}, {decision: failing}}, want: 1},
		"what would be done":             {all: []wanted{{decision: failing}, {decision: watches, monitor: true}}, want: 1},
		"an exception says nothing":      {all: []wanted{{decision: skipped}, {decision: passes}}, want: 1},
		"the decision taken, mildest":    {all: []wanted{{decision: rejects}, {decision: passes, hes: true}}, choose: policy.Mildest, want: 1},
		"the decision taken, strictest":  {all: []wanted{{decision: passes, hes: true}, {decision: rejects}}, choose: policy.Strictest, want: 1},
		"the one taken was not by DMARC": {all: []wanted{{decision: bySPF}, {decision: failing}, {decision: passes}}, choose: policy.Strictest, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			order := make([]int, len(c.all))
			for i := range order {
				order[i] = i
			}
			for range 6 {
				var ds []policy.Decision
				var rules []*policy.Rules
				for _, i := range order {
					ds, rules = append(ds, c.all[i].decision), append(rules, c.all[i].rules())
				}
				es := policy.Effects(nil, ds, &policy.Verdict{}, policy.Facts{}, rules)
				_, chosen := policy.Combine(ds, es, rules, c.choose)
				got := policy.Reported(ds, rules, chosen)
				if got >= 0 {
					got = order[got]
				}
				if got != c.want {
					t.Errorf("order %v: number %d speaks, want %d", order, got, c.want)
				}
				rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			}
		})
	}
}

// TestOutcomesDoNotHangOnOrder shuffles random recipients: whatever is done, and in
// whatever words, is the same.
func TestOutcomesDoNotHangOnOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(35, 9989))
	kinds := []policy.Decision{failing, rejects, holds, passes, skipped, bySPF, watches}
	for range 3000 {
		var all []wanted
		for range 2 + rnd.IntN(4) {
			w := wanted{
				decision: one(rnd, kinds), quarantine: one(rnd, []policy.QuarantineRules{hold, header, redirect, other}),
				tag: one(rnd, []string{"", "[a]", "[b]"}), hes: rnd.IntN(2) == 0,
			}
			w.monitor = w.decision == watches
			all = append(all, w)
		}
		for _, choose := range []func([]policy.Effect) int{nil, policy.Mildest, policy.Strictest} {
			var first []any
			for range 4 {
				if got := told(all, choose); first == nil {
					first = got
				} else if !slices.Equal(got, first) {
					t.Fatalf("%+v\ngot  %+v\nthen %+v", all, first, got)
				}
				rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			}
		}
	}
}

// told is the action on a message, and the decision reported.
func told(all []wanted, choose func([]policy.Effect) int) []any {
	var ds []policy.Decision
	var rules []*policy.Rules
	for _, w := range all {
		ds, rules = append(ds, w.decision), append(rules, w.rules())
	}
	es := policy.Effects(nil, ds, &policy.Verdict{}, policy.Facts{}, rules)
	d, chosen := policy.Combine(ds, es, rules, choose)
	out := []any{d, policy.Effect{}, policy.Decision{}, policy.Criteria("")}
	if chosen >= 0 {
		out[1] = es[chosen]
		if i := policy.Reported(ds, rules, chosen); i >= 0 {
			out[2], out[3] = ds[i], rules[i].DMARC.Criteria
		}
	}
	return out
}

func TestDecideEachRefusesForgeries(t *testing.T) {
	enforce, monitor := &policy.Rules{Mode: policy.Enforce}, &policy.Rules{Mode: policy.Monitor}
	for _, forged := range []bool{false, true} {
		ds := policy.DecideEach(nil, &policy.Verdict{}, policy.Facts{}, []*policy.Rules{enforce, monitor}, forged)
		want := policy.Bypass
		if forged {
			want = policy.Reject
		}
		if len(ds) != 2 || ds[0].Action != want || ds[1].Action != policy.Bypass {
			t.Errorf("forged %v: got %v", forged, ds)
		}
	}
}
