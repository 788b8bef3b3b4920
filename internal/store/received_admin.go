package store

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// SetPair is analysis.Admin's.
func (s *Store) SetPair(ctx context.Context, p analysis.Pair) error {
	return s.write(ctx, "set a pair of names", func(ctx context.Context, t *tx) error {
		if _, err := t.takeIDs(ctx, 0); err != nil { // keeps batches out
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO received_pairs (auth, email, accepted, decided_by, decided_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (auth, email) DO UPDATE SET accepted = excluded.accepted, decided_by = excluded.decided_by, decided_at = excluded.decided_at`,
			p.Auth.String(), p.Email.String(), boolInt(p.Accepted), p.By, unixOf(p.At))
		if err != nil || p.Auth == p.Email {
			return err
		}
		from, to := analysis.TrustOtherName, analysis.TrustAuthenticated
		if !p.Accepted {
			from, to = to, from
		}
		return t.trust(ctx, &p, from, to)
	})
}

// pairReports are the reports p of a pair: $1 its authenticated domain, $2 that of the
// e-mail address and $3 a pattern for names below it.
const pairReports = `p.reporter IN (SELECT id FROM received_reporters WHERE auth = $1) AND (p.email_domain = $2 OR p.email_domain LIKE $3 ESCAPE '\')`

func pairArgs(p *analysis.Pair) []any {
	return []any{p.Auth.String(), p.Email.String(), analysis.Pattern("*." + p.Email.String()).Like(`\`)}
}

// trust changes the trust in the sender of a pair's reports, and the figures with it.
func (t *tx) trust(ctx context.Context, p *analysis.Pair, from, to analysis.Trust) error {
	reports, err := t.keys(ctx, `SELECT p.id FROM received_reports p WHERE `+pairReports+` AND p.trust = $4`, append(pairArgs(p), string(from))...)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(anys(reports), 256) {
		_, err := t.exec(ctx, `UPDATE received_reports SET trust = $1, counts = CASE WHEN status = 'stored' THEN $2 ELSE 0 END
			WHERE id IN (`+argList(3, len(chunk))+`)`, append([]any{string(to), boolInt(to.Counts())}, chunk...)...)
		if err != nil {
			return err
		}
	}
	return t.retrust(ctx, reports, codeOf(trusts[:], to))
}

// editDays is how many days' blocks are edited at once: those that change are in memory.
const editDays = 8

// retrust returns the segments of reports another trust.
func (t *tx) retrust(ctx context.Context, reports []int64, trust int64) error {
	wanted := idSet{}
	first, last := noDay, -noDay
	for _, id := range reports {
		wanted[id] = struct{}{}
	}
	err := t.inChunks(ctx, anys(reports), func(scan func(...any) error) error {
		var day, spread, begins, ends int64
		err := scan(&day, &spread, &begins, &ends)
		from, to := reportDays(day, spread == 1, begins, ends)
		first, last = min(first, from), max(last, to)
		return err
	}, `SELECT day, spread, begins, ends FROM received_reports WHERE id IN`)
	if err != nil || len(wanted) == 0 {
		return err
	}
	least, most := slices.Min(reports), slices.Max(reports)
	days, err := t.keys(ctx, `SELECT DISTINCT day FROM received_blocks WHERE day BETWEEN $1 AND $2 ORDER BY day`, first, last)
	if err != nil {
		return err
	}
	for window := range slices.Chunk(days, editDays) {
		err := t.editBlocks(ctx, func(g *segment) (keep, changed bool) {
			if _, ok := wanted[g.report]; !ok || g.trust == trust {
				return true, false
			}
			g.trust = trust
			return true, true
		}, `day BETWEEN $1 AND $2 AND first_report <= $3 AND last_report >= $4`, window[0], window[len(window)-1], most, least)
		if err != nil {
			return err
		}
	}
	return nil
}

// Pairs is analysis.Admin's.
func (s *Store) Pairs(ctx context.Context) ([]analysis.Pair, error) {
	var out []analysis.Pair
	err := s.read(ctx, "pairs of names", func(ctx context.Context, t *tx) error {
		out = nil
		err := t.rows(ctx, func(scan func(...any) error) error {
			var p analysis.Pair
			var auth, email string
			var at, accepted int64
			err := scan(&auth, &email, &accepted, &p.By, &at)
			p.Auth, p.Email, p.Accepted, p.At = nameOf(auth), nameOf(email), accepted == 1, unixTime(at)
			out = append(out, p)
			return err
		}, `SELECT auth, email, accepted, decided_by, decided_at FROM received_pairs ORDER BY auth, email`)
		if err != nil {
			return err
		}
		for i := range out {
			if err := t.row(ctx, `SELECT count(*) FROM received_reports p WHERE `+pairReports, pairArgs(&out[i])...).Scan(&out[i].Reports); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// SetLabel is analysis.Admin's.
func (s *Store) SetLabel(ctx context.Context, l analysis.LabelSet) error {
	return s.write(ctx, "label a source", func(ctx context.Context, t *tx) error {
		network, bits := "", int64(-1)
		first, last := []byte{}, []byte{}
		if l.Network.IsValid() {
			network, bits = l.Network.Masked().String(), int64(l.Network.Bits())
			first, last = clientRange(l.Network)
		}
		if _, err := t.exec(ctx, `DELETE FROM received_labels WHERE domain = $1 AND service = $2 AND host = $3 AND network = $4`,
			l.Domain.String(), l.Service, l.Host, network); err != nil || l.Label == analysis.LabelNone {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO received_labels (domain, service, host, network, first_source, last_source, bits, label, note, decided_by, decided_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			l.Domain.String(), l.Service, l.Host, network, first, last, bits, string(l.Label), l.Note, l.By, unixOf(l.At))
		return err
	})
}

// Labels is analysis.Admin's.
func (s *Store) Labels(ctx context.Context, managed []dns.Name) ([]analysis.LabelSet, error) {
	var out []analysis.LabelSet
	err := s.read(ctx, "labels", func(ctx context.Context, t *tx) (err error) {
		out, err = t.labels(ctx, managed)
		return err
	})
	return out, err
}

const snapshotColumns = `domain, kind, name, value, word, error, detail, first_seen, last_seen`

// SaveSnapshot is analysis.Records'.
func (s *Store) SaveSnapshot(ctx context.Context, n analysis.Snapshot) error {
	return s.write(ctx, "save what DNS says", func(ctx context.Context, t *tx) error {
		key := []any{n.Domain.String(), string(n.Kind), n.Name}
		const latest = ` WHERE latest = 1 AND domain = $1 AND kind = $2 AND name = $3`
		seen, err := t.exec(ctx, `UPDATE received_snapshots SET last_seen = $4, error = $5, detail = $6`+latest+` AND value = $7 AND word = $8`,
			append(slices.Clone(key), unixOf(n.Last), n.Error, n.Detail, n.Value, string(n.Word))...)
		if err != nil || seen > 0 {
			return err
		}
		id, err := t.takeIDs(ctx, 1)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE received_snapshots SET latest = 0`+latest, key...); err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO received_snapshots (`+snapshotColumns+`, id, latest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)`,
			append(slices.Clone(key), n.Value, string(n.Word), n.Error, n.Detail, unixOf(n.First), unixOf(n.Last), id)...)
		return err
	})
}

func (t *tx) snapshots(ctx context.Context, query string, args ...any) ([]analysis.Snapshot, error) {
	var out []analysis.Snapshot
	err := t.rows(ctx, func(scan func(...any) error) error {
		var n analysis.Snapshot
		var domain string
		var first, last int64
		err := scan(&domain, (*string)(&n.Kind), &n.Name, &n.Value, (*string)(&n.Word), &n.Error, &n.Detail, &first, &last)
		n.Domain, n.First, n.Last = nameOf(domain), unixTime(first), unixTime(last)
		out = append(out, n)
		return err
	}, `SELECT `+snapshotColumns+` FROM received_snapshots WHERE `+query, args...)
	return out, err
}

// Snapshots is analysis.Records'.
func (s *Store) Snapshots(ctx context.Context, managed []dns.Name) ([]analysis.Snapshot, error) {
	if managed != nil && len(managed) == 0 {
		return nil, nil
	}
	w := &conditions{}
	w.add(`latest = 1`)
	if managed != nil {
		w.add(`domain IN ` + w.list(nameTexts(managed)))
	}
	var out []analysis.Snapshot
	err := s.read(ctx, "what DNS says", func(ctx context.Context, t *tx) (err error) {
		out, err = t.snapshots(ctx, w.and()+` ORDER BY domain, kind, name`, w.args...)
		return err
	})
	return out, err
}

// History is analysis.Records'.
func (s *Store) History(ctx context.Context, domain dns.Name, kind analysis.SnapshotKind, limit int) ([]analysis.Snapshot, error) {
	var out []analysis.Snapshot
	err := s.read(ctx, "what DNS said", func(ctx context.Context, t *tx) (err error) {
		out, err = t.snapshots(ctx, `domain = $1 AND kind = $2 ORDER BY id DESC LIMIT $3`, domain.String(), string(kind), limit)
		return err
	})
	return out, err
}

// SetExpected is analysis.Records'.
func (s *Store) SetExpected(ctx context.Context, domain dns.Name, record string, now time.Time) error {
	return s.write(ctx, "keep the expected record", func(ctx context.Context, t *tx) error {
		if record == "" {
			_, err := t.exec(ctx, `DELETE FROM received_expected WHERE domain = $1`, domain.String())
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO received_expected (domain, record, generated_at) VALUES ($1, $2, $3)
			ON CONFLICT (domain) DO UPDATE SET record = excluded.record, generated_at = excluded.generated_at`, domain.String(), record, now.Unix())
		return err
	})
}

// Expected is analysis.Records'.
func (s *Store) Expected(ctx context.Context, domain dns.Name) (string, error) {
	var record string
	err := s.read(ctx, "the expected record", func(ctx context.Context, t *tx) error {
		record = ""
		return t.rows(ctx, func(scan func(...any) error) error { return scan(&record) }, `SELECT record FROM received_expected WHERE domain = $1`, domain.String())
	})
	return record, err
}

// Selectors is analysis.Records'.
func (s *Store) Selectors(ctx context.Context, domain dns.Name, since memory.Day, limit int) ([]analysis.Selector, error) {
	found := map[analysis.Selector]int64{}
	err := s.read(ctx, "selectors", func(ctx context.Context, t *tx) error {
		clear(found)
		sets, err := t.setMessages(ctx, domain, since)
		if err != nil {
			return err
		}
		return t.inChunks(ctx, anys(slices.Collect(maps.Keys(sets))), func(scan func(...any) error) error {
			var id int64
			var text string
			if err := scan(&id, &text); err != nil {
				return err
			}
			var body setBody
			if json.Unmarshal([]byte(text), &body) != nil {
				t.s.undecodable.Add(1)
				return nil
			}
			for _, r := range body.Auth.DKIM {
				if name := nameOf(r.Domain); r.Selector != "" && (name == domain || name.IsBelow(domain)) {
					found[analysis.Selector{Domain: name, Selector: r.Selector}] += sets[id]
				}
			}
			return nil
		}, `SELECT id, body FROM received_sets WHERE id IN`)
	})
	out := make([]analysis.Selector, 0, len(found))
	for one, messages := range found {
		one.Messages = messages
		out = append(out, one)
	}
	slices.SortFunc(out, compareSelectors)
	return out[:min(len(out), limit)], err
}

// setMessages counts, since a day, the messages with each set that names a signature of
// the domain or of a name below it.
func (t *tx) setMessages(ctx context.Context, domain dns.Name, since memory.Day) (map[int64]int64, error) {
	q := &analysis.Query{Filter: analysis.Filter{From: since, To: memory.Day(bounded(noDay)), DKIMDomain: analysis.Match{
		Any: []analysis.Pattern{analysis.Pattern(domain.String()), analysis.Pattern("*." + domain.String())},
	}}}
	f, err := t.rowFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	out := map[int64]int64{}
	return out, t.foldRows(ctx, f, func(_ *segment, r *packedRow) error {
		out[r.set] += r.messages
		return nil
	})
}

// compareSelectors puts the most used first.
func compareSelectors(a, b analysis.Selector) int {
	return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Selector+a.Domain.String(), b.Selector+b.Domain.String()))
}
