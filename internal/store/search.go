package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/memory"
)

// Limits of a search.
const (
	defaultFound = 100
	maxFound     = 10_000
)

func searchLimit(n int) int {
	if n <= 0 {
		return defaultFound
	}
	return min(n, maxFound)
}

// where is a condition being built, with its arguments.
type where struct {
	b    strings.Builder
	args []any
}

// and adds a condition; each %s in it is replaced by the next of args.
func (w *where) and(condition string, args ...any) {
	if w.b.Len() > 0 {
		w.b.WriteString(" AND ")
	}
	names := make([]any, len(args))
	for i, arg := range args {
		w.args = append(w.args, arg)
		names[i] = fmt.Sprintf("$%d", len(w.args))
	}
	fmt.Fprintf(&w.b, condition, names...)
}

// search is a Query with its texts and bounds made ready.
type search struct {
	memory.Query
	first, end int64 // ids, from the first to before the end
	domains    []domainTerm
}

func newSearch(q memory.Query) search {
	q.MessageID = memory.MessageID(q.MessageID)
	q.Limit = searchLimit(q.Limit)
	out := search{Query: q}
	out.first, out.end = idRange(q.Since, q.Until)
	if q.Before != 0 {
		out.end = min(out.end, q.Before)
	}
	if q.Key != 0 {
		out.first, out.end = max(out.first, q.Key), min(out.end, q.Key+1)
	}
	out.domains = domainTerms(&q)
	return out
}

// domainTerm requires one of some names in one of some roles.
type domainTerm struct {
	names []string
	roles int64
}

// domainTerms are a query's conditions on domains, the most selective first.
func domainTerms(q *memory.Query) []domainTerm {
	var terms []domainTerm
	for _, one := range []domainTerm{{[]string{q.From.String()}, roleAuthor}, {[]string{q.Domain.String()}, anyRole}, {[]string{q.Rcpt.String()}, roleRecipient}} {
		if one.names[0] != "" {
			terms = append(terms, one)
		}
	}
	if len(q.Recipients) > 0 {
		viewer := domainTerm{roles: roleRecipient}
		for _, name := range q.Recipients {
			viewer.names = append(viewer.names, name.String())
		}
		terms = append(terms, viewer)
	}
	return terms
}

// Search is memory.Reader's. It walks the index that narrows most, from day to day
// backwards, until it has enough.
func (s *Store) Search(ctx context.Context, query memory.Query) (memory.Page, error) {
	q := newSearch(query)
	if q.Recipients != nil && len(q.Recipients) == 0 || q.first >= q.end {
		return memory.Page{}, nil
	}
	var page memory.Page
	var keys []int64
	var err error
	plan, byDay := q.plan()
	if byDay {
		keys, page.Next, err = s.searchDays(ctx, plan, &q)
	} else {
		err = s.read(ctx, "search", func(ctx context.Context, t *tx) error {
			keys, err = t.keys(ctx, plan.sql, append([]any{q.first, q.end, q.Limit}, plan.args...)...)
			return err
		})
	}
	if err != nil {
		return memory.Page{}, err
	}
	if len(keys) == q.Limit {
		page.Next = keys[len(keys)-1]
	}
	found, err := s.fetch(ctx, keys)
	if err != nil {
		return memory.Page{}, err
	}
	page.Found = q.confirm(found)
	if q.Traces {
		err = s.addTraces(ctx, page.Found)
	}
	return page, err
}

// confirm drops messages that match by hash only.
func (q *search) confirm(found []memory.Found) []memory.Found {
	kept := found[:0]
	for _, f := range found {
		if (q.QueueID == "" || f.Record.QueueID == q.QueueID) && (q.MessageID == "" || f.Record.MessageID == q.MessageID) {
			kept = append(kept, f)
		}
	}
	return kept
}

// searchPlan is a query. Of one for a day $1 to $4 are the day, the first id, the end
// and the limit, of another $1 to $3 are the last three of these.
type searchPlan struct {
	sql  string
	args []any
}

// plan chooses the index. byDay is false where nothing is set that narrows, and for
// the few that are held.
func (q *search) plan() (p searchPlan, byDay bool) {
	switch {
	case q.Held:
		return q.planHeld(), false
	case q.QueueID != "", q.MessageID != "", q.Client.IsValid():
		return q.planByKey(), true
	case len(q.domains) > 0:
		return q.planByDomain(), true
	case q.Action != "", q.Result != "":
		return q.planByOutcome(), true
	}
	return searchPlan{sql: `SELECT m.id FROM messages m WHERE m.id >= $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3`}, false
}

// planHeld walks the index of held mail.
func (q *search) planHeld() searchPlan {
	w := &where{args: make([]any, 3)}
	w.b.WriteString("m.held = 1 AND m.id >= $1 AND m.id < $2")
	if q.Host != "" {
		w.and("(m.held_host = %s OR m.held_host IS NULL)", q.Host)
	}
	q.keys(w)
	w.hasDomains("m.id", q.domains)
	q.outcome(w)
	return searchPlan{sql: `SELECT m.id FROM messages m WHERE ` + w.b.String() + ` ORDER BY m.id DESC LIMIT $3`, args: w.args[3:]}
}

