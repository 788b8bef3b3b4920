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
