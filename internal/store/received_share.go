package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// nameOf parses a stored name; the zero name if it is not one.
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

// knownNames returns the numbers of names that have one.
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
	in.reporters, _, err = in.t.share(ctx, "received_reporters", "hash, org, email, auth, org_lower, email_lower", wanted)
	return err
}

// share inserts the missing rows of a table keyed by a hash, its first column, and
// returns the ids of all and which were missing.
func (t *tx) share(ctx context.Context, table, columns string, wanted map[textHash][]any) (ids map[textHash]int64, fresh map[textHash]bool, err error) {
	hashes := slices.SortedFunc(maps.Keys(wanted), func(a, b textHash) int { return bytes.Compare(a[:], b[:]) })
	ids, fresh = make(map[textHash]int64, len(wanted)), map[textHash]bool{}
	keys := make([]any, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	err = t.inChunks(ctx, keys, func(scan func(...any) error) error {
		var id int64
		var h []byte
		err := scan(&id, &h)
		ids[textHash(h)] = id
		return err
	}, `SELECT id, hash FROM `+table+` WHERE hash IN`)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]any
	for _, h := range hashes {
		if _, ok := ids[h]; !ok {
			rows = append(rows, append([]any{int64(0)}, wanted[h]...))
		}
	}
	last, err := t.takeIDs(ctx, len(rows))
	if err != nil {
		return nil, nil, err
	}
	for i := range rows {
		id := last - int64(len(rows)) + 1 + int64(i)
		h := textHash(rows[i][1].([]byte))
		rows[i][0], ids[h], fresh[h] = id, id, true
	}
	return ids, fresh, t.insertMany(ctx, `INSERT INTO `+table+` (id, `+columns+`)`, rows, "", nil)
}

// setBody is the content of a set that many rows share.
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

// Kinds of names of sets.
const (
	setHeaderFrom = iota
	setEnvelopeFrom
	setSPFDomain
	setDKIMDomain
	setSelector
	setReason
)

// maxSetName bounds a searchable name; a longer one is shown in full, and found by its
// prefix alone.
const maxSetName = 1024

// names are the searchable names of the set's rows, in lower case.
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
	in.hashes, in.sets, in.usedSets = map[*analysis.Report][]textHash{}, map[textHash]sharedSet{}, map[textHash]sharedSet{}
	bodies := map[textHash]string{}
	days := map[textHash]int64{}
	in.eachReport(func(r *analysis.Report) {
		if r.Status != analysis.StatusStored {
			return
		}
		day := lastUse(bounded(int64(r.Day())), setSpan)
		hashes := make([]textHash, len(r.Rows))
		for i := range r.Rows {
			body := jsonText(setOf(&r.Rows[i]))
			h := hashText(body)
			hashes[i] = h
			if known, ok := in.t.s.shared.set(in.epoch, h, day); ok {
				in.sets[h] = known
				continue
			}
			days[h] = max(days[h], day)
			bodies[h] = body
		}
		in.hashes[r] = hashes
	})
	wanted := make(map[textHash][]any, len(bodies))
	for h, body := range bodies {
		wanted[h] = []any{h[:], days[h], body}
	}
	ids, fresh, err := in.t.share(ctx, "received_sets", "hash, last_day, body", wanted)
	if err != nil {
		return err
	}
	used := map[int64][]any{}
	for h, id := range ids {
		in.sets[h] = sharedSet{id: id, lastDay: days[h]}
		in.usedSets[h] = in.sets[h]
		if !fresh[h] {
			used[days[h]] = append(used[days[h]], id)
		}
	}
	if err := in.t.noteUse(ctx, "received_sets", used); err != nil {
		return err
	}
	return in.nameSets(ctx, fresh, bodies)
}

// nameSets notes the names of new sets.
func (in *ingest) nameSets(ctx context.Context, fresh map[textHash]bool, bodies map[textHash]string) error {
	var rows [][]any
	for h := range fresh {
		var body setBody
		if err := json.Unmarshal([]byte(bodies[h]), &body); err != nil {
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
		for name, kind := range body.names() {
			rows = append(rows, []any{kind, name[1], in.sets[h].id})
		}
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(int64), b[0].(int64)), cmp.Compare(a[1].(string), b[1].(string)), cmp.Compare(a[2].(int64), b[2].(int64)))
	})
	return in.t.insertMany(ctx, `INSERT INTO received_set_names (kind, value, aset)`, rows, "", nil)
}

