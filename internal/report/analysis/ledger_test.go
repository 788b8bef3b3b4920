package analysis_test

import (
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

func TestLedger(t *testing.T) {
	day := func(n int) time.Time { return memory.Day(20_000 + n).Begin() }
	listed := func(reporter string, from, days int, delay time.Duration, status analysis.Status, messages int64) *analysis.Listed {
		end := day(from + days).Add(-time.Second)
		return &analysis.Listed{
			Kind: analysis.KindAggregate, Status: status, Reporter: reporter, Email: "dmarc@" + reporter, Begin: day(from), End: end, Received: end.Add(delay),
			Messages: messages, Dialect: report.DialectRFC9990, Trust: analysis.TrustUnknown,
		}
	}
	var sums analysis.LedgerSums
	for _, one := range []*analysis.Listed{
		listed("daily.example", 0, 1, time.Hour, analysis.StatusStored, 10),
		listed("daily.example", 1, 1, 3*time.Hour, analysis.StatusEmpty, 0),
		listed("daily.example", 4, 1, 2*time.Hour, analysis.StatusStored, 20),
		listed("daily.example", 4, 1, 9*time.Hour, analysis.StatusDuplicate, 20),
		listed("daily.example", 4, 1, 9*time.Hour, analysis.StatusDiffers, 21),
		listed("daily.example", 5, 1, time.Hour, analysis.StatusRefused, 0),
		listed("daily.example", 9, 1, time.Hour, analysis.StatusAside, 99),
		listed("weekly.example", 0, 7, 48*time.Hour, analysis.StatusStored, 70),
	} {
		sums.Add(one)
	}
	midnight := listed("midnight.example", 2, 1, time.Hour, analysis.StatusStored, 0)
	midnight.End = midnight.End.Add(time.Second)
	sums.Add(midnight)
	sums.AddRecord(&analysis.Detail{Reporter: "weekly.example", Messages: 5, Flags: []string{"contradicted_dkim"}})
	sums.AddRecord(&analysis.Detail{Reporter: "weekly.example", Messages: 7, Flags: []string{"worked_out_spf"}})
	rows := sums.Rows()
	if len(rows) != 3 {
		t.Fatalf("got %+v", rows)
	}
	w, d, m := rows[0], rows[1], rows[2]
	if w.Reporter != "weekly.example" || w.Share != 0.7 || w.Gaps != 0 || w.Last-w.First != 6 || w.Delay != 48*3600 || w.Contradicted != 5 {
		t.Errorf("weekly: %+v", w)
	}
	if d.Reports != 3 || d.Messages != 30 || d.Duplicates != 1 || d.Differs != 1 || d.Refused != 1 || d.Gaps != 2 || d.Delay != 2*3600 || d.DelayMost != 3*3600 {
		t.Errorf("daily: %+v", d)
	}
	if d.Trust[analysis.TrustUnknown] != 3 || len(d.Forms) != 1 || d.Forms[0] != report.DialectRFC9990 {
		t.Errorf("daily: trust %v, forms %v", d.Trust, d.Forms)
	}
	if m.First != m.Last {
		t.Errorf("a period that ends at midnight: %v to %v", m.First, m.Last)
	}
}
