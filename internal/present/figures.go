package present

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// countNames are the column names of Counts in CSV.
var countNames = []string{"messages", "compliant", "spf_aligned", "dkim_aligned", "none", "pass", "quarantine", "reject"}

// countColumns are the columns of countCells.
var countColumns = []text.Column{
	{Name: "Messages", Right: true}, {Name: "Compliant", Right: true}, {Name: "SPF", Right: true}, {Name: "DKIM", Right: true},
	{Name: "Quar.", Right: true}, {Name: "Rej.", Right: true},
}

// countCells returns figures for a table: shares, and what receivers did with the mail.
func countCells(c *analysis.Counts) []string {
	return []string{
		text.Number(c.Messages), text.Percent(c.Compliant, c.Messages), text.Percent(c.SPFAligned, c.Messages),
		text.Percent(c.DKIMAligned, c.Messages), text.Number(c.Quarantine), text.Number(c.Reject),
	}
}

// countCSV returns figures in CSV.
func countCSV(c *analysis.Counts) []string {
	var out []string
	for _, n := range []int64{c.Messages, c.Compliant, c.SPFAligned, c.DKIMAligned, c.None, c.Pass, c.Quarantine, c.Reject} {
		out = append(out, strconv.FormatInt(n, 10))
	}
	return out
}