// noteUse notes that rows of a table are in use until days.
func (t *tx) noteUse(ctx context.Context, table string, used map[int64][]any) error {
	for day, list := range used {
		for chunk := range slices.Chunk(list, 256) {
			if _, err := t.exec(ctx, `UPDATE `+table+` SET last_day = $1 WHERE last_day < $1 AND id IN (`+argList(2, len(chunk))+`)`,
				append([]any{day}, chunk...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// identitySpan is the identity of a source from a day on.
type identitySpan struct{ id, from int64 }

// shareSources returns each source of the batch an identity, an unknown one for a new
// source.
func (in *ingest) shareSources(ctx context.Context) error {
	in.sources, in.usedSources = map[netip.Addr]sharedSource{}, map[netip.Addr]sharedSource{}
	missing := map[netip.Addr]int64{} // the day of its latest mail
	in.eachReport(func(r *analysis.Report) {
		day := lastUse(bounded(int64(r.Day())), sourceSpan)
		for i := range r.Rows {
			addr := sourceOf(&r.Rows[i])
			if known, ok := in.t.s.shared.source(in.epoch, addr, day); ok {
				in.sources[addr] = known
				continue
			}
			if last, ok := missing[addr]; !ok || day > last {
				missing[addr] = day
			}
		}
	})
	addrs := slices.SortedFunc(maps.Keys(missing), netip.Addr.Compare)
	if err := in.findSources(ctx, addrs); err != nil {
		return err
	}
	var rows [][]any
	used := map[int64][]any{}
	for _, addr := range addrs {
		one := in.sources[addr]
		if n := len(one.spans); n > 0 {
			used[missing[addr]] = append(used[missing[addr]], one.spans[n-1].id)
			one.lastDay = missing[addr]
			in.sources[addr], in.usedSources[addr] = one, one
			continue
		}
		rows = append(rows, []any{
			int64(0), sourceKey(addr), addr.String(), int64(0), in.names[analysis.ServiceUnknown], "", "", int64(0), int64(1), missing[addr], "{}",
		})
	}
	if err := in.t.noteUse(ctx, "received_identities", used); err != nil {
		return err
	}
	return in.newSources(ctx, rows)
}

// newSources stores sources that were never seen before; the id of each is left to fill in.
func (in *ingest) newSources(ctx context.Context, rows [][]any) error {
	top, err := in.t.takeIDs(ctx, len(rows))
	if err != nil {
		return err
	}
	for i := range rows {
		id := top - int64(len(rows)) + 1 + int64(i)
		rows[i][0] = id
		addr := addrOf(rows[i][1].([]byte))
		one := sharedSource{spans: []identitySpan{{id: id}}, lastDay: rows[i][9].(int64)}
		in.sources[addr], in.usedSources[addr] = one, one
	}
	return in.t.insertMany(ctx, `INSERT INTO received_identities (`+identityColumns+`)`, rows, "", nil)
}

const identityColumns = `id, source, ip, from_day, service, host, claimed, again, current, last_day, about`

// sourceOf is the address of a row as it is stored.
func sourceOf(row *analysis.Row) netip.Addr { return row.Source.Unmap().WithZone("") }

// sourceKey is clientKey's, empty for the zero address.
func sourceKey(addr netip.Addr) []byte { return append([]byte{}, clientKey(addr)...) }

// addrOf is the address of a key; the zero address for none.
func addrOf(key []byte) netip.Addr {
	if len(key) == 0 {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(key[1:]) // the zero address where it is none
	return addr
}

func (in *ingest) findSources(ctx context.Context, addrs []netip.Addr) error {
	list := make([]any, len(addrs))
	for i := range addrs {
		list[i] = sourceKey(addrs[i])
	}
	err := in.t.inChunks(ctx, list, func(scan func(...any) error) error {
		var source []byte
		var one identitySpan
		err := scan(&source, &one.id, &one.from)
		addr := addrOf(source)
		known := in.sources[addr]
		known.spans = append(known.spans, one)
		in.sources[addr] = known
		return err
	}, `SELECT source, id, from_day FROM received_identities WHERE source IN`)
	for _, addr := range addrs {
		slices.SortFunc(in.sources[addr].spans, func(a, b identitySpan) int { return cmp.Compare(a.from, b.from) })
	}
	return err
}

// span is the identity that the source of a row has on the day of its report.
func (in *ingest) span(r *analysis.Report, row *analysis.Row) int64 {
	spans := in.sources[sourceOf(row)].spans
	day := bounded(int64(r.Day()))
	for i := len(spans) - 1; i > 0; i-- {
		if spans[i].from <= day {
			return spans[i].id
		}
	}
	return spans[0].id
}
