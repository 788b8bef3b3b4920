package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// Roles of a domain in a message; they add up.
const (
	roleAuthor    = 1
	roleEnvelope  = 2
	roleRecipient = 4
	anyRole       = roleAuthor | roleEnvelope | roleRecipient
)

// Most mail has these, so they are not indexed.
const commonAction, commonResult = "bypass", "pass"

// usualRecord is room for most records, in one piece.
const usualRecord = 1 << 10

// Estimates of what rows take up beside their blobs, indexes included.
const (
	messageOverhead = 500 // with its domains
	traceOverhead   = 50
)

// Position is how far a journal is loaded: zero for an unknown one.
func (s *Store) Position(ctx context.Context, journal string) (memory.Position, error) {
	var p memory.Position
	err := s.read(ctx, "position", func(ctx context.Context, t *tx) error {
		var err error
		p, err = t.position(ctx, journal, "")
		return err
	})
	return p, err
}

func (t *tx) position(ctx context.Context, journal, lock string) (memory.Position, error) {
	var segment, octets int64
	err := t.row(ctx, `SELECT segment, octets FROM positions WHERE journal = $1`+lock, journal).Scan(&segment, &octets)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return memory.Position{Segment: uint64(segment), Offset: octets}, err
}

// Load loads a batch, all of it or nothing, and moves the position of its journal in the
// same transaction. ErrPosition means that the batch does not begin at the journal's
// position; ErrRecord that this batch can never be loaded, though part of it may be.
// After ErrUnavailable it may or may not have been loaded: ask Position.
func (s *Store) Load(ctx context.Context, batch memory.Batch) error {
	if batch.To.Before(batch.From) {
		return fmt.Errorf("%w: it runs backwards, from %v to %v", ErrPosition, batch.From, batch.To)
	}
	l, err := newLoading(batch, int64(memory.DayOf(s.now())))
	if err != nil {
		return err
	}
	var texts map[textHash]textRef
	err = s.write(ctx, "load", func(ctx context.Context, t *tx) error {
		if err := t.checkPosition(ctx, batch); err != nil {
			return err
		}
		if err := l.storeMessages(ctx, t); err != nil {
			return err
		}
		var err error
		if texts, err = l.storeAggregates(ctx, t); err != nil {
			return err
		}
		if err := l.storeDays(ctx, t); err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE positions SET segment = $2, octets = $3, loaded_at = $4 WHERE journal = $1`,
			batch.Journal, int64(batch.To.Segment), batch.To.Offset, s.now().Unix())
		return err
	})
	if err == nil {
		s.texts.add(texts)
	}
	return err
}

// checkPosition locks the journal's position and compares it.
func (t *tx) checkPosition(ctx context.Context, batch memory.Batch) error {
	_, err := t.exec(ctx, `INSERT INTO positions (journal, segment, octets, loaded_at) VALUES ($1, 0, 0, 0) ON CONFLICT (journal) DO NOTHING`, batch.Journal)
	if err != nil {
		return err
	}
	at, err := t.position(ctx, batch.Journal, t.s.dialect.forUpdate)
	if err == nil && at != batch.From {
		return fmt.Errorf("%w: it begins at %v, journal %s is loaded up to %v", ErrPosition, batch.From, batch.Journal, at)
	}
	return err
}

// loading is a batch made ready to be written; it is not changed by writing but
// for ids.
type loading struct {
	messages   []message
	aggregates []aggregateRow
	texts      map[textHash]textUse
	days       map[int64]*dayCount
}

// message is a record in the form of its rows.
type message struct {
	id      int64
	first   int64 // the smallest id of its time
	columns []any // of messages, from queue_key on
	domains map[string]int64
	action  string
	result  string
	trace   []byte // nil for none
}

// dayCount is what a batch adds to a row of the table days.
type dayCount struct{ messages, messageBytes, traceBytes, detailLost, lost int64 }

type aggregateKey struct {
	day         int64
	domain      string
	record, row textHash
	psl, failed int64
}

type aggregateRow struct {
	aggregateKey
	count, last int64
}

func newLoading(batch memory.Batch, today int64) (*loading, error) {
	l := &loading{texts: make(map[textHash]textUse), days: make(map[int64]*dayCount)}
	sums := make(map[aggregateKey]*aggregateRow)
	for i := range batch.Records {
		r := &batch.Records[i]
		m, err := newMessage(r)
		if err != nil {
			return nil, fmt.Errorf("%w: record of %s, queue id %q: %w", ErrRecord, r.At, r.QueueID, err)
		}
		l.messages = append(l.messages, m)
		if aggregate, due := r.Aggregate(); due {
			l.add(sums, &aggregate)
		}
	}
	for i := range batch.Aggregates {
		aggregate := &batch.Aggregates[i]
		l.add(sums, aggregate)
		l.day(int64(aggregate.Day)).detailLost += aggregate.Count
	}
	if batch.Lost > 0 {
		l.day(today).lost += int64(batch.Lost)
	}
	slices.SortStableFunc(l.messages, func(a, b message) int { return cmp.Compare(a.first, b.first) })
	for _, sum := range sums {
		l.aggregates = append(l.aggregates, *sum)
	}
	sortAggregates(l.aggregates)
	return l, nil
}

// sortAggregates puts aggregates in one order, so that two loaders cannot wait for
// each other.
func sortAggregates(aggregates []aggregateRow) {
	slices.SortFunc(aggregates, func(a, b aggregateRow) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.domain, b.domain),
			slices.Compare(a.record[:], b.record[:]), slices.Compare(a.row[:], b.row[:]),
			cmp.Compare(a.psl, b.psl), cmp.Compare(a.failed, b.failed))
	})
}

func newMessage(r *memory.Record) (message, error) {
	m := message{
		first:   firstID(r.At),
		domains: domainsOf(r),
		action:  string(r.Decision.Action),
		result:  string(r.Verdict.DMARC.Status),
	}
	bare := *r
	bare.Trace = nil
	blob, err := bare.AppendBinary(make([]byte, 0, usualRecord))
	if err != nil {
		return m, err
	}
	if r.Trace != nil {
		if m.trace, err = packTrace(r.Trace); err != nil {
			return m, err
		}
	}
	m.columns = []any{textKey(queueKind, r.QueueID), textKey(messageKind, r.MessageID), nullable(clientKey(r.ClientIP)),
		m.action, m.result, boolInt(r.Hold != ""), boolInt(m.action != commonAction || m.result != commonResult), heldHost(r), blob}
	return m, nil
}

// heldHost is null for mail that is not held, and where the host is not known.
func heldHost(r *memory.Record) any {
	if r.Hold == "" || r.Host == "" {
		return nil
	}
	return r.Host
}

// domainsOf are the domains that a record is found by, with their roles.
func domainsOf(r *memory.Record) map[string]int64 {
	out := make(map[string]int64, 3)
	add := func(n dns.Name, role int64) {
		if !n.IsZero() {
			out[n.String()] |= role
		}
	}
	for _, author := range r.Verdict.Authors {
		add(author, roleAuthor)
	}
	add(r.Verdict.DMARC.Author, roleAuthor)
	add(r.EnvelopeFrom, roleEnvelope)
	for i := range r.Outcomes {
		for _, domain := range r.Outcomes[i].Domains {
			add(domain, roleRecipient)
		}
	}
	return out
}

// nullable is null for no octets.
func nullable(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (l *loading) day(day int64) *dayCount {
	d := l.days[day]
	if d == nil {
		d = &dayCount{}
		l.days[day] = d
	}
	return d
}

// add adds an aggregate to sums.
func (l *loading) add(sums map[aggregateKey]*aggregateRow, t *memory.Aggregate) {
	key := aggregateKey{day: int64(t.Day), domain: t.PolicyDomain.String(), record: hashText(t.Record), row: hashText(t.Row),
		psl: boolInt(t.PSL), failed: boolInt(t.Failed)}
	l.use(key.record, t.Record, int64(t.Day))
	l.use(key.row, t.Row, int64(t.Day))
	sum := sums[key]
	if sum == nil {
		sum = &aggregateRow{aggregateKey: key}
		sums[key] = sum
	}
	sum.count += t.Count
	sum.last = max(sum.last, t.Last)
}

func (l *loading) use(h textHash, body string, day int64) {
	if use, ok := l.texts[h]; !ok || use.day < day {
		l.texts[h] = textUse{body: body, day: day}
	}
}

// storeMessages writes the records' rows.
func (l *loading) storeMessages(ctx context.Context, t *tx) error {
	if err := l.giveIDs(ctx, t); err != nil {
		return err
	}
	var traces, domains [][]any
	for i := range l.messages {
		m := &l.messages[i]
		if m.trace != nil {
			traces = append(traces, []any{m.id, m.trace})
		}
		for domain, roles := range m.domains {
			domains = append(domains, []any{dayOfID(m.id), domain, m.id, roles, m.action, m.result})
		}
	}
	if err := t.insertMany(ctx, `INSERT INTO traces (message, body)`, traces, "", nil); err != nil {
		return err
	}
	slices.SortFunc(domains, func(a, b []any) int { // one place of the tree after the other
		return cmp.Or(cmp.Compare(a[0].(int64), b[0].(int64)), cmp.Compare(a[1].(string), b[1].(string)), cmp.Compare(a[2].(int64), b[2].(int64)))
	})
	return t.insertMany(ctx, `INSERT INTO message_domains (day, domain, message, roles, action, result)`, domains, "", nil)
}

// giveIDs writes the messages proper, each under an id of its time that nobody
// has. A taken one is rare; then those concerned draw again, from a range that
// doubles, so that even a stopped clock only costs some rounds.
func (l *loading) giveIDs(ctx context.Context, t *tx) error {
	left := make([]*message, len(l.messages))
	for i := range l.messages {
		left[i] = &l.messages[i]
	}
	span := int64(idsPerMicrosecond)
	for len(left) > 0 {
		drawn := make(map[int64]*message, len(left))
		rows := make([][]any, 0, len(left))
		var again []*message
		for _, m := range left {
			m.id = m.first + rand.Int64N(span)
			if drawn[m.id] != nil {
				again = append(again, m)
				continue
			}
			drawn[m.id] = m
			rows = append(rows, append([]any{m.id, dayOfID(m.id)}, m.columns...))
		}
		if err := t.insertMessages(ctx, rows, drawn); err != nil {
			return err
		}
		for _, m := range drawn {
			again = append(again, m)
		}
		left, span = again, span*2
	}
	return nil
}

// insertMessages writes rows of messages and removes from drawn those whose id was free.
// All are free if nobody else writes and no message of the same time is stored.
func (t *tx) insertMessages(ctx context.Context, rows [][]any, drawn map[int64]*message) error {
	const head = `INSERT INTO messages (id, day, queue_key, message_key, client, action, result, held, notable, held_host, record)`
	if !t.s.dialect.shared && len(drawn) > 0 {
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for id := range drawn {
			first, last = min(first, id), max(last, id)
		}
		there, err := t.keys(ctx, `SELECT id FROM messages WHERE id >= $1 AND id <= $2 LIMIT 1`, first, last)
		if err != nil {
			return err
		}
		if len(there) == 0 {
			clear(drawn)
			return t.insertMany(ctx, head, rows, "", nil)
		}
	}
	return t.insertMany(ctx, head, rows, `ON CONFLICT (id) DO NOTHING RETURNING id`, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		delete(drawn, id)
		return err
	})
}

// storeAggregates adds up the aggregates, those of closed days in the next open one,
// and returns which texts the database now has.
func (l *loading) storeAggregates(ctx context.Context, t *tx) (map[textHash]textRef, error) {
	days, err := t.findOpenDays(ctx, l.aggregates)
	if err != nil {
		return nil, err
	}
	aggregates, texts := l.within(&days)
	found, err := t.storeTexts(ctx, texts)
	if err != nil {
		return nil, err
	}
	id := func(h textHash) int64 {
		if ref, ok := found[h]; ok {
			return ref.id
		}
		id, _ := t.s.texts.get(h, texts[h].day)
		return id
	}
	rows := make([][]any, len(aggregates))
	for i, y := range aggregates {
		rows[i] = []any{y.day, y.domain, id(y.record), id(y.row), y.psl, y.failed, y.count, y.last}
	}
	return found, t.insertMany(ctx, `INSERT INTO aggregates (day, policy_domain, record_id, row_id, psl, failed, messages, last)`, rows,
		`ON CONFLICT (day, policy_domain, record_id, row_id, psl, failed) DO UPDATE SET
			messages = aggregates.messages + excluded.messages,
			last = CASE WHEN excluded.last > aggregates.last THEN excluded.last ELSE aggregates.last END`, nil)
}

// storeDays adds to the counts of each day. All loaders write these few rows, so it runs
// last.
func (l *loading) storeDays(ctx context.Context, t *tx) error {
	days := make(map[int64]dayCount, len(l.days))
	for day, count := range l.days {
		days[day] = *count
	}
	for i := range l.messages {
		m := &l.messages[i]
		d := days[dayOfID(m.id)]
		d.messages++
		d.messageBytes += int64(len(m.columns[len(m.columns)-1].([]byte))) + messageOverhead
		if m.trace != nil {
			d.traceBytes += int64(len(m.trace)) + traceOverhead
		}
		days[dayOfID(m.id)] = d
	}
	return t.addDays(ctx, days)
}

// addDays adds counts, which may be negative, to the rows of days.
func (t *tx) addDays(ctx context.Context, days map[int64]dayCount) error {
	rows := make([][]any, 0, len(days))
	for day, d := range days {
		rows = append(rows, []any{day, d.messages, d.messageBytes, d.traceBytes, d.detailLost, d.lost})
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
	return t.insertMany(ctx, `INSERT INTO days (day, messages, message_bytes, trace_bytes, detail_lost, lost)`, rows,
		`ON CONFLICT (day) DO UPDATE SET
			messages = days.messages + excluded.messages,
			message_bytes = days.message_bytes + excluded.message_bytes,
			trace_bytes = days.trace_bytes + excluded.trace_bytes,
			detail_lost = days.detail_lost + excluded.detail_lost,
			lost = days.lost + excluded.lost`, nil)
}
