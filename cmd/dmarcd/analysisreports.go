package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
	"dmarcd/internal/report/analysis"
)

func analysisReportsCommand(s present.Streams) *cobra.Command {
	var status, kind, trust string
	c := &cobra.Command{
		Use:   "reports",
		Short: "The reports received, and what became of each",
		Long: `List what was received, the latest first: reports with their status, and mail that holds
none. Of the criteria, those on domains, days and reporters count.

  stored      counted, if its mail did not fail authentication
  empty       a report on a period without mail
  duplicate   the same again
  differs     the same again with other records; not counted
  replaced    an authenticated one has taken its place
  aside       not about a domain of ours, or not a report
  refused     it cannot be read`,
		Example: `  dmarcd analysis reports --status refused --period all`,
	}
	view := analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		page, err := api.AnalysisReports().Ask(ctx, a, api.ReportsRequest{
			FiguresRequest: o.request, Status: analysis.Status(status), Kind: analysis.Kind(kind), Trust: analysis.Trust(trust),
		})
		if err != nil {
			return err
		}
		v := present.ReportsView(page.Rows)
		v.After, v.Notes = page.After, page.Notes
		return v.Print(s, o.form)
	})
	f := c.Flags()
	f.StringVar(&status, "status", "", "only those with that status")
	f.StringVar(&kind, "kind", "", "aggregate, tls, failure, bounce, other, too_large or unreadable")
	f.StringVar(&trust, "trust", "", "authenticated, admin, not_known, other_name or failed")
	return view
}

func analysisReportersCommand(s present.Streams) *cobra.Command {
	ledger := false
	c := &cobra.Command{
		Use:   "reporters",
		Short: "Who sends reports, and which names were accepted",
		Long: `List who sends reports. Mail that is authenticated for one organization and reports in the
name of another is "other_name": it does not count until the pair is accepted. --ledger
tells how each of them reports instead: its share of all messages, how long after their
period its reports come, days that it left out, reports that it sent again, that needed
repair, and messages whose verdicts and results contradict each other.`,
		Example: `  dmarcd analysis reporters
  dmarcd analysis reporters --ledger --period 90d
  dmarcd analysis reporters accept mailer.example:reporter.example`,
	}
	analysisView(s, c, true, func(ctx context.Context, a api.Asker, o *analysisOptions) error {
		if ledger {
			answer, err := api.AnalysisLedger().Ask(ctx, a, o.request)
			if err != nil {
				return err
			}
			v := present.LedgerView(&answer)
			return v.Print(s, o.form)
		}
		page, err := api.AnalysisReporters().Ask(ctx, a, o.request)
		if err != nil {
			return err
		}
		v := present.ReportersView(s, &page)
		return v.Print(s, o.form)
	})
	c.Flags().BoolVar(&ledger, "ledger", false, "tell how each reporter reports")
	c.AddCommand(pairCommand(s, "accept", true), pairCommand(s, "reject", false))
	return c
}

// pairCommand accepts or rejects a pair of names.
func pairCommand(s present.Streams, verb string, accept bool) *cobra.Command {
	c := &cobra.Command{
		Use:   verb + " PAIR",
		Short: strings.ToUpper(verb[:1]) + verb[1:] + " mail of one organization as the reports of another",
		Long: `PAIR is AUTHENTICATED:REPORTER: the organizational domain that authenticates the mail, and
that of the e-mail address in the reports. Reports that are stored follow.`,
		Example: "  dmarcd analysis reporters " + verb + " mailer.example:reporter.example",
		Args:    cobra.ExactArgs(1),
	}
	t := targetFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		auth, email, ok := strings.Cut(args[0], ":")
		if !ok {
			return usageError(fmt.Errorf("%q is no pair of domains such as mailer.example:reporter.example", args[0]))
		}
		return client.WithStore(c.Context(), t, s, func(a api.Asker) error {
			p, err := api.AnalysisPair().Ask(c.Context(), a, api.PairRequest{Auth: auth, Email: email, Accept: accept})
			if err == nil {
				s.Line("%sed: mail authenticated for %s that reports as %s", strings.ToUpper(verb[:1])+verb[1:], p.Auth, p.Email)
			}
			return err
		})
	}
	return c
}

func analysisLabelCommand(s present.Streams) *cobra.Command {
	request := api.SetLabelRequest{}
	asJSON, host := false, false
	c := &cobra.Command{
		Use:   "label [DOMAIN SOURCE authorised|forwarder|ignore|none]",
		Short: "List the labels of sources, or label one",
		Long: `Label a source of a managed domain: an email service by its domain, or as an exception
from that a host (--host), an address or a CIDR block. Without arguments, list them.`,
		Example: `  dmarcd analysis label example.com mailer.example authorised --note "newsletter"
  dmarcd analysis label example.com 192.0.2.0/24 ignore`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return cobra.ExactArgs(3)(c, args)
		},
	}
	t := targetFlags(c)
	c.Flags().StringVar(&request.Note, "note", "", "what to remember of it")
	c.Flags().BoolVar(&host, "host", false, "SOURCE is a host, not a service")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line for each label")
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithStore(c.Context(), t, s, func(a api.Asker) error {
			var found api.Labels
			var err error
			if len(args) == 0 {
				found, err = api.AnalysisLabels().Ask(c.Context(), a, api.LabelsRequest{})
			} else {
				found, err = api.AnalysisSetLabel().Ask(c.Context(), a, api.SetLabel(request, args, host))
			}
			if err != nil {
				return err
			}
			return present.Labels(s, found.Labels, asJSON)
		})
	}
	return c
}

func analysisRawCommand(s present.Streams) *cobra.Command {
	output := ""
	c := &cobra.Command{
		Use:   "raw NUMBER",
		Short: "Print a report as it was received",
		Long: `Print the XML of a received report or, of what holds none, the mail or file. -o writes the
compressed file.`,
		Example: `  dmarcd analysis raw 17
  dmarcd analysis raw 17 -o report.xml.gz`,
		Args: cobra.ExactArgs(1),
	}
	t := targetFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "write the compressed file there; - for standard output")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usageError(fmt.Errorf("%q is no number; \"dmarcd analysis reports\" has them", args[0]))
		}
		return client.WithStore(c.Context(), t, s, func(a api.Asker) error {
			found, err := api.AnalysisRaw().Ask(c.Context(), a, api.RawRequest{IDs: []int64{id}})
			if err != nil {
				return err
			}
			return present.WriteRaw(s, &found.Reports[0], output)
		})
	}
	return c
}
