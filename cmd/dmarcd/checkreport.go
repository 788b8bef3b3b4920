package main

import (
	"fmt"
	"io"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// checkReport is what `dmarcd check` tells, as JSON or as text.
type checkReport struct {
	SPF           spfReport    `json:"spf"`
	DKIM          []dkimReport `json:"dkim"`
	DMARC         dmarcReport  `json:"dmarc"`
	Decision      string       `json:"decision"`       // the action that would be taken
	Left          string       `json:"left,omitempty"` // why the message would be left alone; then nothing was checked
	Domains       []domainPart `json:"domains"`
	Reply         string       `json:"reply,omitempty"`
	Hold          string       `json:"hold,omitempty"`     // what the MTA's queue would show; "" if it would not be held
	Redirect      string       `json:"redirect,omitempty"` // where it would go instead
	Change        []string     `json:"change,omitempty"`   // header fields that would get another value
	Add           []string     `json:"add"`                // header fields that would be added, topmost first, unfolded
	Remove        []string     `json:"remove"`             // forged fields that would be removed, as NAME[INDEX]
	SecondOpinion []string     `json:"second_opinion,omitempty"`
}

type spfReport struct {
	Result      string   `json:"result"`
	Domain      string   `json:"domain,omitempty"`
	Identity    string   `json:"identity"` // mailfrom or helo
	Mechanism   string   `json:"mechanism,omitempty"`
	Chain       []string `json:"chain,omitempty"`
	Lookups     int      `json:"lookups"`
	Voids       int      `json:"void_lookups"`
	Explanation string   `json:"explanation,omitempty"`
	Aligned     string   `json:"aligned,omitempty"`
	Error       string   `json:"error,omitempty"`
}

type dkimReport struct {
	Result    string `json:"result"`
	Domain    string `json:"domain,omitempty"`
	Selector  string `json:"selector,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	KeyBits   int    `json:"key_bits,omitempty"`
	Aligned   string `json:"aligned,omitempty"`
	Error     string `json:"error,omitempty"`
}

type dmarcReport struct {
	Result       string       `json:"result"`
	From         []string     `json:"from"`
	OrgDomain    string       `json:"org_domain,omitempty"`
	PolicyDomain string       `json:"policy_domain,omitempty"`
	Record       string       `json:"record,omitempty"`
	Warnings     []string     `json:"warnings,omitempty"`
	Tag          string       `json:"tag,omitempty"` // p, sp or np
	Requested    string       `json:"requested,omitempty"`
	Policy       string       `json:"policy,omitempty"` // after t=y
	Walk         []stepReport `json:"walk,omitempty"`
	Error        string       `json:"error,omitempty"`
}

type stepReport struct {
	Name   string `json:"name"`
	Record string `json:"record,omitempty"`
	Error  string `json:"error,omitempty"`
}

type domainPart struct {
	Domains []string `json:"domains"` // empty: the default settings
	Action  string   `json:"action"`
	Status  string   `json:"status,omitempty"` // by the criteria in force
	Reason  string   `json:"reason"`
	Rule    string   `json:"rule,omitempty"`
	Place   string   `json:"place,omitempty"` // file:line of the entry
	Mode    string   `json:"mode"`
}

func newCheckReport(config *settings.Settings, o *filter.Outcome) *checkReport {
	r := &checkReport{
		SPF:      newSPFReport(&o.Verdict),
		DKIM:     newDKIMReports(&o.Verdict),
		DMARC:    newDMARCReport(&o.Verdict.DMARC),
		Decision: string(o.Decision.Would),
		Left:     string(o.Bypassed),
		Hold:     o.QuarantineReason(),
		Redirect: o.Redirect,
		Add:      []string{},
		Remove:   []string{},
	}
	for _, n := range o.Verdict.Authors {
		r.DMARC.From = append(r.DMARC.From, n.String())
	}
	for _, d := range o.Domains {
		r.Domains = append(r.Domains, newDomainPart(config, d))
	}
	if reply := o.Decision.Reply; reply.Code != 0 {
		r.Reply = fmt.Sprintf("%d %s %s", reply.Code, reply.Enhanced, reply.Text)
	}
	for _, f := range o.Change {
		r.Change = append(r.Change, f.Name+":"+unfold(f.Value))
	}
	for _, f := range o.Insert {
		r.Add = append([]string{f.Name + ":" + unfold(f.Value)}, r.Add...)
	}
	for _, f := range o.Remove {
		r.Remove = append(r.Remove, fmt.Sprintf("%s[%d]", f.Name, f.Index))
	}
	return r
}

func unfold(value string) string { return strings.ReplaceAll(value, "\r\n", "") }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func newSPFReport(v *policy.Verdict) spfReport {
	return spfReport{
		Result: string(v.SPF.Status), Domain: v.SPF.Domain.String(), Identity: string(v.SPF.Scope),
		Mechanism: v.SPF.Mechanism, Chain: v.SPF.Chain, Lookups: v.SPF.Lookups, Voids: v.SPF.Voids,
		Explanation: v.SPF.Explanation, Aligned: string(v.SPFAlignment), Error: errorText(v.SPF.Err),
	}
}

func newDKIMReports(v *policy.Verdict) []dkimReport {
	out := []dkimReport{}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		d := dkimReport{
			Result: string(s.Status), Domain: s.Domain.String(), Selector: s.Selector,
			Algorithm: s.Algorithm, KeyBits: s.KeyBits, Error: errorText(s.Err),
		}
		if i < len(v.DKIMAlignments) {
			d.Aligned = string(v.DKIMAlignments[i])
		}
		out = append(out, d)
	}
	return out
}

func newDMARCReport(d *dmarc.Result) dmarcReport {
	r := dmarcReport{
		Result: string(d.Status), From: []string{}, OrgDomain: d.OrgDomain.String(), PolicyDomain: d.PolicyDomain.String(),
		Tag: d.Source, Requested: string(d.Requested), Policy: string(d.Policy), Error: errorText(d.Err),
	}
	if d.Record != nil {
		r.Record, r.Warnings = d.Record.Text, d.Record.Warnings
	}
	for _, s := range d.Walk {
		r.Walk = append(r.Walk, stepReport{Name: "_dmarc." + s.Name.String(), Record: s.Text, Error: errorText(s.Err)})
	}
	return r
}

func newDomainPart(config *settings.Settings, d filter.DomainDecision) domainPart {
	p := domainPart{
		Domains: []string{}, Action: string(d.Decision.Would), Status: string(d.Decision.Status),
		Reason: string(d.Decision.Reason), Rule: d.Decision.Rule, Mode: string(d.Rules.Mode),
	}
	for _, n := range d.Domains {
		if !n.IsZero() {
			p.Domains = append(p.Domains, n.String())
		}
	}
	if at := config.Policy.PlaceOf(d.Domains[0]); at.File != "" {
		p.Place = fmt.Sprintf("%s:%d", at.File, at.Line)
	}
	return p
}

// print writes the report for people. Values from the network are quoted where
// they may hold anything.
func (r *checkReport) print(w io.Writer) {
	if r.Left != "" {
		row(w, "Decision", r.Decision, leftText(policy.Reason(r.Left)))
	} else {
		r.printVerdict(w)
	}
	for _, d := range r.Domains {
		d.print(w)
	}
	if r.Reply != "" {
		row(w, "Reply", "", r.Reply)
	}
	if r.Hold != "" {
		row(w, "Hold", "", r.Hold)
	}
	if r.Redirect != "" {
		row(w, "Redirect", "", r.Redirect)
	}
	for _, f := range r.Remove {
		row(w, "Remove", "", f+" (forged: it claims to be ours)")
	}
	for _, f := range r.Change {
		row(w, "Change", "", f)
	}
	for _, f := range r.Add {
		row(w, "Add", "", f)
	}
	for _, line := range r.SecondOpinion {
		row(w, "Second", "", line)
	}
}

// printVerdict writes what the checks found.
func (r *checkReport) printVerdict(w io.Writer) {
	r.SPF.print(w)
	if len(r.DKIM) == 0 {
		row(w, "DKIM", "none", "the message is not signed")
	}
	for _, d := range r.DKIM {
		d.print(w)
	}
	r.DMARC.print(w)
}

// leftText says in words why a message is left alone.
func leftText(reason policy.Reason) string {
	text := string(reason)
	switch reason {
	case policy.ReasonNotOurs:
		text += `: no recipient is ours (neither below "domains" nor in "managed")`
	case policy.ReasonTrusted:
		text += `: the client is in "trusted_networks"`
	}
	return text + "; the mail is left alone"
}

// report is what a command tells: as text by print, as JSON by its fields.
type report interface{ print(w io.Writer) }

// writeReport writes a report in the form that was asked for.
func writeReport(s streams, r report, asJSON bool) error {
	if !asJSON {
		r.print(s.out)
		return nil
	}
	if err := s.json().Encode(r); err != nil {
		return troubleError(err)
	}
	return nil
}

// row writes one line of three columns; the middle one may be empty.
func row(w io.Writer, name, word, text string) {
	if word != "" {
		word = fmt.Sprintf("%-11s ", word)
	}
	fmt.Fprintf(w, "%-9s %s%s\n", name, word, text)
}

func (s spfReport) print(w io.Writer) {
	parts := []string{}
	if s.Domain != "" {
		parts = append(parts, fmt.Sprintf("%s (%s)", s.Domain, s.Identity))
	}
	if s.Mechanism != "" {
		parts = append(parts, fmt.Sprintf("matched %q", s.Mechanism))
	}
	if len(s.Chain) > 1 {
		parts = append(parts, "by way of "+strings.Join(s.Chain[1:], " > "))
	}
	parts = append(parts, fmt.Sprintf("%d of 10 look-ups", s.Lookups))
	if s.Aligned != "" {
		parts = append(parts, s.Aligned)
	}
	if s.Explanation != "" {
		parts = append(parts, fmt.Sprintf("explanation %q", s.Explanation))
	}
	if s.Error != "" {
		parts = append(parts, s.Error)
	}
	row(w, "SPF", s.Result, strings.Join(parts, ", "))
}

func (d dkimReport) print(w io.Writer) {
	parts := []string{}
	for _, p := range []struct{ name, value string }{{"d=", d.Domain}, {"s=", d.Selector}, {"", d.Algorithm}} {
		if p.value != "" {
			parts = append(parts, p.name+p.value)
		}
	}
	if d.KeyBits > 0 {
		parts = append(parts, fmt.Sprintf("%d bits", d.KeyBits))
	}
	if d.Aligned != "" {
		parts = append(parts, d.Aligned)
	}
	if d.Error != "" {
		parts = append(parts, d.Error)
	}
	row(w, "DKIM", d.Result, strings.Join(parts, ", "))
}

func (d dmarcReport) print(w io.Writer) {
	from := "no readable From domain"
	if len(d.From) > 0 {
		from = "From " + strings.Join(d.From, ", ")
	}
	row(w, "DMARC", d.Result, from)
	if d.Record != "" {
		text := fmt.Sprintf("%q at %s: %s=%s", d.Record, d.PolicyDomain, d.Tag, d.Requested)
		if d.Policy != d.Requested {
			text += ", lowered to " + d.Policy + " by t=y"
		}
		row(w, "", "record", text)
	}
	for _, warning := range d.Warnings {
		row(w, "", "warning", warning)
	}
	for _, s := range d.Walk {
		row(w, "", "walk", s.String())
	}
	if d.OrgDomain != "" {
		row(w, "", "org domain", d.OrgDomain)
	}
	if d.Error != "" {
		row(w, "", "error", d.Error)
	}
}

// String is one step of a tree walk for people.
func (s stepReport) String() string {
	switch {
	case s.Error != "":
		return s.Name + ": " + s.Error
	case s.Record != "":
		return fmt.Sprintf("%s: %q", s.Name, s.Record)
	}
	return s.Name + ": no record"
}

func (d domainPart) print(w io.Writer) {
	who := "default settings"
	if len(d.Domains) > 0 {
		who = strings.Join(d.Domains, ", ")
	}
	text := fmt.Sprintf("for %s: %s", who, d.Reason)
	if d.Rule != "" {
		text += ", by " + d.Rule
	}
	if d.Place != "" {
		text += " (" + d.Place + ")"
	}
	if d.Mode == string(policy.Monitor) {
		text += "; mode monitor only watches"
	}
	row(w, "Decision", d.Action, text)
}
