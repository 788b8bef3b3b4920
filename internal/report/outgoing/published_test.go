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
				later := aggregate(yesterday, "sender.example", c.now, failed(2))
				later.Last += 3600
				r.load(aggregate(yesterday, "sender.example", old, none), aggregate(yesterday, "sender.example", old, sub),
					aggregate(yesterday, "sender.example", old, told), aggregate(yesterday, "sender.example", old, passed(4)), later)
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

// TestPublishedFO reports fo as the record has it, with or without ruf, and no default.
func TestPublishedFO(t *testing.T) {
	for record, want := range map[string]string{
		"v=DMARC1; p=none; rua=mailto:rua@sender.example":                                   "",
		"v=DMARC1; p=none; fo=1:d; rua=mailto:rua@sender.example":                           "1:d",
		"v=DMARC1; p=none; rua=mailto:rua@sender.example; fo = 0":                           "0",
		"v=DMARC1; p=none; rua=mailto:rua@sender.example; ruf=mailto:ruf@sender.example":    "",
		"v=DMARC1; p=none; rua=mailto:rua@sender.example; fo=s;ruf=mailto:r@sender.example": "s",
	} {
		t.Run(record, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				r.load(aggregate(yesterday, "sender.example", record, failed(1)))
				r.night()
				if got := r.server.got("")[0].report(t).Policy.FO; got != want {
					t.Errorf("fo %q, want %q", got, want)
				}
			})
		})
	}
}

// TestErrorNamesEachFaultOnce has no fault twice in the report's error.
func TestErrorNamesEachFaultOnce(t *testing.T) {
	for record, want := range map[string]string{
		"v=DMARC1; p=rejct; rua=mailto:rua@sender.example":                         `the record has no valid policy and was taken for p=none; p has the invalid value "rejct"`,
		"v=DMARC1; rua=mailto:rua@sender.example":                                  "the record has no valid policy and was taken for p=none",
		"v=DMARC1; p=none; x=1; x=2; rua=mailto:rua@sender.example; y=1":           `unknown tag "x"; unknown tag "y"`,
		"v=DMARC1; p=none; rua=mailto:rua@sender.example":                          "",
		"v=DMARC1; a=1; b=1; c=1; d=1; e=1; p=none; rua=mailto:rua@sender.example": `unknown tag "a"; unknown tag "b"; unknown tag "c"; unknown tag "d"`,
	} {
		t.Run(record, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				r.load(aggregate(yesterday, "sender.example", record, failed(1)))
				r.night()
				if got := r.server.got("")[0].report(t).Metadata.Error; got != want {
					t.Errorf("error %q, want %q", got, want)
				}
			})
		})
	}
}
