package policy_test

import (
	"testing"

	"dmarcd/internal/policy"
)

func TestSettle(t *testing.T) {
	hold := policy.QuarantineRules{Method: policy.QuarantineHold}
	redirect := policy.QuarantineRules{Method: policy.QuarantineRedirect, Address: "q@example.org"}
	for name, c := range map[string]struct {
		actions []policy.Action
		methods []policy.QuarantineRules
		choose  func([]policy.Decision) int
		want    policy.Action
		chosen  int
	}{
		"one":                       {actions: []policy.Action{policy.Reject}, want: policy.Reject},
		"agreed":                    {actions: []policy.Action{policy.Reject, policy.Reject}, want: policy.Reject},
		"agreed on the same hold":   {actions: []policy.Action{policy.Quarantine, policy.Quarantine}, want: policy.Quarantine},
		"disagreed":                 {actions: []policy.Action{policy.Bypass, policy.Reject}, want: policy.Defer, chosen: -1},
		"disagreed on the method":   {actions: []policy.Action{policy.Quarantine, policy.Quarantine}, methods: []policy.QuarantineRules{hold, redirect}, want: policy.Defer, chosen: -1},
		"methods that do not count": {actions: []policy.Action{policy.Bypass, policy.Bypass}, methods: []policy.QuarantineRules{hold, redirect}, want: policy.Bypass},
		"mildest":                   {actions: []policy.Action{policy.Reject, policy.Quarantine}, choose: policy.Mildest, want: policy.Quarantine, chosen: 1},
		"strictest":                 {actions: []policy.Action{policy.Reject, policy.Quarantine}, choose: policy.Strictest, want: policy.Reject},
		"mildest of two methods":    {actions: []policy.Action{policy.Quarantine, policy.Quarantine}, methods: []policy.QuarantineRules{redirect, hold}, choose: policy.Mildest, want: policy.Quarantine},
	} {
		t.Run(name, func(t *testing.T) {
			var ds []policy.Decision
			var rules []*policy.Rules
			for i, a := range c.actions {
				r := &policy.Rules{Quarantine: hold}
				if c.methods != nil {
					r.Quarantine = c.methods[i]
				}
				ds, rules = append(ds, policy.Decision{Action: a}), append(rules, r)
			}
			d, chosen := policy.Settle(ds, rules, c.choose)
			if d.Action != c.want || chosen != c.chosen {
				t.Errorf("got %s, decision %d; want %s, decision %d", d.Action, chosen, c.want, c.chosen)
			}
		})
	}
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
