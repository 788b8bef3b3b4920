package explain

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/policy"
)

// WriteText writes the story for people.
func (s *Story) WriteText(w io.Writer) error {
	p := &page{}
	p.line(s.Headline)
	s.writeMessage(p)
	s.SPF.write(p)
	writeSignatures(p, s.DKIM, s.UncheckedSignatures)
	s.DMARC.write(p)
	if s.ARC != nil {
		s.ARC.write(p)
	}
	s.writeDecisions(p)
	s.writeDone(p)
	s.DNS.write(p)
	writeHeld(p, s.Commands)
	writeHints(p, s.Hints)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page is text in sections of rows.
type page struct{ b strings.Builder }

func (p *page) line(text string) { p.b.WriteString(strings.TrimRight(text, " ") + "\n") }

// section begins a section; word is its result, text what that means.
func (p *page) section(name, word, text string) {
	if word != "" {
		name = fmt.Sprintf("%-8s%s", name, word)
	}
	if text != "" {
		name += ": " + text
	}
	p.line("")
	p.line(name)
}

// row writes a row, unless its text is "".
func (p *page) row(name, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != "" {
		p.line(fmt.Sprintf("  %-14s%s", name, text))
	}
}

// rows writes a row for each text; only the first has the name.
func (p *page) rows(name string, texts []string) {
	for _, text := range texts {
		p.row(name, "%s", text)
		name = ""
	}
}

func (s *Story) writeMessage(p *page) {
	m := &s.Message
	p.section("Message", "", "")
	p.row("time", "%s", m.At.Format("2006-01-02 15:04:05.000 MST"))
	p.row("queue id", "%s", m.QueueID)
	p.row("message-id", "%s", m.MessageID)
	client := m.ClientIP
	if client == "" {
		client = "not known"
	}
	if m.Helo != "" {
		client += ", HELO " + quoted(m.Helo)
	}
	p.row("client", "%s", client)
	sender := m.Sender
	switch {
	case m.NullSender:
		sender = "<> (the null sender)"
	case sender == "":
		sender = "not known"
	}
	p.row("MAIL FROM", "%s", sender)
	from := strings.Join(m.From, ", ")
	if from == "" {
		from = "no domain that can be read"
	}
	p.row("From", "%s", from)
	p.row("recipients", "%s", strings.Join(m.Recipients, ", "))
	if len(m.Recipients) == 0 {
		p.row("to domains", "%s", strings.Join(m.Domains, ", "))
	}
	p.row("MTA", "%s", m.MTA)
	if m.Report {
		p.row("", "it carries a DMARC report, or goes to an address for them: it is in no report itself")
	}
}

func (s *SPF) write(p *page) {
	p.section("SPF", s.Result, s.Means)
	if s.Domain != "" {
		identity := map[string]string{"mailfrom": "MAIL FROM", "helo": "HELO, as the sender is null"}[s.Identity]
		p.row("identity", "%s (%s)", s.Domain, identity)
	}
	p.row("aligned", "%s", s.Aligns)
	domain := ""
	for i, t := range s.Walk {
		if i == 0 || t.Domain != domain {
			name := ""
			if i == 0 {
				name = "walk"
			}
			shown := t.Domain
			if shown == "" {
				shown = "(a name made of the local part)"
			}
			p.row(name, "%s%s", indent(t.Depth), shown)
			domain = t.Domain
		}
		p.row("", "%s  %s", indent(t.Depth), t.text())
	}
	if s.WalkCut {
		p.row("", "... and more terms than are kept")
	}
	if s.Lookups > 0 || s.Voids > 0 {
		p.row("look-ups", "%d of %d, found nothing: %d of %d", s.Lookups, spf.MaxLookups, s.Voids, spf.MaxVoids)
	}
	if s.Explanation != "" {
		p.row("explanation", "%s", quoted(s.Explanation))
	}
	p.row("error", "%s", s.Error)
}

func indent(depth int) string { return strings.Repeat("  ", min(max(depth, 0), spf.MaxLookups)) }

// text is a term with what came of it.
func (t *Term) text() string {
	text := fmt.Sprintf("%-28s %s", t.Term, t.Outcome)
	var more []string
	if t.Result != "" {
		more = append(more, "that record says "+t.Result)
	}
	switch {
	case t.Private && t.Target == "":
		more = append(more, "the name is made of the sender's local part, which is not kept")
	case t.Target != "" && t.Target != t.Domain && !strings.Contains(strings.ToLower(t.Term), t.Target):
		more = append(more, "asked for "+t.Target)
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, "; ") + ")"
	}
	return text
}

// writeSignatures tells those that were checked, and how many were not.
func writeSignatures(p *page, list []DKIM, unassessed int) {
	if len(list)+unassessed == 0 {
		p.section("DKIM", "none", "the message is not signed")
	}
	for i := range list {
		if list[i].Unassessed {
			unassessed++
			continue
		}
		list[i].write(p)
	}
	if unassessed > 0 {
		p.section("DKIM", "policy", fmt.Sprintf("%d more signatures were not checked: limits.signatures", unassessed))
	}
}

func (d *DKIM) write(p *page) {
	p.section("DKIM", d.Result, d.Means)
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"d=", d.Domain}, {"s=", d.Selector}, {"i=", d.Identity}, {"a=", d.Algorithm}, {"b=", d.Signature},
	} {
		if part.value != "" {
			parts = append(parts, part.name+part.value)
		}
	}
	if d.Header != "" {
		parts = append(parts, "c="+d.Header+"/"+d.Body)
	}
	p.row("signature", "%s", strings.Join(parts, " "))
	if d.KeyAt != "" {
		key := d.KeyAt
		if d.KeyBits > 0 {
			key += fmt.Sprintf(", %d bits", d.KeyBits)
		}
		p.row("key", "%s", key)
	}
	p.row("aligned", "%s", d.Aligns)
	p.row("error", "%s", d.Error)
}

