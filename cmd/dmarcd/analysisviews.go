package main

import (
	"context"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/present"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

func analysisOverviewCommand(s present.Streams) *cobra.Command {
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
		v := present.OverviewView(s, &page)
		return v.Print(s, o.form)
	})
}

func analysisSourcesCommand(s present.Streams) *cobra.Command {
	level, evidence := "", false
	c := &cobra.Command{
		Use:   "sources",
		Short: "Compliance by sending source: email service, host or address",
		Long: `Compliance by sending source. A source is an email service, named by its domain; its hosts
and their addresses are the levels below it. A host is a name that the address has and
that leads back to it. --evidence tells of each address who is behind it, how sure that is,
and by what; a forwarder is told by what its mail does. Addresses are looked up in the
background: what was not yet is unknown.`,
		Example: `  dmarcd analysis sources --domain example.com
  dmarcd analysis sources --domain example.com --service sendgrid.net --evidence
  dmarcd analysis sources --level ip --service google.com --result not_compliant`,
	}
	view := analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		if evidence {
			level = string(analysis.LevelIP)
		}
		page, err := api.AnalysisSources().Ask(ctx, a, api.SourcesRequest{FiguresRequest: o.request, Level: analysis.Level(level)})
		if err != nil {
			return err
		}
		if evidence && o.form == (present.Form{}) {
			present.SourceEvidence(s, page.Rows)
			return nil
		}
		v := present.SourcesView(page.Rows, analysis.Level(level))
		v.After, v.Notes = page.After, page.Notes
		return v.Print(s, o.form)
	})
	c.Flags().StringVar(&level, "level", string(analysis.LevelService), "service, host or ip")
	c.Flags().BoolVar(&evidence, "evidence", false, "tell who is behind each address, and by what")
	return view
}

func analysisTrendCommand(s present.Streams) *cobra.Command {
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
		v := present.TrendView(series.Rows)
		v.Notes = series.Notes
		return v.Print(s, o.form)
	})
	c.Flags().BoolVar(&weekly, "weekly", false, "a line for each week, named by its Monday")
	return view
}

func analysisDetailsCommand(s present.Streams) *cobra.Command {
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
		return present.Details(s, &page, o.form)
	})
	c.Flags().StringVar(&language, "language", string(settings.English), "of the sentences: en or ja")
	return view
}

func analysisExportCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "All records that a filter chooses, as CSV or JSON",
		Long: `Write every record that the filter chooses, as "details" would give on all its pages: as
CSV, or with --json as one object a line.`,
		Example: `  dmarcd analysis export --domain example.com --period last-month > november.csv`,
	}
	return analysisView(s, c, false, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		return present.ExportDetails(ctx, a, api.DetailsRequest{FiguresRequest: o.request}, s, o.form)
	})
}
