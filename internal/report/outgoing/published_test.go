package outgoing_test

import (
	"maps"
	"strings"
	"testing"

	"dmarcd/internal/report"
)

// TestPolicyChanged changes the record during a day: what was judged by the earlier
// one, and does not follow from the one published, has its reason.
func TestPolicyChanged(t *testing.T) {
	for name, c := range map[string]struct {
		now  string           // after p=none of the morning
		want map[string]int64 // reasons by header_from and disposition
	}{
		"stricter":          {"v=DMARC1; p=reject; rua=mailto:rua@sender.example", map[string]int64{"sender.example none": 5, "sub.sender.example none": 7}},
		"sp stays":          {"v=DMARC1; p=reject; sp=none; rua=mailto:rua@sender.example", map[string]int64{"sender.example none": 5}},
		"np is not certain": {"v=DMARC1; p=reject; sp=none; np=reject; rua=mailto:rua@sender.example", map[string]int64{"sender.example none": 5, "sub.sender.example none": 7}},
		"the same in sum":   {"v=DMARC1; p=none; rua=mailto:rua@sender.example; ri=3600", map[string]int64{"sender.example reject": 2}},
		"on trial":          {"v=DMARC1; p=reject; t=y; rua=mailto:rua@sender.example", map[string]int64{"sender.example none": 5, "sub.sender.example none": 7, "sender.example reject": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				old := "v=DMARC1; p=none; rua=mailto:rua@sender.example"
				none := report.Row{Count: 5}
				sub := report.Row{Count: 7, HeaderFrom: "sub.sender.example"}
				told := report.Row{Count: 3, Disposition: report.DispositionQuarantine, Reasons: []report.Reason{{Type: report.ReasonLocalPolicy, Comment: "local criteria"}}}
				later := tally(yesterday, "sender.example", c.now, failed(2))
				later.Last += 3600
				r.load(tally(yesterday, "sender.example", old, none), tally(yesterday, "sender.example", old, sub),
					tally(yesterday, "sender.example", old, told), tally(yesterday, "sender.example", old, passed(4)), later)
				r.night()
				got := map[string]int64{}
				all := int64(0)
				for _, row := range r.server.got("")[0].report(t).Rows {
					all += row.Count
					for _, reason := range row.Reasons {
						if reason.Type == report.ReasonLocalPolicy && strings.Contains(reason.Comment, "changed during the day") {
							got[row.HeaderFrom+" "+string(row.Disposition)] += row.Count
						}
					}
				}
				if !maps.Equal(got, c.want) || all != 21 {
					t.Errorf("%d messages; reasons given %v, want %v", all, got, c.want)
				}
			})
		})
	}
}