// planByKey walks the index of queue ids, message-ids or clients.
func (q *search) planByKey() searchPlan {
	w := &where{args: make([]any, 4)}
	w.b.WriteString("m.day = $1 AND m.id >= $2 AND m.id < $3")
	q.keys(w)
	w.hasDomains("m.id", q.domains)
	q.outcome(w)
	return searchPlan{sql: `SELECT m.id FROM messages m WHERE ` + w.b.String() + ` ORDER BY m.id DESC LIMIT $4`, args: w.args[4:]}
}

// planByDomain walks the index of domains, by the query's first one.
func (q *search) planByDomain() searchPlan {
	w := &where{args: make([]any, 4)}
	w.b.WriteString("m.day = $1 AND m.message >= $2 AND m.message < $3")
	first := q.domains[0]
	w.named("m", first)
	w.hasDomains("m.message", q.domains[1:])
	q.outcome(w)
	group := ""
	if len(first.names) > 1 { // a message may occur twice
		group = ` GROUP BY m.message`
	}
	return searchPlan{sql: `SELECT m.message FROM message_domains m WHERE ` + w.b.String() + group + ` ORDER BY m.message DESC LIMIT $4`, args: w.args[4:]}
}

// keys adds the conditions on queue id, message-id and client.
func (q *search) keys(w *where) {
	if q.QueueID != "" {
		w.and("m.queue_key = %s", hashKey(queueKind, q.QueueID))
	}
	if q.MessageID != "" {
		w.and("m.message_key = %s", hashKey(messageKind, q.MessageID))
	}
	if q.Client.IsValid() {
		first, last := clientRange(q.Client)
		w.and("m.client >= %s AND m.client <= %s", first, last)
	}
}

// outcome adds the conditions on action and result.
func (q *search) outcome(w *where) {
	if q.Action != "" {
		w.and("m.action = %s", q.Action)
	}
	if q.Result != "" {
		w.and("m.result = %s", q.result())
	}
}

// hasDomains requires that the message of an id has the domains too.
func (w *where) hasDomains(id string, terms []domainTerm) {
	for _, term := range terms {
		w.b.WriteString(" AND EXISTS (SELECT 1 FROM message_domains d WHERE d.day = m.day AND d.message = " + id)
		w.named("d", term)
		w.b.WriteString(")")
	}
}

// named requires that a row of message_domains has one of the names, in one of the roles.
func (w *where) named(table string, term domainTerm) {
	names := make([]any, len(term.names))
	for i, name := range term.names {
		names[i] = name
	}
	w.and(table+".domain IN ("+strings.TrimSuffix(strings.Repeat("%s,", len(names)), ",")+")", names...)
	if term.roles != anyRole {
		w.and(table+".roles & %s <> 0", term.roles)
	}
}

// result is the word of the database.
func (q *search) result() string {
	if q.Result == "-" {
		return ""
	}
	return q.Result
}

// Words that a message may have for action and result.
var (
	actionWords = []string{"bypass", "quarantine", "reject", "defer", "discard", ""}
	resultWords = []string{"none", "pass", "fail", "temperror", "permerror", ""}
)

// planByOutcome searches by action and result alone. It reads each pair of them from the
// index in order of time, up to the limit; then it takes the newest of all. With one
// condition for all, the databases prefer to scan every message of the day.
func (q *search) planByOutcome() searchPlan {
	actions, results := actionWords, resultWords
	if q.Action != "" {
		actions = []string{q.Action}
	}
	if q.Result != "" {
		results = []string{q.result()}
	}
	p := searchPlan{}
	var parts []string
	for _, action := range actions {
		for _, result := range results {
			notable := " AND notable = 1"
			if action == commonAction && result == commonResult {
				notable = "" // it will be found soon
			}
			parts = append(parts, fmt.Sprintf(`SELECT id FROM (SELECT id FROM messages
				WHERE day = $1 AND action = $%d AND result = $%d%s AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4) m`,
				len(p.args)+5, len(p.args)+6, notable))
			p.args = append(p.args, action, result)
		}
	}
	p.sql = strings.Join(parts, ` UNION ALL `) + ` ORDER BY id DESC LIMIT $4`
	return p
}

// searchDays runs the plan for the days that have messages, the last one first,
// until there are enough or the time is over.
func (s *Store) searchDays(ctx context.Context, p searchPlan, q *search) (keys []int64, rest int64, err error) {
	var days []int64
	start := time.Now()
	err = s.read(ctx, "search", func(ctx context.Context, t *tx) error {
		days, err = t.keys(ctx, `SELECT day FROM days WHERE day >= $1 AND day <= $2 AND messages > 0 ORDER BY day DESC`, dayOfID(q.first), dayOfID(q.end-1))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for i, day := range days {
		if i > 0 && q.Within > 0 && time.Since(start) > q.Within {
			return keys, (day + 1) * idsPerDay, nil
		}
		// A transaction for each day: none stays open for long. Its ids are spelled
		// out, so that no plan can wander into other days.
		var more []int64
		err := s.read(ctx, "search", func(ctx context.Context, t *tx) error {
			args := append([]any{day, max(q.first, day*idsPerDay), min(q.end, (day+1)*idsPerDay), q.Limit - len(keys)}, p.args...)
			var err error
			more, err = t.keys(ctx, p.sql, args...)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, more...)
		if len(keys) >= q.Limit {
			break
		}
	}
	return keys, 0, nil
}
