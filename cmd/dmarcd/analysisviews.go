package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// countNames are the names of Counts in CSV.
var countNames = []string{"messages", "compliant", "spf_aligned", "dkim_aligned", "none", "pass", "quarantine", "reject"}

// countColumns are those of countCells.
var countColumns = []text.Column{
	{Name: "Messages", Right: true}, {Name: "Compliant", Right: true}, {Name: "SPF", Right: true}, {Name: "DKIM", Right: true},
	{Name: "Quar.", Right: true}, {Name: "Rej.", Right: true},
}

// countCells are figures in a table: shares, and what receivers did with the mail.
func countCells(c *analysis.Counts) []string {
	return []string{
		text.Number(c.Messages), text.Percent(c.Compliant, c.Messages), text.Percent(c.SPFAligned, c.Messages),
		text.Percent(c.DKIMAligned, c.Messages), text.Number(c.Quarantine), text.Number(c.Reject),
	}
}

// countCSV are figures in CSV.
func countCSV(c *analysis.Counts) []string {
	var out []string
	for _, n := range []int64{c.Messages, c.Compliant, c.SPFAligned, c.DKIMAligned, c.None, c.Pass, c.Quarantine, c.Reject} {
		out = append(out, strconv.FormatInt(n, 10))
	}
	return out
}

// columns puts columns before and behind those of countCells.
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

func analysisOverviewCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "overview",
		Short: "Compliance of each managed domain",
		Long: `Compliance of the mail from each managed domain: those that have reports in the period, or
whose record sends reports to us. Below the table stand the domains whose record does not,
and what the DNS said of each when it was looked up last: DMARC record, SPF record and the
keys of the DKIM selectors in use. With --json those are {"not_reporting": …} and
{"records": …}, a line for each domain after the lines of the table.

Exit code 0, an empty list too; 2: a criterion is wrong; 3: the store cannot be read.`,
		Example: `  dmarcd analysis overview
  dmarcd analysis overview --domain example.com --period last-month --json`,
	}
	return analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		page, err := api.AnalysisOverview().Ask(ctx, a, o.request)
		if err != nil {
			return err
		}
		v := view[analysis.OverviewRow]{
			rows: page.Rows, after: page.After, notes: page.Notes,
			columns: columns([]text.Column{{Name: "Domain", Least: 10}}, text.Column{Name: "Last report"}),
			table: func(r *analysis.OverviewRow) []string {
				return join([]string{r.Domain.String()}, countCells(&r.Counts), []string{dateOf(r.LastReport)})
			},
			names: join([]string{"domain"}, countNames, []string{"reporters", "last_report"}),
			cells: func(r *analysis.OverviewRow) []string {
				return join([]string{r.Domain.String()}, countCSV(&r.Counts), []string{strconv.FormatInt(r.Reporters, 10), stampOf(r.LastReport)})
			},
			below: func() { printBelowOverview(s, &page) },
			more: func() error {
				for i := range page.NotReporting {
					if err := writeJSONLine(s, map[string]any{"not_reporting": &page.NotReporting[i]}); err != nil {
						return err
					}
				}
				for i := range page.Records {
					if err := writeJSONLine(s, map[string]any{"records": &page.Records[i]}); err != nil {
						return err
					}
				}
				return nil
			},
		}
		return v.print(s, o)
	})
}

