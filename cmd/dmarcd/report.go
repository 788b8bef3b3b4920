package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
	"dmarcd/internal/report/outgoing"
)

func reportCommand(s present.Streams) *cobra.Command {
	c := group("report", "The reports that we send: list, show, send, retry, suppress",
		reportListCommand(s), reportShowCommand(s), reportSendCommand(s), reportRetryCommand(s), reportSuppressCommand(s))
	c.Long = `The reports that we send to the domains that ask for them: one aggregate report for each
policy domain and UTC day (RFC 9990) and, if they are switched on, failure reports (RFC
9991). Each goes to the addresses that the domain's DMARC record names.

A delivery is
  queued        waiting for its first or next attempt
  unconfirmed   likewise; whether the outside host takes reports on the domain is asked first
  sent          taken by the mail server
  failed        refused for good, or bounced
  expired       tried for two days
  suppressed    not sent: the destination is suppressed
  unverified    not sent: the outside host does not ask for reports on the domain
  capped        not sent: one organization asks for too many mails
  replaced      the outside host named other addresses, listed beside it

The running daemon is asked on its admin socket; where none runs, the store is opened,
which only the user that owns state_dir may do.`
	return c
}

func addFilter(c *cobra.Command, f *outgoing.FilterText) {
	flags := c.Flags()
	flags.StringVar(&f.Domain, "domain", "", "the policy domain that they are about")
	flags.StringVar(&f.Day, "day", "", "the UTC day that they are about, such as 2026-11-24, today or yesterday")
	flags.StringVar(&f.Since, "since", "", "that day and later ones")
	flags.StringVar(&f.Until, "until", "", "that day and earlier ones")
	flags.StringVar(&f.State, "state", "", "with a delivery in that state, such as failed")
	flags.StringVar(&f.Kind, "kind", "", "aggregate or failure")
	flags.StringVar(&f.To, "to", "", "with a delivery to that address")
}

// reportListOptions are the flags of `dmarcd report list`.
type reportListOptions struct {
	target *client.Target
	filter outgoing.FilterText
	limit  int
	asJSON bool
}

func reportListCommand(s present.Streams) *cobra.Command {
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
	addFilter(c, &o.filter)
	c.Flags().IntVar(&o.limit, "limit", 100, "how many reports at most; 0 for all")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line for each report")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return reportList(c.Context(), o, s)
	}
	return c
}

func reportList(ctx context.Context, o *reportListOptions, s present.Streams) error {
	filter, err := o.filter.Parse(time.Now())
	if err != nil {
		return usageError(err)
	}
	if o.limit < 0 {
		return usageError(fmt.Errorf("--limit %d is less than nothing", o.limit))
	}
	return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
		return present.Reports(ctx, d, filter, o.limit, o.asJSON, s)
	})
}

// reportShowOptions are the flags of `dmarcd report show`.
type reportShowOptions struct {
	target          *client.Target
	day, output     string
	content, asJSON bool
}

func reportShowCommand(s present.Streams) *cobra.Command {
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

func reportShow(ctx context.Context, o *reportShowOptions, name string, s present.Streams) error {
	request, err := outgoing.NameReport(name, o.day, time.Now())
	if err != nil {
		return usageError(err)
	}
	if o.asJSON && (o.content || o.output != "") {
		return usageError(fmt.Errorf("--json and --xml or -o do not go together"))
	}
	request.Content = o.content || o.output != ""
	return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
		shown, err := api.ReportsShow().Ask(ctx, d, request)
		switch {
		case err != nil:
			return err
		case o.asJSON:
			return present.WriteJSONLine(s, shown.Report)
		case o.output != "":
			return present.WriteOut(s.File(), o.output, shown.File)
		case o.content:
			if err := shown.Content(s.File()); err != nil {
				return troubleError(err)
			}
			return nil
		}
		present.ReportDetails(s, &shown.Report)
		return nil
	})
}
