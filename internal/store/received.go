package store

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"

	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

var _ analysis.Store = (*Store)(nil)

// noDay is a day later than all others.
const noDay = int64(1) << 40

// receivedSlice is how many rows one statement of a long change takes.
const receivedSlice = 2000

// Ingest implements analysis.Ingester. It locks the id counter first, which excludes
// other daemons' batches until the transaction ends, so that lookups remain valid.
func (s *Store) Ingest(ctx context.Context, b *analysis.Batch) ([]analysis.Classified, error) {
	var in *ingest
	err := s.write(ctx, "ingest reports", func(ctx context.Context, t *tx) error {
		in = &ingest{t: t, batch: b}
		return in.run(ctx)
	})
	if err != nil {
		return nil, err
	}
	s.shared.add(in.epoch, in.usedSets, in.usedSources)
	return in.settled, nil
}

// ingest is one batch on its way into the store.
type ingest struct {
	t       *tx
	batch   *analysis.Batch
	nextID  int64
	epoch   int64 // of the shared rows
	settled []analysis.Classified

	tokens    map[itemToken]int64 // items that are stored
	known     map[[32]byte][]analysis.Known
	names     map[string]int64
	reporters map[textHash]int64
	hashes    map[*analysis.Report][]textHash // of the sets of its rows
	sets      map[textHash]sharedSet
	sources   map[netip.Addr]sharedSource
	segments  map[int64][]segment // by day

	usedSets    map[textHash]sharedSet // as the database has them now
	usedSources map[netip.Addr]sharedSource

	items, reports, raws, faults [][]any
}

type itemToken struct{ feed, token string }

func (in *ingest) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		in.reserve, in.findTokens, in.findKnown, in.shareNames, in.shareReporters, in.shareSets, in.shareSources, in.classify, in.insert,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for i := range in.batch.Feeds {
		if err := in.t.saveFeed(ctx, &in.batch.Feeds[i]); err != nil {
			return err
		}
	}
	return nil
}

// reserve takes ids for all items and reports.
func (in *ingest) reserve(ctx context.Context) error {
	if query := in.t.s.dialect.byIndex; query != "" {
		if _, err := in.t.exec(ctx, query); err != nil {
			return err
		}
	}
	n := 0
	for i := range in.batch.Items {
		n += 1 + len(in.batch.Items[i].Reports)
	}
	last, err := in.t.takeIDs(ctx, n)
	if err != nil {
		return err
	}
	in.nextID = last - int64(n) + 1
	in.epoch, err = in.t.epoch(ctx)
	return err
}

// takeIDs takes n ids and returns the last.
func (t *tx) takeIDs(ctx context.Context, n int) (last int64, err error) {
	err = t.row(ctx, `UPDATE received_state SET value = value + $1 WHERE name = 'id' RETURNING value`, n).Scan(&last)
	return last, err
}

func (in *ingest) id() int64 {
	in.nextID++
	return in.nextID - 1
}

// eachReport returns the reports of items.
func (in *ingest) eachReport(do func(*analysis.Report)) {
	for i := range in.batch.Items {
		for j := range in.batch.Items[i].Reports {
			do(&in.batch.Items[i].Reports[j])
		}
	}
}

func (in *ingest) findTokens(ctx context.Context) error {
	in.tokens = map[itemToken]int64{}
	byFeed := map[string][]any{}
	for i := range in.batch.Items {
		if it := &in.batch.Items[i]; it.Token != "" {
			byFeed[it.Feed] = append(byFeed[it.Feed], clean(it.Token))
		}
	}
	for feed, tokens := range byFeed {
		err := in.t.inChunks(ctx, tokens, func(scan func(...any) error) error {
			var token string
			var id int64
			err := scan(&token, &id)
			in.tokens[itemToken{feed, token}] = id
			return err
		}, `SELECT token, id FROM received_items WHERE feed = $1 AND token IN`, feed)
		if err != nil {
			return err
		}
	}
	return nil
}