func (d *DMARC) write(p *page) {
	p.section("DMARC", d.Result, d.Means)
	name := "walk"
	for _, s := range d.Walk {
		switch {
		case s.Record != "":
			p.row(name, "%s: %s", s.Name, quoted(s.Record))
		case s.Error != "":
			p.row(name, "%s: %s", s.Name, s.Error)
		default:
			p.row(name, "%s: no record", s.Name)
		}
		name = ""
		if s.Record != "" && s.Error != "" {
			p.row("", "  %s", s.Error)
		}
		for _, warning := range s.Warnings {
			p.row("", "  warning: %s", warning)
		}
	}
	how := ""
	if d.PSL {
		how = " (by the public suffix list)"
	}
	if d.OrgDomain != "" {
		p.row("org domain", "%s%s", d.OrgDomain, how)
	}
	p.row("policy", "%s", d.PolicyMeans)
	if d.Record != "" {
		p.row("alignment", "SPF %s, DKIM %s", d.ASPF, d.ADKIM)
	}
	p.row("error", "%s", d.Error)
}

func (a *ARC) write(p *page) {
	p.section("ARC", a.Result, a.Means)
	for _, h := range a.Hops {
		verified := "its message signature verifies"
		if !h.Verified {
			verified = "its message signature does not verify any more, or was not tried"
		}
		p.row(fmt.Sprintf("hop %d", h.Instance), "sealed by d=%s s=%s; %s", h.SealDomain, h.Selector, verified)
		if h.Results != "" {
			p.row("", "says %s", quoted(strings.TrimSpace(h.Results)))
		}
	}
	p.row("error", "%s", a.Error)
}

func (s *Story) writeDecisions(p *page) {
	for i := range s.Domains {
		d := &s.Domains[i]
		who := strings.Join(d.Domains, ", ")
		if who == "" {
			who = "the default settings"
		}
		p.section("Decision", "", d.did()+" for "+who)
		p.row("because", "%s", d.Text)
		p.row("rule", "%s", d.rule())
		if d.Result != "" {
			p.row("DMARC", "%s by the criteria of this domain (%s)", d.Result, d.Criteria)
		} else {
			p.row("DMARC", "not applied")
		}
		p.row("mode", "%s", d.Mode)
		p.row("override", "%s", d.Override)
		if !d.CarriedIt && len(s.Domains) > 1 {
			p.row("", "another decision was carried out")
		}
	}
	if s.Settled != "" {
		p.section("Settled", "", s.Settled)
	}
}

func (d *Domains) did() string {
	if d.Would != d.Action {
		return d.Action + " (mode enforce: " + d.Would + ")"
	}
	return d.Action
}

func (d *Domains) rule() string {
	switch {
	case d.Rule == "":
		return ""
	case d.File == "":
		return d.Rule + " (the built-in default)"
	}
	return fmt.Sprintf("%s at %s:%d", d.Rule, d.File, d.Line)
}

// writeDone tells what became of the message.
func (s *Story) writeDone(p *page) {
	p.section("Done", "", past(policy.Action(s.Action)))
	p.row("reply", "%s", s.Reply)
	if s.Reply == "" {
		p.row("reply", "250, by the MTA")
	}
	p.row("hold", "%s", s.Hold)
	p.row("redirect", "%s", s.Redirect)
	p.row("Subject", "%s", s.tagged())
	p.rows("removed", s.Removed)
	if s.Forged > 0 {
		p.row("forged", "fields that claimed to be ours: %d", s.Forged)
	}
	p.rows("added", s.Added)
}

// tagged tells of the tag before the Subject.
func (s *Story) tagged() string {
	if s.Tag == "" {
		return ""
	}
	return strconv.Quote(s.Tag) + " was put before it"
}

func (d *DNS) write(p *page) {
	p.section("DNS", "", "")
	if d.Missing != "" {
		p.row("", "no answers: %s", d.Missing)
	}
	for i := range d.Answers {
		a := &d.Answers[i]
		took := (time.Duration(a.Took) * time.Microsecond).String()
		if a.Took == 0 {
			took = "cached"
		}
		mark := " "
		if a.Failed {
			mark = "!"
		}
		answer := a.Error
		if answer == "" {
			answer = fmt.Sprintf("%d records", len(a.Records))
			if len(a.Records) == 1 {
				answer = quotedTXT(a.Type, a.Records[0])
			}
		}
		p.line(fmt.Sprintf("%s %-5s %s: %s (%s)", mark, a.Type, a.Name, answer, took))
		if len(a.Records) > 1 {
			for _, r := range a.Records {
				p.line("          " + quotedTXT(a.Type, r))
			}
		}
	}
	if d.Cut {
		p.row("", "more was asked than is kept")
	}
}

func quotedTXT(kind, text string) string {
	if kind == "TXT" {
		return quoted(text)
	}
	return text
}

func writeHeld(p *page, list []Held) {
	for _, h := range list {
		p.section("Held", "", map[string]string{mtaPostfix: "Postfix", mtaSendmail: "Sendmail"}[h.MTA])
		for _, c := range h.Commands {
			p.row(c.Does, "%s", c.Command)
		}
	}
}

func writeHints(p *page, hints []Hint) {
	if len(hints) == 0 {
		return
	}
	p.section("What you can do", "", "")
	for _, h := range hints {
		p.line("  " + h.Text)
		if what := h.Setting + h.Command; what != "" {
			p.line("      " + what)
		}
	}
}
