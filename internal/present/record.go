package present

import (
	"context"
	"fmt"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

func FoundRecord(s Streams, f *api.FoundRecord) {
	row := func(name, word, text string) { s.Line("%-9s %-11s %s", name, word, text) }
	row("DMARC", f.Result, "From "+f.Domain)
	if f.Record != "" {
		text := fmt.Sprintf("%q at %s: %s=%s", f.Record, f.PolicyDomain, f.Tag, f.Requested)
		if f.Policy != f.Requested {
			text += ", lowered to " + f.Policy + " by t=y"
		}
		row("", "record", text)
	}
	for _, warning := range f.Warnings {
		row("", "warning", warning)
	}
	for _, step := range f.Walk {
		text := "no record"
		switch {
		case step.Error != "":
			text = step.Error
		case step.Record != "":
			text = fmt.Sprintf("%q", step.Record)
		}
		row("", "walk", step.Name+": "+text)
	}
	if f.OrgDomain != "" {
		row("", "org domain", f.OrgDomain)
	}
	if f.Error != "" {
		row("", "error", f.Error)
	}
}

// verifyWords are the results of verification, for people.
var verifyWords = map[analysis.Word]string{
	analysis.WordInEffect: "In effect", analysis.WordNotYet: "Not yet", analysis.WordMissing: "Missing",
	analysis.WordBroken: "Broken", analysis.WordUnknown: "Could not check",
}

// Verification prints one domain: all checks, or only the problems.
func Verification(s Streams, v *analysis.Verification, whole bool) {
	s.Line("%-15s  %s: %s", verifyWords[v.Result], v.Domain, v.Why)
	check := func(c analysis.Check, name string) {
		if whole || c.Result == analysis.CheckFault {
			s.Line("  %-8s %-14s %s", c.Result, name, c.Text)
		}
	}
	if whole && v.Record != "" {
		ttl := ""
		if v.TTL > 0 {
			ttl = fmt.Sprintf("  (TTL %d s)", v.TTL)
		}
		s.Line("  record   %s%s", v.Record, ttl)
	}
	if whole && v.Expected != "" {
		s.Line("  expected %s", v.Expected)
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

func GeneratedRecord(s Streams, r *api.GeneratedRecord) {
	s.Line("TXT record at %s:", r.Name)
	s.Line("  %s", r.Record)
	s.Line("Line of a zone file:")
	s.Line("  %s", r.Zone)
	switch {
	case r.Standing == "":
		s.Line("No record of its own stands.")
	case len(r.Changes) == 0:
		s.Line("It is the record that stands.")
	default:
		s.Line("Against the record that stands:")
		for _, c := range r.Changes {
			if c.Before != "" {
				s.Line("  - %s=%s", c.Tag, c.Before)
			}
			if c.After != "" {
				s.Line("  + %s=%s", c.Tag, c.After)
			}
		}
	}
	if len(r.Authorizations) > 0 {
		s.Line("Hosts of other organizations must ask for the reports, each in its own zone:")
	}
	for _, one := range r.Authorizations {
		s.Line("  %-9s %s", one.State, one.Zone)
	}
	for _, note := range r.Notes {
		s.Line("Note: %s.", strings.TrimSuffix(note, "."))
	}
}

// LookUpRecord requests the record that governs a domain, and writes it.
func LookUpRecord(ctx context.Context, a api.Asker, domain string, asJSON bool, s Streams) error {
	found, err := api.RecordLookup().Ask(ctx, a, api.Lookup{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		err = WriteJSONLine(s, found)
	} else {
		FoundRecord(s, &found)
	}
	switch {
	case err != nil:
		return err
	case found.Record != "":
		return nil
	case found.Result == string(dmarc.TempError):
		return errkind.Wrap(errkind.Trouble, fmt.Errorf("%s: DNS trouble, nothing can be said now", found.Domain))
	}
	return Silent(errkind.NotFound)
}

// VerifyRecords verifies records and writes the results.
func VerifyRecords(ctx context.Context, a api.Asker, request api.VerifyRequest, asJSON bool, s Streams) error {
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
			return WriteJSONLine(s, v)
		}
		Verification(s, v, len(request.Domains) > 0)
		return nil
	})
	switch {
	case err != nil:
		return err
	case bad > 0:
		return Silent(errkind.NotFound)
	case unknown > 0:
		return Silent(errkind.Trouble)
	}
	return nil
}

// GenerateRecords generates records and writes them.
func GenerateRecords(ctx context.Context, a api.Asker, request api.GenerateRequest, asJSON bool, s Streams) error {
	made, err := api.RecordGenerate().Ask(ctx, a, request)
	if err != nil {
		return err
	}
	for i := range made.Records {
		if asJSON {
			if err := WriteJSONLine(s, made.Records[i]); err != nil {
				return err
			}
			continue
		}
		GeneratedRecord(s, &made.Records[i])
	}
	return nil
}