// columns adds columns before and after those of countCells.
func columns(before []text.Column, after ...text.Column) []text.Column {
	return append(append(append([]text.Column{}, before...), countColumns...), after...)
}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// OverviewView includes the part below the table.
func OverviewView(s Streams, page *api.Overview) view[analysis.OverviewRow] {
	return view[analysis.OverviewRow]{
		rows: page.Rows, After: page.After, Notes: page.Notes,
		columns: columns([]text.Column{{Name: "Domain", Least: 10}}, text.Column{Name: "Last report"}),
		table: func(r *analysis.OverviewRow) []string {
			return join([]string{r.Domain.String()}, countCells(&r.Counts), []string{dateOf(r.LastReport)})
		},
		names: join([]string{"domain"}, countNames, []string{"reporters", "last_report"}),
		cells: func(r *analysis.OverviewRow) []string {
			return join([]string{r.Domain.String()}, countCSV(&r.Counts), []string{strconv.FormatInt(r.Reporters, 10), stampOf(r.LastReport)})
		},
		below: func() { printBelowOverview(s, page) },
		more: func() error {
			for i := range page.NotReporting {
				if err := WriteJSONLine(s, map[string]any{"not_reporting": &page.NotReporting[i]}); err != nil {
					return err
				}
			}
			for i := range page.Records {
				if err := WriteJSONLine(s, map[string]any{"records": &page.Records[i]}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// printBelowOverview prints what is counted, and who does not report to us.
func printBelowOverview(s Streams, page *api.Overview) {
	t := &page.Totals
	line := fmt.Sprintf("%s in %s from %s", text.Count(t.Messages, "message"), text.Count(t.Reports, "report"), text.Count(t.Reporters, "reporter"))
	s.Line("%s.", line)
	if !t.Newest.IsZero() {
		s.Line("The newest was received on %s.", t.Newest.UTC().Format("2006-01-02 15:04 MST"))
	}
	if t.Failed > 0 {
		s.Line("Not counted: %s whose mail failed authentication (--include-failed).", text.Count(t.Failed, "report"))
	}
	if t.Differs > 0 {
		s.Line("Not counted: %s that came again with other records.", text.Count(t.Differs, "report"))
	}
	if t.Attention > 0 {
		s.Line("%s could not be read, or not wholly: dmarcd analysis reports.", text.Count(t.Attention, "report"))
	}
	if len(page.NotReporting) > 0 {
		s.Line("")
		s.Line("Reports on these domains do not come to us (dmarcd record verify tells why):")
	}
	for _, n := range page.NotReporting {
		why := n.Why
		if n.Result == analysis.WordUnknown {
			why = "not looked up yet"
		}
		s.Line("  %s: %s", n.Domain, why)
	}
	printRecords(s, page.Records)
}

// printRecords prints the DNS records as last seen.
func printRecords(s Streams, records []api.DomainRecords) {
	var rows [][]string
	for i := range records {
		r := &records[i]
		byWord := map[analysis.Word][]string{}
		for _, k := range r.Keys {
			selector, _, _ := strings.Cut(k.Name, "._domainkey.")
			byWord[k.Result] = append(byWord[k.Result], selector)
		}
		var keys []string
		for _, word := range []analysis.Word{analysis.WordMissing, analysis.WordBroken, analysis.WordInEffect} {
			if len(byWord[word]) > 0 {
				keys = append(keys, strings.ToLower(verifyWords[word])+": "+strings.Join(byWord[word], " "))
			}
		}
		rows = append(rows, []string{r.Domain.String(), stateWord(r.DMARC.Result), stateWord(r.SPF.Result), strings.Join(keys, "; ")})
	}
	if len(rows) == 0 {
		return
	}
	s.Line("")
	_ = text.WriteTable(s.Out, text.Terminal, []text.Column{
		{Name: "Records of", Least: 12}, {Name: "DMARC"}, {Name: "SPF"}, {Name: "Keys in use", Least: 16},
	}, rows)
}

// stateWord returns the state of a record for a table.
func stateWord(w analysis.Word) string {
	if w == analysis.WordUnknown {
		return "?"
	}
	return verifyWords[w]
}

// SourcesView shows labels if there are any, otherwise when a source was last seen.
func SourcesView(rows []analysis.SourceRow, level analysis.Level) view[analysis.SourceRow] {
	v := view[analysis.SourceRow]{
		rows:  rows,
		names: join([]string{"service", "label", "host", "ip"}, countNames, []string{"first_seen", "last_seen", "name", "kind", "confidence", "evidence", "forwarding"}),
		cells: func(r *analysis.SourceRow) []string {
			return join([]string{r.Service, string(r.Label), r.Host, r.IP}, countCSV(&r.Counts), []string{r.FirstSeen.String(), r.LastSeen.String()},
				[]string{r.Name, string(r.Kind), string(r.Confidence), evidenceText(r), string(r.Forwarding)})
		},
	}
	host := func(r *analysis.SourceRow) string { return cmp.Or(r.Host, "no name") }
	labelled := slices.ContainsFunc(rows, func(r analysis.SourceRow) bool { return r.Label != analysis.LabelNone })
	switch {
	case level == analysis.LevelIP:
		v.columns = columns([]text.Column{{Name: "Address", Least: 15}, {Name: "Host", Least: 12}})
		v.table = func(r *analysis.SourceRow) []string { return join([]string{r.IP, host(r)}, countCells(&r.Counts)) }
	case level == analysis.LevelHost:
		v.columns = columns([]text.Column{{Name: "Host", Least: 12}}, text.Column{Name: "Last seen"})
		v.table = func(r *analysis.SourceRow) []string {
			return join([]string{host(r)}, countCells(&r.Counts), []string{r.LastSeen.String()})
		}
	case labelled:
		v.columns = columns([]text.Column{{Name: "Service", Least: 10}, {Name: "Label"}})
		v.table = func(r *analysis.SourceRow) []string {
			return join([]string{r.Service, string(r.Label)}, countCells(&r.Counts))
		}
	default:
		v.columns = columns([]text.Column{{Name: "Service", Least: 10}}, text.Column{Name: "Last seen"})
		v.table = func(r *analysis.SourceRow) []string {
			return join([]string{r.Service}, countCells(&r.Counts), []string{r.LastSeen.String()})
		}
	}
	return v
}

// SourceEvidence prints who is behind each address, and the evidence.
func SourceEvidence(s Streams, rows []analysis.SourceRow) {
	for i := range rows {
		r := &rows[i]
		who := cmp.Or(r.Name, r.Service)
		if who != r.Service {
			who += " (" + r.Service + ")"
		}
		s.Line("%s  %s, %s, %s", r.IP, cmp.Or(r.Host, "no name"), who, text.Count(r.Messages, "message"))
		if r.Confidence == "" {
			s.Line("  not looked up yet")
			continue
		}
		s.Line("  confidence  %s", r.Confidence)
		for _, e := range r.Evidence {
			line := fmt.Sprintf("  %-11s %s", e.Kind, e.Value)
			if e.Service != "" && e.Service != r.Service {
				line += ", of " + e.Service
			}
			s.Line("%s", line)
		}
		if r.Origin != "" {
			s.Line("  origin      %s", r.Origin)
		}
		if r.Forwarding != "" {
			var why []string
			for _, w := range r.Why {
				why = append(why, string(w))
			}
			s.Line("  forwarding  %s, by %s", r.Forwarding, strings.Join(why, ", "))
		}
	}
}

// evidenceText returns the evidence in one cell.
func evidenceText(r *analysis.SourceRow) string {
	var out []string
	for _, e := range r.Evidence {
		out = append(out, string(e.Kind)+" "+e.Value)
	}
	return strings.Join(out, "; ")
}

func TrendView(rows []analysis.TrendRow) view[analysis.TrendRow] {
	return view[analysis.TrendRow]{
		rows: rows, columns: columns([]text.Column{{Name: "Day"}}),
		table: func(r *analysis.TrendRow) []string { return join([]string{r.Day.String()}, countCells(&r.Counts)) },
		names: join([]string{"day"}, countNames),
		cells: func(r *analysis.TrendRow) []string { return join([]string{r.Day.String()}, countCSV(&r.Counts)) },
	}
}
