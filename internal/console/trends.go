package console

import (
	"fmt"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
)

// trendsData is the data of the page of trends.
type trendsData struct {
	Chart   *dayChart
	Show    []option // what is shown
	By      []option // day or week
	Sources []*dayChart
	TooFew  int // days with mail, where they are too few for a trend; 0 where they are not
}

// trendDays is how many days with mail make a trend.
const trendDays = 14

// trendSources is how many sources have their own chart.
const trendSources = 6

func trendsPage(v *visit) error {
	p := &page{Template: "trends", Title: v.t("Trends"), Section: sectionAnalysis, Tab: "/analysis/trends"}
	bar := v.bar("/analysis/trends", "domain", "period", "service", "reporter")
	in := v.figures()
	got, err := ask(v, api.AnalysisTrend(), api.TrendRequest{FiguresRequest: in, Weekly: v.query("by") == "week"})
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, countNames([]string{"day"}), got.Rows, "", nil)
	}
	show := v.query("show")
	d := trendsData{
		Show: options(show, "", v.t("Messages"), "source", v.t("By source")),
		By:   options(v.query("by"), "", v.t("by itself"), "day", v.t("Day"), "week", v.t("Week")),
	}
	if p.Counted, err = v.counted(in); err != nil {
		return err
	}
	if d.Chart, err = v.dayChart("days", v.t("Messages, compliant and non-compliant, with compliance in per cent"), in, p.Counted); err != nil {
		return err
	}
	if n := len(d.Chart.Twin); !d.Chart.Weekly && n < trendDays {
		d.TooFew = n
	}
	if show == "source" {
		if d.Sources, err = v.sourceCharts(in, p.Counted); err != nil {
			return err
		}
	}
	bar.Notes = got.Notes
	p.Bar, p.Data = bar, d
	return v.show(p)
}

// sourceCharts returns those of the largest sources, on one scale.
func (v *visit) sourceCharts(in api.FiguresRequest, counted *api.Counted) ([]*dayChart, error) {
	in.After, in.Limit = "", trendSources
	got, err := ask(v, api.AnalysisSources(), api.SourcesRequest{FiguresRequest: in})
	if err != nil {
		return nil, err
	}
	var out []*dayChart
	var top int64
	for i := range got.Rows {
		one := in
		one.Service = []string{got.Rows[i].Service}
		chart, err := v.dayChart(fmt.Sprint("source-", i), sourceName(&got.Rows[i]), one, counted)
		if err != nil {
			return nil, err
		}
		chart.Small, chart.Source = true, got.Rows[i].Service
		for _, r := range chart.Rows {
			top = max(top, r.Messages)
		}
		out = append(out, chart)
	}
	for _, c := range out {
		c.Top = top
	}
	return out, nil
}

// Sum sums the days of a chart.
func (c *dayChart) Sum() (out analysis.Counts) {
	for _, r := range c.Twin {
		out = out.Plus(r.Counts)
	}
	return out
}