// printBelowOverview tells what is counted, and who does not report to us.
func printBelowOverview(s streams, page *api.Overview) {
	t := &page.Totals
	line := fmt.Sprintf("%s in %s from %s", text.Count(t.Messages, "message"), text.Count(t.Reports, "report"), text.Count(t.Reporters, "reporter"))
	s.line("%s.", line)
	if !t.Newest.IsZero() {
		s.line("The newest was received on %s.", t.Newest.UTC().Format("2006-01-02 15:04 MST"))
	}
	if t.Failed > 0 {
		s.line("Not counted: %s whose mail failed authentication (--include-failed).", text.Count(t.Failed, "report"))
	}
	if t.Differs > 0 {
		s.line("Not counted: %s that came again with other records.", text.Count(t.Differs, "report"))
	}
	if t.Attention > 0 {
		s.line("%s could not be read, or not wholly: dmarcd analysis reports.", text.Count(t.Attention, "report"))
	}
	if len(page.NotReporting) > 0 {
		s.line("")
		s.line("Reports on these domains do not come to us (dmarcd record verify tells why):")
	}
	for _, n := range page.NotReporting {
		why := n.Why
		if n.Result == analysis.WordUnknown {
			why = "not looked up yet"
		}
		s.line("  %s: %s", n.Domain, why)
	}
	printRecords(s, page.Records)
}

// printRecords tells what the DNS said last.
func printRecords(s streams, records []api.DomainRecords) {
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
	s.line("")
	_ = text.WriteTable(s.out, text.Terminal, []text.Column{
		{Name: "Records of", Least: 12}, {Name: "DMARC"}, {Name: "SPF"}, {Name: "Keys in use", Least: 16},
	}, rows)
}

// stateWord is the state of a record in a table.
func stateWord(w analysis.Word) string {
	if w == analysis.WordUnknown {
		return "?"
	}
	return verifyWords[w]
}

// dateOf is a time in a table; "" for none.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// stampOf is a time in CSV; "" for none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func analysisSourcesCommand(s streams) *cobra.Command {
	level := ""
	c := &cobra.Command{
		Use:   "sources",
		Short: "Compliance by sending source: email service, host or address",
		Long: `Compliance by sending source. A source is an email service, named by its domain; its hosts
and their addresses are the levels below it. A host is a name that the address has and
that leads back to it; what has none, or was not looked up yet, belongs to no service.`,
		Example: `  dmarcd analysis sources --domain example.com
  dmarcd analysis sources --level ip --service google.com --result not_compliant`,
	}
	view := analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		page, err := api.AnalysisSources().Ask(ctx, a, api.SourcesRequest{FiguresRequest: o.request, Level: analysis.Level(level)})
		if err != nil {
			return err
		}
		v := sourcesView(page.Rows, analysis.Level(level))
		v.after, v.notes = page.After, page.Notes
		return v.print(s, o)
	})
	c.Flags().StringVar(&level, "level", string(analysis.LevelService), "service, host or ip")
	return view
}

