package notify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/text"
)

const (
	// maxDigests bounds how many addresses have a digest open.
	maxDigests = 2000
	// maxRows bounds the table of a digest. A sender who uses ever new domains fills it,
	// but not the memory.
	maxRows = 50
)

// digest is the events about which one address got no mail of its own.
type digest struct {
	to          string
	opened      time.Time // by our clock
	first, last time.Time // of the events
	events      int
	rows        map[row]int
	others      int // events beyond the rows
}

// row is the key by which a digest counts.
type row struct{ action, rule, from string }

// add counts an event.
func (d *digest) add(e *Event) {
	d.events++
	if d.first.IsZero() || e.At.Before(d.first) {
		d.first = e.At
	}
	if e.At.After(d.last) {
		d.last = e.At
	}
	r := row{action: cutCopy(e.Action, maxValue), rule: cutCopy(e.Rule, maxValue), from: cutCopy(e.HeaderFrom, maxValue)}
	if _, known := d.rows[r]; !known && len(d.rows) >= maxRows {
		d.others++
		return
	}
	if d.rows == nil {
		d.rows = map[row]int{}
	}
	d.rows[r]++
}

// text writes the digest: safe, as expand is.
func (d *digest) text(perHour int) (subject, body string) {
	const layout = "2006-01-02 15:04:05 MST"
	var b strings.Builder
	fmt.Fprintf(&b, "%s met a rule that asks for a notification, from\n%s to %s.\n",
		text.Count(int64(d.events), "message"), d.first.UTC().Format(layout), d.last.UTC().Format(layout))
	fmt.Fprintf(&b, "That was more than the %d mails an hour that notify.per_hour allows.\n\n", perHour)

	rows := slices.SortedFunc(maps.Keys(d.rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(d.rows[b], d.rows[a]), cmp.Compare(a.from, b.from), cmp.Compare(a.action, b.action), cmp.Compare(a.rule, b.rule))
	})
	fmt.Fprintf(&b, "%8s  %-10s  %-28s  %s\n", "Messages", "Action", "Rule", "From domain")
	for _, r := range rows {
		fmt.Fprintf(&b, "%8d  %-10s  %-28s  %s\n", d.rows[r], word(r.action), word(r.rule), word(r.from))
	}
	if d.others > 0 {
		fmt.Fprintf(&b, "\nand %d more, of other domains, rules or actions.\n", d.others)
	}
	return "DMARC digest: " + text.Count(int64(d.events), "message"), b.String()
}
