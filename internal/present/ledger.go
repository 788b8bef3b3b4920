package present

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// LedgerView shows how each reporter reports.
func LedgerView(l *api.Ledger) view[analysis.LedgerRow] {
	total := int64(0)
	for i := range l.Rows {
		total += l.Rows[i].Messages
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return view[analysis.LedgerRow]{
		rows: l.Rows, Notes: l.Notes,
		columns: []text.Column{
			{Name: "Reporter", Least: 12}, {Name: "Share", Right: true}, {Name: "Reports", Right: true}, {Name: "Delay"}, {Name: "Gaps", Right: true},
			{Name: "Again", Right: true}, {Name: "Repaired", Right: true}, {Name: "Contra.", Right: true},
		},
		table: func(r *analysis.LedgerRow) []string {
			return []string{
				r.Reporter, text.Percent(r.Messages, total), text.Number(r.Reports), age(time.Duration(r.Delay) * time.Second), text.Number(r.Gaps),
				text.Number(r.Duplicates + r.Differs), text.Number(r.Repaired), text.Number(r.Contradicted),
			}
		},
		names: []string{
			"reporter", "email", "auth_domain", "reports", "messages", "duplicates", "differs", "refused", "quarantined_records", "repaired",
			"contradicted", "trust", "forms", "delay_seconds", "delay_most_seconds", "first_day", "last_day", "gaps",
		},
		cells: func(r *analysis.LedgerRow) []string {
			var trust, forms []string
			for t, n := range r.Trust {
				trust = append(trust, fmt.Sprintf("%s %d", t, n))
			}
			slices.Sort(trust)
			for _, f := range r.Forms {
				forms = append(forms, string(f))
			}
			return []string{
				r.Reporter, r.Email, r.Auth.String(), number(r.Reports), number(r.Messages), number(r.Duplicates), number(r.Differs), number(r.Refused),
				number(r.Quarantined), number(r.Repaired), number(r.Contradicted), strings.Join(trust, "; "), strings.Join(forms, "; "),
				number(r.Delay), number(r.DelayMost), r.First.String(), r.Last.String(), number(r.Gaps),
			}
		},
	}
}
