package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/report/outgoing"
)

// reportListOptions are the flags of `dmarcd report list`.
type reportListOptions struct {
	target *target
	filter filterFlags
	limit  int
	asJSON bool
}

func reportListCommand(s streams) *cobra.Command {
	o := &reportListOptions{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List reports and where their deliveries stand, the newest first",
		Long: `List reports with their deliveries, the newest first, and what waits in the queue.

Exit code 0: listed, if there are any; 3: the store cannot be read.`,
		Example: `  dmarcd report list --day yesterday
  dmarcd report list --state failed --json
  dmarcd report list --domain example.com --since 2026-11-01`,
		Args: noArguments(),
	}
	o.target = targetFlags(c)
	o.filter.add(c)
	c.Flags().IntVar(&o.limit, "limit", 100, "how many reports at most; 0 for all")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line for each report")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return reportList(c.Context(), o, s)
	}
	return c
}

func reportList(ctx context.Context, o *reportListOptions, s streams) error {
	filter, err := o.filter.filter(time.Now())
	if err != nil {
		return usageError(err)
	}
	if o.limit < 0 {
		return usageError(fmt.Errorf("--limit %d is less than nothing", o.limit))
	}
	return withReports(ctx, o.target, s, func(d *reportConnection) error {
		_, more, err := eachReport(ctx, d, filter, o.limit, func(r *outgoing.Report) error {
			if o.asJSON {
				return writeJSONLine(s, r)
			}
			printReport(s, r)
			return nil
		})
		if err != nil {
			return err
		}
		if !o.asJSON {
			if more {
				s.line("There are more; --limit 0 shows all.")
			}
			if err := printState(ctx, d, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachReport gives reports page by page, limit of them at most, 0 for all.
func eachReport(ctx context.Context, d api.Asker, f outgoing.Filter, limit int, yield func(*outgoing.Report) error) (shown int, more bool, err error) {
	const page = 200
	for {
		f.Limit = page
		if limit > 0 {
			f.Limit = min(page, limit-shown)
		}
		listed, err := api.ReportsList().Ask(ctx, d, f)
		if err != nil {
			return shown, false, err
		}
		for i := range listed.Reports {
			if err := yield(&listed.Reports[i]); err != nil {
				return shown, false, err
			}
			shown++
		}
		if f.Before = listed.Next; f.Before == 0 || limit > 0 && shown >= limit {
			return shown, f.Before != 0, nil
		}
	}
}

// printState tells what waits.
func printState(ctx context.Context, d api.Asker, s streams) error {
	o, err := api.ReportsState().Ask(ctx, d, outgoing.StateRequest{})
	if err != nil {
		return err
	}
	s.line("Waiting: %d. In the last week %d sent, %d failed, %d expired. Suppressed destinations: %d.",
		o.Deliveries[outgoing.StateQueued]+o.Deliveries[outgoing.StateUnconfirmed], o.Deliveries[outgoing.StateSent],
		o.Deliveries[outgoing.StateFailed], o.Deliveries[outgoing.StateExpired], o.Suppressed)
	if !o.Enabled {
		line := "No reports are made: reports.enabled is false in dmarcd.yaml."
		if o.Counted {
			line += " Mail is counted for them (daily_reports in policy.yaml)."
		}
		s.line("%s", line)
	}
	if o.Paused {
		s.line("The queue is paused: reports.smtp does not take mail; the deliveries in the queue say why.")
	}
	return nil
}

// reportShowOptions are the flags of `dmarcd report show`.
type reportShowOptions struct {
	target          *target
	day, output     string
	content, asJSON bool
}

func reportShowCommand(s streams) *cobra.Command {
	o := &reportShowOptions{}
	c := &cobra.Command{
		Use:   "show ID|REPORT-ID|DOMAIN",
		Short: "Show one report, with its XML if asked for",
		Long: `Show one report: by the number that "report list" gives it, by its Report-ID, or by the
policy domain and --day.

--xml prints the report itself as it was sent (of a failure report: the mail, with
stand-ins for its destination); -o writes the compressed file as it was attached.

Exit code 0: found; 1: there is no such report; 3: the store cannot be read.`,
		Example: `  dmarcd report show 17
  dmarcd report show example.com --day 2026-11-24 --xml
  dmarcd report show 17 -o report.xml.gz`,
		Args: arguments(1, 1, "name a report by its number or Report-ID, or a domain"),
	}
	o.target = targetFlags(c)
	f := c.Flags()
	f.StringVar(&o.day, "day", "yesterday", "with a domain: the day of the report")
	f.BoolVar(&o.content, "xml", false, "print the report itself instead of what is known of it")
	f.StringVarP(&o.output, "output", "o", "", "write the compressed file there; - for standard output")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return reportShow(c.Context(), o, args[0], s)
	}
	return c
}

func reportShow(ctx context.Context, o *reportShowOptions, name string, s streams) error {
	request, err := nameReport(name, o.day, time.Now())
	if err != nil {
		return usageError(err)
	}
	if o.asJSON && (o.content || o.output != "") {
		return usageError(fmt.Errorf("--json and --xml or -o do not go together"))
	}
	request.Content = o.content || o.output != ""
	return withReports(ctx, o.target, s, func(d *reportConnection) error {
		shown, err := api.ReportsShow().Ask(ctx, d, request)
		switch {
		case err != nil:
			return err
		case o.asJSON:
			return writeJSONLine(s, shown.Report)
		case o.output != "":
			return writeOut(s.file(), o.output, shown.File)
		case o.content:
			if err := shown.Content(s.file()); err != nil {
				return troubleError(err)
			}
			return nil
		}
		printReport(s, &shown.Report)
		r := &shown.Report
		s.line("    Report-ID    %s", r.ReportID)
		if r.FileName != "" {
			kept := ""
			if !r.Stored {
				kept = ", not kept any more"
			}
			s.line("    file         %s (%d octets%s)", r.FileName, r.Octets, kept)
		}
		s.line("    subject      %s", r.Subject)
		s.line("    made         %s", r.Made.Format(time.RFC3339))
		if r.Note != "" {
			s.line("    note         %s", r.Note)
		}
		return nil
	})
}

// nameReport reads what names a report.
func nameReport(name, day string, now time.Time) (outgoing.ShowRequest, error) {
	if id, err := strconv.ParseInt(name, 10, 64); err == nil && id > 0 {
		return outgoing.ShowRequest{ID: id}, nil
	}
	target, err := outgoing.ParseTarget(name)
	if err != nil {
		return outgoing.ShowRequest{}, err
	}
	if !strings.Contains(target, ".") {
		return outgoing.ShowRequest{ReportID: target}, nil
	}
	d, err := parseDay(day, now)
	return outgoing.ShowRequest{Domain: target, Day: &d}, err
}

// writeOut writes a file that is not there yet, or to standard output.
func writeOut(out io.Writer, path string, data []byte) error {
	if path == "-" {
		if _, err := out.Write(data); err != nil {
			return troubleError(err)
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return usageError(fmt.Errorf("%w; give -o another name", err))
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}
