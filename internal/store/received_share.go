package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// nameOf reads a name that we wrote; the zero name for anything else.
func nameOf(s string) dns.Name {
	name, err := dns.Parse(s)
	if err != nil {
		return dns.Name{}
	}
	return name
}

// nameID is the number of a managed domain; 0 for none.
func (in *ingest) nameID(name string) int64 { return in.names[name] }

// shareNames numbers the managed domains of the batch, and the unknown service.
func (in *ingest) shareNames(ctx context.Context) error {
	wanted := map[string]bool{analysis.ServiceUnknown: true}
	in.eachReport(func(r *analysis.Report) {
		if !r.Domain.IsZero() {
			wanted[r.Domain.String()] = true
		}
	})
	var err error
	in.names, err = in.t.nameIDs(ctx, slices.Sorted(maps.Keys(wanted)))
	return err
}

// nameIDs numbers names, which are added where they are new.
func (t *tx) nameIDs(ctx context.Context, names []string) (map[string]int64, error) {
	ids, err := t.knownNames(ctx, names)
	if err != nil {
		return nil, err
	}
	var rows [][]any
	for _, name := range names {
		if _, ok := ids[name]; !ok && name != "" {
			rows = append(rows, []any{name})
		}
	}
	last, err := t.takeIDs(ctx, len(rows))
	if err != nil {
		return nil, err
	}
	for i := range rows {
		id := last - int64(len(rows)) + 1 + int64(i)
		ids[rows[i][0].(string)] = id
		rows[i] = []any{id, rows[i][0]}
	}
	return ids, t.insertMany(ctx, `INSERT INTO received_names (id, value)`, rows, "", nil)
}