// inChunks runs a query that ends in IN for all values; first are its other arguments.
func (t *tx) inChunks(ctx context.Context, values []any, take func(scan func(...any) error) error, query string, first ...any) error {
	const size = 256
	for len(values) > 0 {
		n := min(size, len(values))
		args := append(append([]any{}, first...), values[:n]...)
		if err := t.rows(ctx, take, query+" ("+argList(len(first)+1, n)+")", args...); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func (in *ingest) findKnown(ctx context.Context) error {
	in.known = map[[32]byte][]analysis.Known{}
	var keys []any
	in.eachReport(func(r *analysis.Report) {
		key := r.Key()
		keys = append(keys, key[:])
	})
	return in.t.knownReports(ctx, keys, in.known)
}

// knownReports adds the reports that occupy one of the keys.
func (t *tx) knownReports(ctx context.Context, keys []any, known map[[32]byte][]analysis.Known) error {
	return t.inChunks(ctx, keys, func(scan func(...any) error) error {
		var key, digest []byte
		var auth string
		var k analysis.Known
		if err := scan(&k.ID, &key, &digest, &k.Trust, &k.Status, &auth); err != nil {
			return err
		}
		k.Digest, k.Auth = [32]byte(digest), nameOf(auth)
		if list := known[[32]byte(key)]; len(list) == 0 || list[len(list)-1].ID != k.ID { // two chunks may have the same key
			known[[32]byte(key)] = append(list, k)
		}
		return nil
	}, `SELECT r.id, r.report_key, r.digest, r.trust, r.status, p.auth FROM received_reports r JOIN received_reporters p ON p.id = r.reporter
		WHERE r.status IN ('stored', 'empty') AND r.report_key IN`)
}

// classify decides on each report and makes its rows.
func (in *ingest) classify(ctx context.Context) error {
	for i := range in.batch.Items {
		it := &in.batch.Items[i]
		if id, ok := in.tokens[itemToken{it.Feed, clean(it.Token)}]; ok && it.Token != "" {
			if err := in.again(ctx, i, id); err != nil {
				return err
			}
			continue
		}
		id := in.id()
		if it.Token != "" {
			in.tokens[itemToken{it.Feed, clean(it.Token)}] = id
		}
		in.addItem(id, it)
		for j := range it.Reports {
			settled, err := in.add(ctx, &it.Reports[j], id, j, it)
			if err != nil {
				return err
			}
			settled.Item, settled.Report = i, j
			in.settled = append(in.settled, settled)
		}
	}
	return nil
}

// again adds the outcome of an item that was stored before to settled.
func (in *ingest) again(ctx context.Context, place int, item int64) error {
	for i := range in.settled { // within this batch
		if s := &in.settled[i]; in.itemID(s.Item) == item {
			one := *s
			one.Item, one.Known = place, true
			in.settled = append(in.settled, one)
		}
	}
	return in.t.rows(ctx, func(scan func(...any) error) error {
		one := analysis.Classified{Item: place, Known: true}
		if err := scan(&one.Report, &one.ID, &one.Status, &one.Of); err != nil {
			return err
		}
		in.settled = append(in.settled, one)
		return nil
	}, `SELECT place, id, status, of_report FROM received_reports WHERE item = $1 ORDER BY place`, item)
}

func (in *ingest) itemID(place int) int64 {
	it := &in.batch.Items[place]
	if it.Token == "" {
		return 0
	}
	return in.tokens[itemToken{it.Feed, clean(it.Token)}]
}

func (in *ingest) addItem(id int64, it *analysis.Item) {
	var token any
	if it.Token != "" {
		token = it.Token
	}
	day := int64(memory.DayOf(it.TakenAt))
	in.items = append(in.items, []any{
		id, it.Feed, token, it.TakenAt.UnixMicro(), day, it.Name, it.From, it.Subject, string(it.Kind), it.Why, it.Bytes, it.Digest[:],
		jsonText(it.Notes), len(it.Reports), in.batch.Reader, jsonText(it.Origin),
	})
	if it.Raw != nil {
		in.raws = append(in.raws, []any{id, day, it.Raw})
	}
}

// add takes one report in.
func (in *ingest) add(ctx context.Context, r *analysis.Report, item int64, place int, it *analysis.Item) (analysis.Classified, error) {
	key := r.Key()
	status, of := analysis.Classify(r, in.known[key])
	kept := status
	if status == analysis.StatusReplaced {
		kept = r.Status
		if err := in.replace(ctx, key, of); err != nil {
			return analysis.Classified{}, err
		}
	}
	id := in.id()
	if kept == analysis.StatusStored || kept == analysis.StatusEmpty {
		in.known[key] = append(in.known[key], analysis.Known{ID: id, Trust: r.Trust, Auth: r.AuthDomain, Digest: r.Digest, Status: kept})
	}
	in.addReport(id, r, kept, of, item, place, it)
	return analysis.Classified{ID: id, Status: status, Of: of}, in.addRows(ctx, id, r, kept, it.TakenAt)
}

// replace takes an older report out of what counts.
func (in *ingest) replace(ctx context.Context, key [32]byte, id int64) error {
	list := in.known[key]
	for i := range list {
		if list[i].ID == id {
			in.known[key] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if err := in.insert(ctx); err != nil { // it may be of this batch
		return err
	}
	if err := in.t.dropRows(ctx, id); err != nil {
		return err
	}
	_, err := in.t.exec(ctx, `UPDATE received_reports SET status = 'replaced', counts = 0 WHERE id = $1`, id)
	return err
}

// reportDetail is the part of a report that is only displayed.
type reportDetail struct {
	Policy    report.Published `json:"policy"`
	PCT       string           `json:"pct,omitempty"`
	Contact   string           `json:"contact,omitempty"`
	Error     string           `json:"error,omitempty"`
	Generator string           `json:"generator,omitempty"`
	Version   string           `json:"version,omitempty"`
	Recipient string           `json:"recipient,omitempty"`
	Nothing   int              `json:"nothing,omitempty"`
	Sent      []analysis.Sent  `json:"sent,omitempty"`
	Notes     []report.Note    `json:"notes,omitempty"`
}

func (in *ingest) addReport(id int64, r *analysis.Report, status analysis.Status, of, item int64, place int, it *analysis.Item) {
	in.reports = append(in.reports, append([]any{id, item, place, it.TakenAt.UnixMicro(), int64(of), string(status), boolInt(status == analysis.StatusStored && r.Trust.Counts())},
		in.reportColumns(r)...))
	day := int64(memory.DayOf(it.TakenAt))
	if r.Raw != nil {
		in.raws = append(in.raws, []any{id, day, r.Raw})
	}
	in.addFaults(id, r)
}

func (in *ingest) addFaults(id int64, r *analysis.Report) {
	seen := map[int]bool{}
	for _, f := range r.Quarantine {
		if !seen[f.Record] {
			seen[f.Record] = true
			in.faults = append(in.faults, []any{id, f.Record, f.Line, f.Why})
		}
	}
}

// reportColumns are the columns that depend on the report alone, see reportNames.
func (in *ingest) reportColumns(r *analysis.Report) []any {
	messages, compliant := r.Messages()
	key := r.Key()
	_, emailDomain, _ := strings.Cut(r.Metadata.Email, "@")
	return []any{
		in.nameID(r.Domain.String()), in.reporters[reporterHash(r)], r.Policy.Domain, string(r.Policy.P), r.Metadata.ReportID,
		r.Metadata.Begin.Unix(), r.Metadata.End.Unix(), bounded(int64(r.Day())), boolInt(isSpread(r)), strings.ToLower(emailDomain), string(r.Trust), r.Why,
		int64(r.Flags), key[:], r.Digest[:], string(r.Dialect), r.FileName, r.RawBytes, len(r.Rows), messages, compliant, len(r.Quarantine),
		boolInt(len(r.Notes) > 0), jsonText(reportDetail{
			Policy: r.Policy, PCT: r.PCT, Contact: r.Metadata.ExtraContact, Error: r.Metadata.Error, Generator: r.Metadata.Generator,
			Version: r.Version, Recipient: r.Recipient, Nothing: r.Nothing, Sent: r.Sent, Notes: r.Notes,
		}),
	}
}

// reportNames are the columns of reportColumns.
const reportNames = `domain, reporter, policy_domain, p, report_id, begins, ends, day, spread, email_domain, trust, why,
	flags, report_key, digest, dialect, file_name, raw_octets, records, messages, compliant, quarantined, repaired, detail`

// insert writes what was gathered.
func (in *ingest) insert(ctx context.Context) error {
	for _, one := range []struct {
		head string
		rows *[][]any
	}{
		{`INSERT INTO received_items (id, feed, token, taken_at, day, name, from_address, subject, kind, why, octets, digest, notes, reports, reader, origin)`, &in.items},
		{`INSERT INTO received_reports (id, item, place, received, of_report, status, counts, ` + reportNames + `, reader)`, &in.reports},
		{`INSERT INTO received_raws (id, day, body)`, &in.raws},
		{`INSERT INTO received_faults (report, record, line, why)`, &in.faults},
	} {
		if one.rows == &in.reports {
			for i := range in.reports {
				in.reports[i] = append(in.reports[i], in.batch.Reader)
			}
		}
		if err := in.t.insertMany(ctx, one.head, *one.rows, "", nil); err != nil {
			return err
		}
		*one.rows = nil
	}
	return in.writeSegments(ctx)
}

// jsonText is display-only data as JSON; nil lists are "null".
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "null" // texts and numbers can always be encoded
	}
	return string(text)
}