// sourcesView shows labels where there are some, else when a source was last seen.
func sourcesView(rows []analysis.SourceRow, level analysis.Level) view[analysis.SourceRow] {
	v := view[analysis.SourceRow]{
		rows:  rows,
		names: join([]string{"service", "label", "host", "ip"}, countNames, []string{"first_seen", "last_seen"}),
		cells: func(r *analysis.SourceRow) []string {
			return join([]string{r.Service, string(r.Label), r.Host, r.IP}, countCSV(&r.Counts), []string{r.FirstSeen.String(), r.LastSeen.String()})
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

func analysisTrendCommand(s streams) *cobra.Command {
	weekly := false
	c := &cobra.Command{
		Use:     "trend",
		Short:   "Messages, compliance and dispositions by day",
		Example: `  dmarcd analysis trend --domain example.com --period 90d --weekly`,
	}
	view := analysisView(s, c, false, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		series, err := api.AnalysisTrend().Ask(ctx, a, api.TrendRequest{FiguresRequest: o.request, Weekly: weekly})
		if err != nil {
			return err
		}
		v := view[analysis.TrendRow]{
			rows: series.Rows, notes: series.Notes, columns: columns([]text.Column{{Name: "Day"}}),
			table: func(r *analysis.TrendRow) []string { return join([]string{r.Day.String()}, countCells(&r.Counts)) },
			names: join([]string{"day"}, countNames),
			cells: func(r *analysis.TrendRow) []string { return join([]string{r.Day.String()}, countCSV(&r.Counts)) },
		}
		return v.print(s, o)
	})
	c.Flags().BoolVar(&weekly, "weekly", false, "a line for each week, named by its Monday")
	return view
}

// detailNames are the names of a record in CSV.
var detailNames = []string{
	"day", "header_from", "reporter", "service", "host", "ip", "messages", "compliant", "disposition", "spf", "dkim", "reasons", "sentence",
}

// detailCells is a record in CSV.
func detailCells(d *analysis.Detail) []string {
	return []string{
		d.Day.String(), d.HeaderFrom, d.Reporter, d.Service, d.Host, d.IP, strconv.FormatInt(d.Messages, 10), strconv.FormatInt(d.Compliant, 10),
		string(d.Disposition), string(d.SPF), string(d.DKIM), strings.Join(d.Reasons, "; "), d.Sentence,
	}
}

func analysisDetailsCommand(s streams) *cobra.Command {
	language := ""
	c := &cobra.Command{
		Use:     "details",
		Short:   "The records of received reports, each told in a sentence",
		Example: `  dmarcd analysis details --domain example.com --ip 192.0.2.0/24 --result not_compliant`,
	}
	view := analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		page, err := api.AnalysisDetails().Ask(ctx, a, api.DetailsRequest{FiguresRequest: o.request, Language: settings.Language(language)})
		if err != nil {
			return err
		}
		v := view[analysis.Detail]{rows: page.Rows, after: page.After, notes: page.Notes, names: detailNames, cells: detailCells}
		if o.asJSON || o.asCSV || len(page.Rows) == 0 {
			return v.print(s, o)
		}
		for i := range page.Rows {
			printDetail(s, &page.Rows[i])
		}
		v.rows = nil
		for _, n := range v.notes {
			fmt.Fprintf(s.err, "--%s: %s\n", n.Name, n.Text)
		}
		if v.after != "" {
			s.line("There is more: --after %s", shellWord(v.after))
		}
		return nil
	})
	c.Flags().StringVar(&language, "language", string(settings.English), "of the sentences: en or ja")
	return view
}

// printDetail tells of one record: what it is about in a line, and its sentence below.
func printDetail(s streams, d *analysis.Detail) {
	result := "Not compliant"
	if d.Compliant > 0 {
		result = "Compliant"
	}
	count := text.Number(d.Messages)
	if d.Of > 0 {
		count += " of " + text.Number(d.Of)
	}
	did := string(d.Disposition)
	if did == "" {
		did = "not told"
	}
	s.line("%s  %s  %s  SPF %s, DKIM %s  %s  report %d", d.Day, count, result, d.SPF, d.DKIM, did, d.Report)
	for _, line := range wrap(d.Sentence, text.Terminal-4) {
		s.line("    %s", line)
	}
}

// wrap breaks a text into lines of a width: at spaces, and within a word that is wider.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && text.Width(line)+1+text.Width(word) > width {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		for _, r := range word {
			if text.Width(line+string(r)) > width {
				out, line = append(out, line), ""
			}
			line += string(r)
		}
	}
	return append(out, line)
}

func analysisExportCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "All records that a filter chooses, as CSV or JSON",
		Long: `Write every record that the filter chooses, as "details" would give on all its pages: as
CSV, or with --json as one object a line.`,
		Example: `  dmarcd analysis export --domain example.com --period last-month > november.csv`,
	}
	return analysisView(s, c, false, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		request := api.DetailsRequest{FiguresRequest: o.request}
		if o.asJSON {
			encoder := s.json()
			return api.AnalysisExport().Each(ctx, a, request, func(d *analysis.Detail) error { return encoder.Encode(d) })
		}
		out := text.NewCSV(s.below().out)
		if err := out.Write(detailNames...); err != nil {
			return troubleError(err)
		}
		if err := api.AnalysisExport().Each(ctx, a, request, func(d *analysis.Detail) error { return out.Write(detailCells(d)...) }); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return troubleError(err)
		}
		return nil
	})
}