// knownNames gives the numbers of names that have one.
func (t *tx) knownNames(ctx context.Context, names []string) (map[string]int64, error) {
	ids := map[string]int64{}
	return ids, t.inChunks(ctx, anys(names), func(scan func(...any) error) error {
		var id int64
		var value string
		err := scan(&id, &value)
		ids[value] = id
		return err
	}, `SELECT id, value FROM received_names WHERE value IN`)
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

func reporterHash(r *analysis.Report) textHash {
	return hashText(fmt.Sprintf("%q %q %q", r.Metadata.OrgName, r.Metadata.Email, r.AuthDomain))
}

// shareReporters numbers the reporters of the batch.
func (in *ingest) shareReporters(ctx context.Context) error {
	wanted := map[textHash][]any{}
	in.eachReport(func(r *analysis.Report) {
		h := reporterHash(r)
		org, email := r.Metadata.OrgName, r.Metadata.Email
		wanted[h] = []any{h[:], org, email, r.AuthDomain.String(), strings.ToLower(org), strings.ToLower(email)}
	})
	var err error
	in.reporters, err = in.t.share(ctx, "received_reporters", "hash, org, email, auth, org_lower, email_lower", wanted)
	return err
}

// share sees to it that rows with a hash are there, the hash being their first column,
// and numbers them.
func (t *tx) share(ctx context.Context, table, columns string, wanted map[textHash][]any) (map[textHash]int64, error) {
	hashes := slices.SortedFunc(maps.Keys(wanted), func(a, b textHash) int { return bytes.Compare(a[:], b[:]) })
	ids := make(map[textHash]int64, len(wanted))
	keys := make([]any, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	err := t.inChunks(ctx, keys, func(scan func(...any) error) error {
		var id int64
		var h []byte
		err := scan(&id, &h)
		ids[textHash(h)] = id
		return err
	}, `SELECT id, hash FROM `+table+` WHERE hash IN`)
	if err != nil {
		return nil, err
	}
	var rows [][]any
	for _, h := range hashes {
		if _, ok := ids[h]; !ok {
			rows = append(rows, append([]any{int64(0)}, wanted[h]...))
		}
	}
	last, err := t.takeIDs(ctx, len(rows))
	if err != nil {
		return nil, err
	}
	for i := range rows {
		id := last - int64(len(rows)) + 1 + int64(i)
		rows[i][0] = id
		ids[textHash(rows[i][1].([]byte))] = id
	}
	return ids, t.insertMany(ctx, `INSERT INTO `+table+` (id, `+columns+`)`, rows, "", nil)
}

// setBody is what a set of many rows holds.
type setBody struct {
	HeaderFrom   string           `json:"h"`
	EnvelopeFrom string           `json:"f,omitempty"`
	NullSender   bool             `json:"n,omitempty"`
	EnvelopeTo   string           `json:"t,omitempty"`
	Auth         analysis.AuthSet `json:"a"`
}

func setOf(row *analysis.Row) setBody {
	return setBody{HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom, NullSender: row.NullSender, EnvelopeTo: row.EnvelopeTo, Auth: *row.Auth}
}

func setHash(row *analysis.Row) textHash { return hashText(jsonText(setOf(row))) }

// Kinds of names of sets.
const (
	setHeaderFrom = iota
	setEnvelopeFrom
	setSPFDomain
	setDKIMDomain
	setSelector
	setReason
)

// maxSetName bounds a name that rows are found by; what is longer is shown, and found
// by its beginning alone.
const maxSetName = 1024

// names are what rows of the set are found by, in small letters.
func (b *setBody) names() map[[2]string]int64 {
	out := map[[2]string]int64{}
	add := func(kind int64, value string) {
		value = strings.ToLower(clean(value))
		if value = value[:min(len(value), maxSetName)]; value != "" {
			out[[2]string{fmt.Sprint(kind), strings.ToValidUTF8(value, "")}] = kind
		}
	}
	add(setHeaderFrom, b.HeaderFrom)
	add(setEnvelopeFrom, b.EnvelopeFrom)
	for _, r := range b.Auth.SPF {
		add(setSPFDomain, r.Domain)
	}
	for _, r := range b.Auth.DKIM {
		add(setDKIMDomain, r.Domain)
		add(setSelector, r.Selector)
	}
	for _, r := range b.Auth.Reasons {
		add(setReason, string(r.Type))
	}
	return out
}

// shareSets stores what many rows share.
func (in *ingest) shareSets(ctx context.Context) error {
	wanted := map[textHash][]any{}
	days := map[textHash]int64{}
	in.eachReport(func(r *analysis.Report) {
		if r.Status != analysis.StatusStored {
			return
		}
		for i := range r.Rows {
			body := jsonText(setOf(&r.Rows[i]))
			h := hashText(body)
			days[h] = max(days[h], bounded(int64(r.Day())))
			wanted[h] = []any{h[:], days[h], body}
		}
	})
	before, err := in.t.share(ctx, "received_sets", "hash, last_day, body", wanted)
	if err != nil {
		return err
	}
	in.sets = before
	return in.nameSets(ctx, wanted, days)
}

// nameSets notes the names of sets that have none yet, and that the others are in use.
func (in *ingest) nameSets(ctx context.Context, wanted map[textHash][]any, days map[textHash]int64) error {
	ids := map[int64]textHash{}
	for h, id := range in.sets {
		ids[id] = h
	}
	named := map[int64]bool{}
	err := in.t.inChunks(ctx, anys(slices.Sorted(maps.Keys(ids))), func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		named[id] = true
		return err
	}, `SELECT DISTINCT aset FROM received_set_names WHERE aset IN`)
	if err != nil {
		return err
	}
	var rows [][]any
	used := map[int64][]any{}
	for id, h := range ids {
		if named[id] {
			used[days[h]] = append(used[days[h]], id)
			continue
		}
		var body setBody
		if err := json.Unmarshal([]byte(wanted[h][2].(string)), &body); err != nil {
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
		for name, kind := range body.names() {
			rows = append(rows, []any{kind, name[1], id})
		}
	}
	for day, list := range used {
		for chunk := range slices.Chunk(list, 256) {
			if _, err := in.t.exec(ctx, `UPDATE received_sets SET last_day = $1 WHERE last_day < $1 AND id IN (`+argList(2, len(chunk))+`)`,
				append([]any{day}, chunk...)...); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return strings.Compare(fmt.Sprint(a[0], a[1], a[2]), fmt.Sprint(b[0], b[1], b[2]))
	})
	return in.t.insertMany(ctx, `INSERT INTO received_set_names (kind, value, aset)`, rows, "", nil)
}

// identitySpan is what a source is called from a day on.
type identitySpan struct{ id, from, service int64 }

// shareSources gives each source of the batch an identity, not yet known for a new one.
func (in *ingest) shareSources(ctx context.Context) error {
	in.sources = map[string][]identitySpan{}
	last := map[string]int64{}
	texts := map[string]netip.Addr{}
	in.eachReport(func(r *analysis.Report) {
		for i := range r.Rows {
			key := string(clientKey(r.Rows[i].Source))
			last[key] = max(last[key], bounded(int64(r.Day())))
			texts[key] = r.Rows[i].Source
		}
	})
	keys := slices.Sorted(maps.Keys(texts))
	if err := in.findSources(ctx, keys); err != nil {
		return err
	}
	var rows [][]any
	used := map[int64][]any{}
	for _, key := range keys {
		if spans := in.sources[key]; len(spans) > 0 {
			used[last[key]] = append(used[last[key]], spans[len(spans)-1].id)
			continue
		}
		rows = append(rows, []any{int64(0), []byte(key), texts[key].Unmap().String(), int64(0), in.names[analysis.ServiceUnknown], "", "", int64(0), int64(1), last[key]})
	}
	for day, list := range used {
		for chunk := range slices.Chunk(list, 256) {
			if _, err := in.t.exec(ctx, `UPDATE received_identities SET last_day = $1 WHERE last_day < $1 AND id IN (`+argList(2, len(chunk))+`)`,
				append([]any{day}, chunk...)...); err != nil {
				return err
			}
		}
	}
	top, err := in.t.takeIDs(ctx, len(rows))
	if err != nil {
		return err
	}
	for i := range rows {
		id := top - int64(len(rows)) + 1 + int64(i)
		rows[i][0] = id
		in.sources[string(rows[i][1].([]byte))] = []identitySpan{{id: id, service: in.names[analysis.ServiceUnknown]}}
	}
	return in.t.insertMany(ctx, `INSERT INTO received_identities (`+identityColumns+`)`, rows, "", nil)
}

const identityColumns = `id, source, ip, from_day, service, host, claimed, again, current, last_day`

func (in *ingest) findSources(ctx context.Context, keys []string) error {
	list := make([]any, len(keys))
	for i := range keys {
		list[i] = []byte(keys[i])
	}
	err := in.t.inChunks(ctx, list, func(scan func(...any) error) error {
		var source []byte
		var one identitySpan
		err := scan(&source, &one.id, &one.from, &one.service)
		in.sources[string(source)] = append(in.sources[string(source)], one)
		return err
	}, `SELECT source, id, from_day, service FROM received_identities WHERE source IN`)
	for _, spans := range in.sources {
		slices.SortFunc(spans, func(a, b identitySpan) int { return int(a.from - b.from) })
	}
	return err
}

// span is what the source of a row is called on the day of its report.
func (in *ingest) span(r *analysis.Report, row *analysis.Row) identitySpan {
	spans := in.sources[string(clientKey(row.Source))]
	day := bounded(int64(r.Day()))
	for i := len(spans) - 1; i > 0; i-- {
		if spans[i].from <= day {
			return spans[i]
		}
	}
	return spans[0]
}

// Codes of words in rows and rollups.
func dispositionCode(d report.Disposition) int64 {
	return int64(max(slices.Index(dispositions[:], d), 0))
}

var dispositions = [...]report.Disposition{"", report.DispositionNone, report.DispositionPass, report.DispositionQuarantine, report.DispositionReject}

func verdictCode(v report.DMARCResult) int64 { return boolInt(v == report.DMARCPass) }

func verdictOf(code int64) report.DMARCResult {
	if code == 1 {
		return report.DMARCPass
	}
	return report.DMARCFail
}
