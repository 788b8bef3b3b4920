package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
	"dmarcd/internal/report/analysis"
)

func analysisCommand(s present.Streams) *cobra.Command {
	c := group("analysis", "The reports that others send about our domains: figures, sources, records, reporters",
		analysisOverviewCommand(s), analysisSourcesCommand(s), analysisDetailsCommand(s), analysisTrendCommand(s), analysisExportCommand(s),
		analysisReportsCommand(s), analysisReportersCommand(s), analysisLabelCommand(s), analysisRawCommand(s),
		analysisIngestCommand(s), analysisFeedsCommand(s), analysisReprocessCommand(s))
	c.Long = `What others report about mail that says it is from our domains (RFC 9990). A message is
compliant if SPF or DKIM gave a pass for a domain that matches its From domain. Which
reports count, and what each word means, is told in docs/analysis.md.

A criterion is a list with commas, any of whose values may hold; with "!" in front none
of them may; it may be given several times. In names, services and hosts "*" stands for
anything. An address is one, a CIDR block, or the beginning of one. The running daemon
is asked on its admin socket; where none runs, the store is opened.`
	return c
}

// analysisOptions are the flags that the views have in common.
type analysisOptions struct {
	target  *client.Target
	request api.FiguresRequest
	form    present.Form
}

// analysisView makes the command of a view. show asks and prints.
func analysisView(s present.Streams, c *cobra.Command, paged bool, show func(ctx context.Context, a api.Asker, o *analysisOptions) error) *cobra.Command {
	o := &analysisOptions{target: targetFlags(c)}
	c.Args = cobra.NoArgs
	f := c.Flags()
	r := &o.request
	f.StringVar(&r.Period, "period", "", "the days: 30d, 2026-11, this-month, last-month or all (default "+analysis.DefaultPeriod+")")
	f.StringVar(&r.Since, "since", "", "that day and later ones: a duration back, a date or a time")
	f.StringVar(&r.Until, "until", "", "that day and earlier ones")
	for _, one := range criteriaFlags(r) {
		f.StringArrayVar(one.into, one.name, nil, one.usage)
	}
	f.BoolVar(&r.IncludeFailed, "include-failed", false, "count reports too whose mail failed authentication")
	f.BoolVar(&o.form.AsJSON, "json", false, "one JSON object a line")
	f.BoolVar(&o.form.AsCSV, "csv", false, "CSV, with names in the first line")
	if paged {
		f.IntVar(&r.Limit, "limit", 100, "how many lines at most, up to 1000")
		f.StringVar(&r.After, "after", "", "go on behind the page that ended so")
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(time.Now()); err != nil {
			return usageError(err)
		}
		return client.WithStore(c.Context(), o.target, s, func(a api.Asker) error { return show(c.Context(), a, o) })
	}
	return c
}

// criterionFlag is a criterion as a flag.
type criterionFlag struct {
	name, usage string
	into        *[]string
}

func criteriaFlags(r *api.FiguresRequest) []criterionFlag {
	return []criterionFlag{
		{"domain", "a `LIST` of managed domains", &r.Domain},
		{"service", "a `LIST` of email services, by domain", &r.Service},
		{"host", "a `LIST` of hosts", &r.Host},
		{"ip", "a `LIST` of addresses, CIDR blocks or beginnings of addresses", &r.IP},
		{"reporter", "a `LIST` of reporters, by name, e-mail address or authenticated domain", &r.Reporter},
		{"result", "`compliant` or not_compliant", &r.Result},
		{"disposition", "a `LIST` of what receivers did: none, pass, quarantine, reject, - for not told", &r.Disposition},
		{"reason", "a `LIST` of types of override reasons, such as forwarded", &r.Reason},
		{"policy", "a `LIST` of published policies: none, quarantine, reject", &r.Policy},
		{"header-from", "a `LIST` of From domains", &r.HeaderFrom},
		{"envelope-from", "a `LIST` of domains of envelope senders", &r.EnvelopeFrom},
		{"spf-domain", "a `LIST` of domains that SPF checked", &r.SPFDomain},
		{"dkim-domain", "a `LIST` of domains that signed (d=)", &r.DKIMDomain},
		{"selector", "a `LIST` of DKIM selectors", &r.Selector},
		{"label", "a `LIST` of labels of sources: authorised, forwarder, ignore, - for none", &r.Label},
	}
}

