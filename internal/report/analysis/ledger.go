package analysis

import (
	"cmp"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// LedgerRow describes how one reporter reports.
type LedgerRow struct {
	Reporter     string           `json:"reporter"`
	Email        string           `json:"email"`
	Auth         dns.Name         `json:"auth_domain,omitzero"`
	Reports      int64            `json:"reports"` // stored, empty ones too
	Messages     int64            `json:"messages"`
	Share        float64          `json:"share"`               // of all messages of the ledger, from 0 to 1
	Duplicates   int64            `json:"duplicates"`          // the same again
	Differs      int64            `json:"differs"`             // the same again with other records
	Refused      int64            `json:"refused"`             // could not be read
	Quarantined  int64            `json:"quarantined_records"` // of them
	Repaired     int64            `json:"repaired"`            // reports that needed repair
	Contradicted int64            `json:"contradicted"`        // messages whose verdicts and results contradict each other
	Trust        map[Trust]int64  `json:"trust"`               // reports by trust
	Forms        []report.Dialect `json:"forms"`               // in order of use
	Delay        int64            `json:"delay_seconds"`       // from the end of the period to arrival, the median
	DelayMost    int64            `json:"delay_most_seconds"`  // and the longest
	First        memory.Day       `json:"first_day"`           // that its reports tell of
	Last         memory.Day       `json:"last_day"`
	Gaps         int64            `json:"gaps"` // days in between that none tells of
}

// maxLedgerDelays bounds the delays kept of one reporter for its median.
const maxLedgerDelays = 10_000

// maxLedgerPeriod is the longest period whose days count as covered, in days.
const maxLedgerPeriod = 31

// LedgerSums sums received reports by reporter. The zero LedgerSums is ready.
type LedgerSums struct {
	rows         map[ledgerKey]*ledgerSum
	contradicted map[string]int64 // messages, by reporter
}

type ledgerKey struct {
	reporter, email string
	auth            dns.Name
}

type ledgerSum struct {
	LedgerRow
	delays []int64
	forms  map[report.Dialect]int64
	days   map[memory.Day]struct{}
}

// Add counts a report, unless it is no report or was set aside.
func (l *LedgerSums) Add(r *Listed) {
	if r.Kind != KindAggregate && r.Status != StatusRefused || r.Reporter == "" && r.Email == "" || r.Status == StatusAside {
		return
	}
	if l.rows == nil {
		l.rows = map[ledgerKey]*ledgerSum{}
	}
	key := ledgerKey{r.Reporter, strings.ToLower(r.Email), r.Auth}
	sum := l.rows[key]
	if sum == nil {
		sum = &ledgerSum{forms: map[report.Dialect]int64{}, days: map[memory.Day]struct{}{}}
		sum.Reporter, sum.Email, sum.Auth, sum.Trust = r.Reporter, r.Email, r.Auth, map[Trust]int64{}
		l.rows[key] = sum
	}
	sum.add(r)
}

func (s *ledgerSum) add(r *Listed) {
	switch r.Status {
	case StatusDuplicate:
		s.Duplicates++
		return
	case StatusDiffers:
		s.Differs++
		return
	case StatusRefused:
		s.Refused++
		return
	case StatusReplaced:
		return // another one covers the same
	}
	s.Reports++
	s.Messages += r.Messages
	s.Quarantined += r.Quarantined
	s.Trust[r.Trust]++
	s.forms[r.Dialect]++
	if delay := int64(r.Received.Sub(r.End).Seconds()); delay > 0 {
		s.DelayMost = max(s.DelayMost, delay)
		if len(s.delays) < maxLedgerDelays {
			s.delays = append(s.delays, delay)
		}
	}
	first, last := memory.DayOf(r.Begin), memory.DayOf(r.End)
	if last > first && r.End.Equal(last.Begin()) {
		last-- // a period that ends at midnight ends with the day before
	}
	for day := first; day <= last && day < first+maxLedgerPeriod; day++ {
		s.days[day] = struct{}{}
	}
}

// AddRecord counts the contradictions of a record. Records identify the reporter by name only:
// if several e-mail addresses share it, each gets the sum.
func (l *LedgerSums) AddRecord(d *Detail) {
	if !slices.ContainsFunc(d.Flags, func(f string) bool { return strings.HasPrefix(f, "contradicted_") }) {
		return
	}
	if l.contradicted == nil {
		l.contradicted = map[string]int64{}
	}
	l.contradicted[d.Reporter] += d.Messages
}

// Rows returns the ledger, by falling count of messages. The caller sets Repaired.
func (l *LedgerSums) Rows() []LedgerRow {
	total := int64(0)
	for _, s := range l.rows {
		total += s.Messages
	}
	out := make([]LedgerRow, 0, len(l.rows))
	for _, s := range l.rows {
		s.Contradicted = l.contradicted[s.Reporter]
		out = append(out, s.row(total))
	}
	slices.SortFunc(out, func(a, b LedgerRow) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), strings.Compare(a.Reporter, b.Reporter), strings.Compare(a.Email, b.Email),
			strings.Compare(a.Auth.String(), b.Auth.String()))
	})
	return out
}

func (s *ledgerSum) row(total int64) LedgerRow {
	out := s.LedgerRow
	out.Share = float64(out.Messages) / float64(max(total, 1))
	slices.Sort(s.delays)
	if n := len(s.delays); n > 0 {
		out.Delay = s.delays[n/2]
	}
	out.Forms = []report.Dialect{}
	for form := range s.forms {
		out.Forms = append(out.Forms, form)
	}
	slices.SortFunc(out.Forms, func(a, b report.Dialect) int {
		return cmp.Or(cmp.Compare(s.forms[b], s.forms[a]), strings.Compare(string(a), string(b)))
	})
	first := true
	for day := range s.days {
		if first || day < out.First {
			out.First = day
		}
		if first || day > out.Last {
			out.Last = day
		}
		first = false
	}
	if !first {
		out.Gaps = int64(out.Last-out.First) + 1 - int64(len(s.days))
	}
	return out
}
