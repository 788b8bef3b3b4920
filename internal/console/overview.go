package console

import (
	"html/template"
	"net/url"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// overviewData is the data of the overview.
type overviewData struct {
	api.Overview
	Rows    []overviewRow
	Chart   *dayChart
	Answers []answer
}

// overviewRow is a managed domain.
type overviewRow struct {
	analysis.OverviewRow
	Record  api.KnownRecord
	Change  int64 // of compliance against the period before, in tenths of a point
	Changed bool  // Change is known
}

// dayChart is a chart with its table of numbers.
type dayChart struct {
	series
	Twin   []analysis.TrendRow // days with messages
	Source string              // the service that it is about; "" for all
}

func overviewPage(v *visit) error {
	p := &page{Template: "overview", Title: v.t("Overview"), Section: sectionAnalysis, Tab: "/analysis"}
	bar := v.bar("/analysis/overview", "domain", "period", "reporter")
	in := v.figures()
	got, err := ask(v, api.AnalysisOverview(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, countNames([]string{"domain"}, "reporters", "last_report"), got.Rows, got.After, func(after string) ([]analysis.OverviewRow, string, error) {
			in.After = after
			more, err := ask(v, api.AnalysisOverview(), in)
			return more.Rows, more.After, err
		})
	}
	d := overviewData{Overview: got}
	if d.Rows, err = v.overviewRows(&in, got.Rows); err != nil {
		return err
	}
	if p.Counted, err = v.counted(in); err != nil {
		return err
	}
	if d.Chart, err = v.dayChart("days", v.t("Messages per day, compliant and non-compliant, with compliance in per cent"), in, p.Counted); err != nil {
		return err
	}
	if in.After == "" {
		if d.Answers, err = v.answers(in, p.Counted); err != nil {
			return err
		}
	}
	bar.Notes = got.Notes
	p.Bar, p.Data = bar, d
	return v.show(p)
}

// counted returns the line that describes what is counted.
func (v *visit) counted(in api.FiguresRequest) (*api.Counted, error) {
	in.After, in.Limit = "", 0
	out, err := ask(v, api.AnalysisTotals(), in)
	return &out, err
}

// overviewRows adds to each domain its record, and the change of compliance.
func (v *visit) overviewRows(in *api.FiguresRequest, rows []analysis.OverviewRow) ([]overviewRow, error) {
	known, err := ask(v, api.RecordKnown(), api.KnownRequest{})
	if err != nil {
		return nil, err
	}
	records := map[dns.Name]api.KnownRecord{}
	for _, k := range known.Records {
		records[k.Domain] = k
	}
	before, err := v.periodBefore(in)
	if err != nil {
		return nil, err
	}
	var out []overviewRow
	for _, r := range rows {
		o := overviewRow{OverviewRow: r, Record: records[r.Domain]}
		if b := before[r.Domain]; b.Messages > 0 && r.Messages > 0 {
			o.Changed = true
			o.Change = 1000*r.Compliant/r.Messages - 1000*b.Compliant/b.Messages
		}
		out = append(out, o)
	}
	return out, nil
}

// periodBefore returns the figures of the domains in as many days before the period.
func (v *visit) periodBefore(in *api.FiguresRequest) (map[dns.Name]analysis.Counts, error) {
	out := map[dns.Name]analysis.Counts{}
	filter, _, err := in.Parse(v.Service.Now())
	if err != nil || filter.All {
		return out, nil
	}
	before := *in
	before.After, before.Limit, before.Period = "", 200, ""
	before.Since, before.Until = (filter.From - (filter.To - filter.From + 1)).String(), (filter.From - 1).String()
	got, err := ask(v, api.AnalysisOverview(), before)
	for _, r := range got.Rows {
		out[r.Domain] = r.Counts
	}
	return out, err
}

// dayChart charts the days, or weeks, of what is counted.
func (v *visit) dayChart(id, title string, in api.FiguresRequest, counted *api.Counted) (*dayChart, error) {
	in.After, in.Limit = "", 0
	from, to := v.daysOf(counted)
	weekly := v.query("by") == "week" || v.query("by") == "" && to-from >= weeklyFrom
	got, err := ask(v, api.AnalysisTrend(), api.TrendRequest{FiguresRequest: in, Weekly: weekly})
	if err != nil {
		return nil, err
	}
	if counted.Since == "" && len(got.Rows) > 0 {
		from, to = got.Rows[0].Day, got.Rows[len(got.Rows)-1].Day
	}
	return &dayChart{Twin: got.Rows, series: series{
		Lang: v.lang, ID: id, Title: title, Rows: withoutGaps(got.Rows, from, to, weekly), Weekly: weekly, Preliminary: preliminarySince(v.Service.Now()),
		Link: v.dayLink(weekly), Compliance: true,
	}}, nil
}

// weeklyFrom is the number of days from which a chart is weekly.
const weeklyFrom = 92

// daysOf returns the first and the last day of what is counted.
func (v *visit) daysOf(c *api.Counted) (from, to memory.Day) {
	today := memory.DayOf(v.Service.Now())
	from, err := memory.ParseDay(c.Since)
	if err != nil {
		return today - 30, today
	}
	if to, err = memory.ParseDay(c.Until); err != nil || to > today {
		to = today
	}
	return from, max(from, to)
}

// dayLink returns the URL of the details of a day or week.
func (v *visit) dayLink(weekly bool) func(memory.Day) string {
	return func(d memory.Day) string {
		q := v.r.URL.Query()
		for _, key := range []string{"period", "after", "by", "show", "open", "lang"} {
			q.Del(key)
		}
		last := d
		if weekly {
			last += 6
		}
		q.Set("since", d.String())
		q.Set("until", last.String())
		return "/analysis/details?" + q.Encode()
	}
}

// Days returns the rows of the table, the latest first.
func (c *dayChart) Days() []analysis.TrendRow {
	out := make([]analysis.TrendRow, 0, len(c.Twin))
	for i := range c.Twin {
		out = append(out, c.Twin[len(c.Twin)-1-i])
	}
	return out
}

// Draw draws the chart.
func (c *dayChart) Draw() template.HTML { return c.HTML() }

// Of returns the URL of the details of a day.
func (c *dayChart) Of(d memory.Day) string { return c.Link(d) }

// answers returns the daily questions about what is counted.
func (v *visit) answers(in api.FiguresRequest, counted *api.Counted) ([]answer, error) {
	in.After, in.Limit = "", 1000
	got, err := ask(v, api.AnalysisSources(), api.SourcesRequest{FiguresRequest: in})
	if err != nil {
		return nil, err
	}
	query := v.r.URL.Query()
	for _, key := range []string{"after", "lang", "q"} {
		query.Del(key)
	}
	to := func(path string, pairs ...string) string {
		q := url.Values{}
		for k, values := range query {
			q[k] = values
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		if len(q) == 0 {
			return path
		}
		return path + "?" + q.Encode()
	}
	sum := sumSources(got.Rows)
	tighten, err := v.tightenAnswer(counted.Domains)
	if err != nil {
		return nil, err
	}
	out := []answer{v.brokenAnswer(&sum, to), v.forgedAnswer(&sum, to), tighten}
	arriving := answer{Ask: v.t("Are reports arriving?"), Kind: "bad", Says: v.t("No"), Detail: v.t("None in this period. Is the record published?"), URL: "/analysis/config"}
	if counted.Reports > 0 {
		age := v.Service.Now().Sub(counted.Newest)
		arriving = answer{Ask: arriving.Ask, Kind: "ok", Says: v.t("Yes, %s", ago(v.lang, age)), URL: to("/analysis/reports"),
			Detail: v.t("%s reports from %s reporters; %s need attention", number(counted.Reports), number(counted.Reporters), number(counted.Attention))}
		if age > silentAfter {
			arriving.Kind, arriving.Says = "held", v.t("Not since %s", ago(v.lang, age))
		}
	}
	return append(out, arriving), nil
}

// silentAfter is how long reports may be absent before that is mentioned.
const silentAfter = 3 * 24 * time.Hour
