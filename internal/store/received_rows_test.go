package store

import (
	"context"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// TestManyRecords stores a report with more records than are made rows of at once, and
// one that is spread over its days. Each is still one report.
func TestManyRecords(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		for _, days := range []int{1, 3} {
			s := sibling(t, db).open(t)
			b := sourceReport(3, "192.0.2.1", "192.0.2.2")
			r := &b.Items[0].Reports[0]
			r.Metadata.End = r.Metadata.Begin.AddDate(0, 0, days).Add(-time.Second)
			two := r.Rows
			for len(r.Rows) < 2*recordsAtOnce+1 {
				row := two[len(r.Rows)%2]
				row.Number, row.Count = len(r.Rows)+1, 3
				r.Rows = append(r.Rows, row)
			}
			must(s.Ingest(t.Context(), b))
			want, _ := r.Messages()
			all := analysis.Query{Filter: analysis.Filter{All: true}, Limit: 10}
			if got := must(s.Totals(t.Context(), all)); got.Messages != want || got.Reports != 1 {
				t.Errorf("%d days: %+v, want %d messages", days, got, want)
			}
			if got := must(s.Reporters(t.Context(), all)).Rows; len(got) != 1 || got[0].Reports != 1 || got[0].Messages != want {
				t.Errorf("%d days: %+v", days, got)
			}
			if got := must(s.Trend(t.Context(), all)); len(got) != days {
				t.Errorf("%d days: %+v", days, got)
			}
			next, sum := 1, int64(0)
			err := s.Export(t.Context(), all, func(d *analysis.Detail) error {
				if d.Record != next && days == 1 {
					t.Fatalf("record %d is %+v", next, d)
				}
				next, sum = next+1, sum+d.Messages
				return nil
			})
			if err != nil || next-1 != len(r.Rows) || sum != want {
				t.Errorf("%d days: %d records, want %d, of %d messages, want %d, %v", days, next-1, len(r.Rows), sum, want, err)
			}
			err = s.write(t.Context(), "test", func(ctx context.Context, t *tx) error {
				ids, err := t.keys(ctx, `SELECT id FROM received_reports`)
				if err != nil {
					return err
				}
				return t.dropRows(ctx, ids[0])
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := rowCount(t, s, "received_blocks"); n != 0 {
				t.Errorf("%d days: %d blocks of a report that is gone", days, n)
			}
		}
	})
}

// TestFarDays has a reporter claim days that are far away. Nothing counts through the
// days between.
func TestFarDays(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		for n, begin := range []time.Time{receivedStart, time.Unix(1<<47, 0), time.Unix(-1<<40, 0)} {
			b := sourceReport(n, "192.0.2.1")
			r := &b.Items[0].Reports[0]
			r.Metadata.Begin, r.Metadata.End = begin, begin.Add(24*time.Hour)
			r.AuthDomain, r.Trust = dns.MustParse("esp.example"), analysis.TrustOtherName
			r.Metadata.Email = "reports@one.example"
			must(s.Ingest(t.Context(), b))
		}
		all := analysis.Query{Filter: analysis.Filter{All: true}, Limit: 1}
		pair := analysis.Pair{Auth: dns.MustParse("esp.example"), Email: dns.MustParse("one.example"), Accepted: true}
		if err := s.SetPair(t.Context(), pair); err != nil {
			t.Fatal(err)
		}
		if got := allPages(t, all, s.Details); len(got) != 3 || got[0].Day < got[1].Day || got[1].Day < got[2].Day {
			t.Errorf("%+v", got)
		}
		if got := must(s.Overview(t.Context(), all)).Rows; len(got) != 1 || got[0].Messages != 3 {
			t.Errorf("%+v", got)
		}
	})
}
