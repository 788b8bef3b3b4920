package console

import (
	"encoding/xml"
	"strings"
	"testing"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{
		{0, 0, "–"}, {0, 5, "0%"}, {5, 5, "100%"}, {1, 10_000, "<0.1%"}, {9999, 10_000, ">99.9%"}, {1, 1000, "0.1%"}, {999, 1000, "99.9%"}, {1, 3, "33.3%"},
	} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

func TestNiceTop(t *testing.T) {
	for n, want := range map[int64][2]int64{0: {4, 1}, 3: {4, 1}, 4: {4, 1}, 5: {6, 2}, 50_880: {60_000, 20_000}, 100: {100, 50}, 1_000_001: {1_500_000, 500_000}} {
		top, step := niceTop(n)
		if top < n || top%step != 0 || top/step > 4 || [2]int64{top, step} != want {
			t.Errorf("%d: %d by %d, want %v", n, top, step, want)
		}
	}
}

// TestChart draws days with and without mail, and reads what was drawn.
func TestChart(t *testing.T) {
	day := memory.DayOf(noon)
	rows := []analysis.TrendRow{
		{Day: day - 3, Counts: analysis.Counts{Messages: 1000, Compliant: 1000}}, {Day: day - 1, Counts: analysis.Counts{Messages: 200, Compliant: 150}},
		{Day: day, Counts: analysis.Counts{Messages: 1_000_000, Compliant: 999_999}},
	}
	s := series{Lang: english, ID: "days", Title: `"<Messages>"`, Rows: withoutGaps(rows, day-3, day, false), Link: func(d memory.Day) string { return "/x?since=" + d.String() + "&until=" + d.String() }, Compliance: true}
	if len(s.Rows) != 4 {
		t.Fatalf("%d days", len(s.Rows))
	}
	drawn := string(s.HTML())
	decoder := xml.NewDecoder(strings.NewReader(drawn))
	counts := map[string]int{}
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if e, ok := token.(xml.StartElement); ok {
			counts[e.Name.Local]++
		}
	}
	if counts["a"] != 4 || counts["rect"] != 5 || counts["title"] != 5 || counts["desc"] != 1 || counts["circle"] != 1 {
		t.Errorf("drawn: %v", counts)
	}
	for _, want := range []string{
		"1,001,200 messages, &gt;99.9% compliant. Lowest: 2026-03-03, 75.0%.", "2026-03-04: 1,000,000 messages, 1 non-compliant (&gt;99.9% compliant)", ">75.0%</text>",
		`height="1.0"`, // what is there is seen
	} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is not in %s", want, drawn)
		}
	}
	if weeks := withoutGaps(nil, day-10, day, true); len(weeks) != 3 || weeks[0].Day%7 != 4 {
		t.Errorf("weeks: %v", weeks)
	}
}
