package main

import (
	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func recordCommand(s present.Streams) *cobra.Command {
	return group("record", "The DMARC records of domains: look up, generate, verify",
		recordLookupCommand(s), recordGenerateCommand(s), recordVerifyCommand(s))
}

func recordLookupCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "lookup DOMAIN",
		Short: "Show which DMARC record governs mail From a domain, and why",
		Long: `Walk the DNS tree from a domain (RFC 9989 section 4.10) and print every name asked,
the record that governs mail From it, the policy that follows, and the organizational
domain. Nothing is taken from a cache of dmarcd.

Exit code 0: a record applies; 1: none does; 3: DNS trouble.`,
		Example: `  dmarcd record lookup example.com
  dmarcd record lookup --json news.example.com`,
		Args: arguments(1, 1, "name a domain"),
	}
	target := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithRecords(c.Context(), target, false, s, func(a api.Asker) error {
			return present.LookUpRecord(c.Context(), a, args[0], asJSON, s)
		})
	}
	return c
}

func recordVerifyCommand(s present.Streams) *cobra.Command {
	var expect string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [DOMAIN…]",
		Short: "Check whether reports on domains come to us",
		Long: `Look the DMARC record of each domain up, past every cache of dmarcd, and check all that
bears on whether reports come to the addresses of analysis.addresses: that there is
exactly one record, its syntax, the address in rua, the authorization where the address
is in another organization (RFC 9990 section 4), and the address's MX record. Beside
that, the state of the SPF record and of the DKIM keys that reports name. Without a
domain, every managed domain that is known by name.

  In effect        the record is as it should be
  Not yet          another record than the expected one is seen
  Missing          no record, or none of our addresses in rua
  Broken           receivers do not apply it, or do not send the reports
  Could not check  DNS trouble

Expected is the record that "record generate" made last for the domain; --expect names
another, --expect "" none.

Exit code 0: all are in effect; 1: one is not; 3: one could not be checked.`,
		Example: `  dmarcd record verify
  dmarcd record verify example.com --expect "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"`,
	}
	target := targetFlags(c)
	c.Flags().StringVar(&expect, "expect", "", "the record that is expected")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line for each domain")
	c.RunE = func(c *cobra.Command, args []string) error {
		request := api.VerifyRequest{Domains: args}
		if c.Flags().Changed("expect") {
			request.Expect = &expect
		}
		return client.WithRecords(c.Context(), target, true, s, func(a api.Asker) error {
			return present.VerifyRecords(c.Context(), a, request, asJSON, s)
		})
	}
	return c
}

// recordFlags are the tags of a record as flags.
var recordFlags = []struct{ name, usage string }{
	{"p", "policy: none, quarantine or reject"},
	{"sp", "policy for subdomains"},
	{"np", "policy for subdomains that do not exist"},
	{"t", "y: receivers apply one level less than the policy (test mode)"},
	{"adkim", "alignment of DKIM: r (relaxed) or s (strict)"},
	{"aspf", "alignment of SPF: r or s"},
	{"rua", "addresses for aggregate reports, beside ours"},
	{"ruf", "addresses for failure reports"},
	{"fo", "when failure reports are wanted: 0, 1, d, s"},
	{"psd", "y: a public suffix; n: an organizational domain"},
}

func recordGenerateCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "generate DOMAIN",
		Short: "Make a DMARC record that sends reports to us, of the one that stands",
		Long: `Look up the DMARC record that stands, and print one that has our address for the domain
first in rua and the tags of the flags; whatever else the record has, unknown tags too,
it keeps. An empty value takes a tag out. It is printed as the value of a TXT record and
as a line of a zone file, with the difference, and with the records by which the hosts
of addresses in other organizations ask for the reports (RFC 9990 section 4).

The record is kept as the one that "record verify" expects.

Exit code 0: printed; 2: a value is wrong; 3: DNS trouble.`,
		Example: `  dmarcd record generate example.com
  dmarcd record generate example.com --p quarantine --sp reject --rua dmarc@example.net`,
		Args: arguments(1, 1, "name a domain"),
	}
	target := targetFlags(c)
	values := make([]string, len(recordFlags))
	for i, f := range recordFlags {
		c.Flags().StringVar(&values[i], f.name, "", f.usage)
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		request := api.GenerateRequest{Domains: args}
		for i, into := range []**string{
			&request.P, &request.SP, &request.NP, &request.T, &request.ADKIM, &request.ASPF, &request.RUA, &request.RUF, &request.FO, &request.PSD,
		} {
			if c.Flags().Changed(recordFlags[i].name) {
				*into = &values[i]
			}
		}
		return client.WithRecords(c.Context(), target, true, s, func(a api.Asker) error {
			return present.GenerateRecords(c.Context(), a, request, asJSON, s)
		})
	}
	return c
}

func readinessCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "readiness DOMAIN",
		Short: "Tell what a stricter DMARC policy would do to a domain's mail",
		Long: `Tell from received reports what p=quarantine and p=reject would do: how much mail would be
lost, from which sources and at which receivers, clear forgeries apart; whether the
domain is ready, or why not; the step that mends each source; the record to publish, and
the line of a zone file that goes back.

It looks at the last 30 whole days that are at least 48 hours old, as reports trail. A
source that failed and has been compliant for 14 days counts as mended. From fewer than 14
whole days with reports no domain is ready.

Exit code 0: it is ready for the next stricter policy, or reject is in force; 1: not yet;
3: the store is away.`,
		Example: `  dmarcd readiness example.com
  dmarcd readiness example.com --json`,
		Args: cobra.ExactArgs(1),
	}
	target := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithStore(c.Context(), target, s, func(a api.Asker) error {
			return present.AssessReadiness(c.Context(), a, args[0], asJSON, s)
		})
	}
	return c
}
