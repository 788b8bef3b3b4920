package intake

import (
	"context"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
)

// trialStore stores nothing: it reports what would become of reports, given those before.
type trialStore struct {
	of    knownReports // nil: nothing is stored
	known map[[32]byte][]analysis.Known
}

// knownReports is a part of analysis.Store.
type knownReports interface {
	KnownReports(ctx context.Context, keys [][32]byte) (map[[32]byte][]analysis.Known, error)
}

// inThisRun replaces the number of a report that a trial would store.
const inThisRun = -1

// Ingest implements Store.
func (t *trialStore) Ingest(ctx context.Context, b *analysis.Batch) ([]analysis.Classified, error) {
	if err := t.lookUp(ctx, b); err != nil {
		return nil, err
	}
	var out []analysis.Classified
	for i := range b.Items {
		for j := range b.Items[i].Reports {
			r := &b.Items[i].Reports[j]
			status, of := analysis.Classify(r, t.known[r.Key()])
			out = append(out, analysis.Classified{Item: i, Report: j, Status: status, Of: of})
			t.add(r, status, of)
		}
	}
	return out, nil
}

// lookUp finds what is stored under the keys of a batch.
func (t *trialStore) lookUp(ctx context.Context, b *analysis.Batch) error {
	if t.known == nil {
		t.known = map[[32]byte][]analysis.Known{}
	}
	if t.of == nil {
		return nil
	}
	var keys [][32]byte
	for i := range b.Items {
		for j := range b.Items[i].Reports {
			key := b.Items[i].Reports[j].Key()
			if _, looked := t.known[key]; !looked {
				keys = append(keys, key)
			}
		}
	}
	found, err := t.of.KnownReports(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		t.known[key] = found[key]
	}
	return nil
}

// add records that a report would be stored, replacing another or not.
func (t *trialStore) add(r *analysis.Report, status analysis.Status, of int64) {
	key := r.Key()
	switch status {
	case analysis.StatusReplaced:
		var others []analysis.Known
		for _, k := range t.known[key] {
			if k.ID != of {
				others = append(others, k)
			}
		}
		t.known[key] = others
	case analysis.StatusStored, analysis.StatusEmpty:
	default:
		return
	}
	t.known[key] = append(t.known[key], analysis.Known{ID: inThisRun, Trust: r.Trust, Auth: r.AuthDomain, Digest: r.Digest, Status: r.Status})
}

// Pairs implements Store: what admins supply needs none.
func (t *trialStore) Pairs(context.Context) ([]analysis.Pair, error) { return nil, nil }

// keysOf returns the keys of an item's reports, for comparison within the same trial.
func keysOf(item *analysis.Item) []api.IngestKey {
	var out []api.IngestKey
	for i := range item.Reports {
		key := item.Reports[i].Key()
		out = append(out, api.IngestKey{Report: key[:], Records: item.Reports[i].Digest[:]})
	}
	return out
}