// check reads the criteria, so that what is wrong is told by the names of flags.
func (o *analysisOptions) check(now time.Time) error {
	if o.form.AsJSON && o.form.AsCSV {
		return errors.New("--json and --csv do not go together")
	}
	if o.request.Limit < 0 {
		return fmt.Errorf("--limit %d is less than nothing", o.request.Limit)
	}
	_, _, err := o.request.Parse(now)
	if err == nil {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, rest, _ := strings.Cut(line, ": ")
		lines = append(lines, "--"+strings.ReplaceAll(name, "_", "-")+": "+rest)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// ingestOptions are the flags of "analysis ingest".
type ingestOptions struct {
	dry, asJSON bool
}

func analysisIngestCommand(s present.Streams) *cobra.Command {
	var o ingestOptions
	c := &cobra.Command{
		Use:   "ingest PATH…|-",
		Short: "Take in reports from files, folders, mailboxes and archives",
		Long: `Take in aggregate reports: XML, compressed by gzip or in zip archives, mails (.eml), mailboxes
(mbox), tar archives, folders and maildirs of these, or standard input (-). What a file is,
is told by its content. The word of an admin counts: such reports are not authenticated.

What was taken in before is told as a duplicate, so that the command may be run again after
it was interrupted. --dry-run tells what would become of each, compared with what is
stored and with those before it. With --json each file is one object, and where it holds several mails or
reports, one more for each, as PATH#1, PATH#2 and so on; counts are of what was stored.

  yes        at least one report was stored
  empty      a report on a period without mail
  duplicate  the same report is stored
  aside      no aggregate report, or not about a managed domain
  differs    the same report with other records is stored
  no         it cannot be read

Exit code 0; 1: one is "no" or "differs"; 3: the store is away.`,
		Example: `  dmarcd analysis ingest reports/ old.mbox backup.tar.gz
  curl -s https://example.net/report.xml.gz | dmarcd analysis ingest --dry-run -`,
		Args: cobra.MinimumNArgs(1),
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&o.dry, "dry-run", false, "tell what would become of each, and store nothing")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, closing, err := client.ForIngest(c.Context(), t, o.dry, s)
		if err != nil {
			return err
		}
		return errors.Join(present.Ingest(c.Context(), a, client.MostOctets(t), args, o.asJSON, o.dry, s), closing())
	}
	return c
}

func analysisFeedsCommand(s present.Streams) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "feeds",
		Short: "The ways in of reports: last run, last error, backlog",
		Long: `List the feeds that reports come in by, on every host: the milter, LMTP, IMAP, the watched
folder, and what admins gave. Exit code 0, also where a feed fails.`,
		Example: `  dmarcd analysis feeds --json`,
		Args:    cobra.NoArgs,
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return client.WithStore(c.Context(), t, s, func(a api.Asker) error {
			found, err := api.AnalysisFeeds().Ask(c.Context(), a, api.FeedsRequest{})
			if err != nil {
				return err
			}
			return present.Feeds(s, &found, asJSON)
		})
	}
	return c
}

func analysisReprocessCommand(s present.Streams) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "reprocess",
		Short: "Read reports again that an older version has read, or that are ours by now",
		Long: `Read again what is kept as received and was read by an older version of dmarcd: reports, and
mails and files in which a report could not be read. What is read now takes the place of
what was read then, and figures follow. Reports that were set aside are taken in where
their domain is managed by now.

Exit code 0, also where some cannot be read any more: those stay as they were.`,
		Example: `  dmarcd analysis reprocess`,
		Args:    cobra.NoArgs,
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := client.Connect(c.Context(), t, s)
		if err != nil {
			return err
		}
		defer a.Close() //nolint:errcheck // what was read is stored
		if a.Offline != nil {
			a.Offline.UseIntake()
		}
		return present.Reprocess(c.Context(), a, asJSON, s)
	}
	return c
}
