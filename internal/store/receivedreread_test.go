package store

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
)

// TestReread reads reports and items again, in this store and in one that counts row by
// row, and compares both.
func TestReread(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, like := db.open(t), analysistest.New()
		both := []analysis.Store{s, like}
		m := &receivedMaker{r: rand.New(rand.NewPCG(5, 1))}
		stored, refused, aside, hidden := m.report(), m.report(), m.report(), m.report()
		for _, r := range []*analysis.Report{&stored, &refused, &aside, &hidden} {
			r.Raw, r.Trust = []byte("xml"), analysis.TrustUnknown
		}
		better := stored
		better.Rows = append(slices.Clone(stored.Rows), m.row(40))
		better.Digest = analysis.DigestRows(better.Rows)
		readable, managed := refused, aside
		refused.Status, refused.Rows, refused.Digest = analysis.StatusRefused, nil, analysis.DigestRows(nil)
		aside.Status, aside.Why = analysis.StatusAside, "not managed"
		items := []analysis.Item{
			{Feed: "f", Kind: analysis.KindAggregate, TakenAt: receivedStart, Reports: []analysis.Report{stored}},
			{Feed: "f", Kind: analysis.KindAggregate, TakenAt: receivedStart, Reports: []analysis.Report{refused, aside}},
			{Feed: "f", Kind: analysis.KindUnreadable, TakenAt: receivedStart, Raw: []byte("mail"), Origin: analysis.Origin{Mail: true, Addresses: []string{"a@b.example"}}},
			{Feed: "f", Kind: analysis.KindAggregate, TakenAt: receivedStart, Reports: []analysis.Report{readable}}, // by another way, later
		}
		items[3].Reports[0].Metadata.ReportID += " again"
		again := analysis.Item{Kind: analysis.KindAggregate, TakenAt: receivedStart, Reports: []analysis.Report{hidden, stored}}
		var ids []int64
		for _, one := range both {
			settled := must(one.Ingest(t.Context(), &analysis.Batch{Reader: 1, Items: items}))
			stale := must(one.Stale(t.Context(), 2, 0, 9))
			if len(settled) != 4 || len(stale) != 5 || len(must(one.Stale(t.Context(), 1, 0, 9))) != 1 || len(must(one.Stale(t.Context(), 2, stale[1].ID, 2))) != 2 {
				t.Fatalf("%d reports, stale: %+v", len(settled), stale)
			}
			at := stale[slices.IndexFunc(stale, func(s analysis.Stale) bool { return s.Item })].ID
			raw := must(one.RawReport(t.Context(), at))
			if !reflect.DeepEqual(raw.Origin, items[2].Origin) || raw.Feed != "f" {
				t.Errorf("the item is %+v", raw)
			}
			ids = append(ids, settled[0].ID, settled[1].ID, settled[2].ID, at)
		}
		for i, one := range both {
			statuses := rereadAll(t, one, ids[4*i:4*i+4], &better, &readable, &managed, &again)
			if want := []analysis.Status{"stored", "stored", "stored", "stored", "differs"}; !slices.Equal(statuses, want) {
				t.Errorf("%T: they are %v, want %v", one, statuses, want)
			}
			key := hidden.Key()
			known := must(one.KnownReports(t.Context(), [][32]byte{key, {}}))
			if len(known[key]) != 1 || known[key][0].Digest != hidden.Digest || len(known[[32]byte{}]) != 0 {
				t.Errorf("known: %+v", known)
			}
			if left := must(one.Stale(t.Context(), 2, 0, 9)); len(left) != 1 || left[0].Item {
				t.Errorf("stale then: %+v", left)
			}
		}
		compareFigures(t, s, like, analysis.Query{Filter: analysis.Filter{All: true}})
		if _, err := s.Reread(t.Context(), 999, 2, &better); err != analysis.ErrNotFound {
			t.Errorf("a report that is not there: %v", err)
		}
	})
}

// rereadAll reads three reports and an item again.
func rereadAll(t *testing.T, s analysis.Store, ids []int64, a, b, c *analysis.Report, item *analysis.Item) []analysis.Status {
	t.Helper()
	var out []analysis.Status
	for i, r := range []*analysis.Report{a, b, c} {
		out = append(out, must(s.Reread(context.Background(), ids[i], 2, r)).Status)
	}
	for _, one := range must(s.RereadItem(context.Background(), ids[3], 2, item)) {
		out = append(out, one.Status)
	}
	return out
}
