package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
)

func recordVerifyCommand(s streams) *cobra.Command {
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
		return withRecords(c.Context(), target, true, s, func(a api.Asker) error {
			return recordVerify(c.Context(), a, request, asJSON, s)
		})
	}
	return c
}

func recordVerify(ctx context.Context, a api.Asker, request api.VerifyRequest, asJSON bool, s streams) error {
	bad, unknown := 0, 0
	err := api.RecordVerify().Each(ctx, a, request, func(v *analysis.Verification) error {
		switch v.Result {
		case analysis.WordInEffect:
		case analysis.WordUnknown:
			unknown++
		default:
			bad++
		}
		if asJSON {
			return writeJSONLine(s, v)
		}
		printVerification(s, v, len(request.Domains) > 0)
		return nil
	})
	switch {
	case err != nil:
		return err
	case bad > 0:
		return answerNo()
	case unknown > 0:
		return &exitError{exitTrouble}
	}
	return nil
}

// verifyWords are the words of verifying, for people.
var verifyWords = map[analysis.Word]string{
	analysis.WordInEffect: "In effect", analysis.WordNotYet: "Not yet", analysis.WordMissing: "Missing",
	analysis.WordBroken: "Broken", analysis.WordUnknown: "Could not check",
}

// printVerification tells of one domain: all that was checked, or only what is wrong.
func printVerification(s streams, v *analysis.Verification, whole bool) {
	s.line("%-15s  %s: %s", verifyWords[v.Result], v.Domain, v.Why)
	check := func(c analysis.Check, name string) {
		if whole || c.Result == analysis.CheckFault {
			s.line("  %-8s %-14s %s", c.Result, name, c.Text)
		}
	}
	if whole && v.Record != "" {
		ttl := ""
		if v.TTL > 0 {
			ttl = fmt.Sprintf("  (TTL %d s)", v.TTL)
		}
		s.line("  record   %s%s", v.Record, ttl)
	}
	if whole && v.Expected != "" {
		s.line("  expected %s", v.Expected)
	}
	if whole {
		for _, c := range v.Checks {
			check(c, c.Name)
		}
	}
	check(v.SPF, "SPF")
	for _, c := range v.Selectors {
		c.Text = c.Name + ": " + c.Text
		check(c, "DKIM")
	}
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

func recordGenerateCommand(s streams) *cobra.Command {
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
		return withRecords(c.Context(), target, true, s, func(a api.Asker) error {
			return recordGenerate(c.Context(), a, request, asJSON, s)
		})
	}
	return c
}

func recordGenerate(ctx context.Context, a api.Asker, request api.GenerateRequest, asJSON bool, s streams) error {
	made, err := api.RecordGenerate().Ask(ctx, a, request)
	if err != nil {
		return err
	}
	for i := range made.Records {
		if asJSON {
			if err := writeJSONLine(s, made.Records[i]); err != nil {
				return err
			}
			continue
		}
		printGenerated(s, &made.Records[i])
	}
	return nil
}

func printGenerated(s streams, r *api.GeneratedRecord) {
	s.line("TXT record at %s:", r.Name)
	s.line("  %s", r.Record)
	s.line("Line of a zone file:")
	s.line("  %s", r.Zone)
	switch {
	case r.Standing == "":
		s.line("No record of its own stands.")
	case len(r.Changes) == 0:
		s.line("It is the record that stands.")
	default:
		s.line("Against the record that stands:")
		for _, c := range r.Changes {
			if c.Before != "" {
				s.line("  - %s=%s", c.Tag, c.Before)
			}
			if c.After != "" {
				s.line("  + %s=%s", c.Tag, c.After)
			}
		}
	}
	if len(r.Authorizations) > 0 {
		s.line("Hosts of other organizations must ask for the reports, each in its own zone:")
	}
	for _, one := range r.Authorizations {
		s.line("  %-9s %s", one.State, one.Zone)
	}
	for _, note := range r.Notes {
		s.line("Note: %s.", strings.TrimSuffix(note, "."))
	}
}
