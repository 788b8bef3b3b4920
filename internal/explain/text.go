package explain

import (
	"io"
	"strings"

	"dmarcd/internal/policy"
	"dmarcd/internal/text"
)

// WriteText writes the explanation for people, each line safe for a terminal.
func (e *Explanation) WriteText(w io.Writer) error {
	p := &page{Language: e.Language.orEnglish()}
	p.line(e.Headline)
	e.writeMessage(p)
	if !e.Bypassed {
		e.SPF.write(p)
		writeSignatures(p, e.DKIM, e.UncheckedSignatures)
		e.DMARC.write(p)
		if e.ARC != nil {
			e.ARC.write(p)
		}
		e.writeDecisions(p)
	}
	e.writeDone(p)
	e.DNS.write(p)
	writeHeld(p, e.Commands)
	writeHints(p, e.Hints)
	if e.TellSender != "" {
		p.section(p.say(labelTell), "", "")
		for _, line := range text.Wrap(e.TellSender, text.Terminal-4) {
			p.line("  " + line)
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// Bounds on what the text form shows of foreign text.
const (
	maxLine = 2500 // octets
	maxRows = 100  // of one list
)

// page is text in sections of rows.
type page struct {
	Language
	b strings.Builder
}

// line writes one line: the place where text leaves.
func (p *page) line(words string) {
	p.b.WriteString(strings.TrimRight(text.Line(words, maxLine), " ") + "\n")
}

// section begins a section; word is its result, means explains it.
func (p *page) section(name, word, means string) {
	if word != "" {
		name = pad(name, 8) + word
	}
	if means != "" {
		name += ": " + means
	}
	p.line("")
	p.line(name)
}

// row writes a row, unless its words are "".
func (p *page) row(name, words string) {
	if words != "" {
		p.line("  " + pad(name, 14) + words)
	}
}

// labelled is row with a label of the table.
func (p *page) labelled(name phrase, words string) { p.row(p.say(name), words) }

// rows writes a row for each text; only the first has the name.
func (p *page) rows(name phrase, words []string) {
	label := p.say(name)
	for i, one := range words {
		if i == maxRows {
			p.row("", p.say(moreOmitted, len(words)-i))
			break
		}
		p.row(label, one)
		label = ""
	}
}

// pad fills s up to a width.
func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-text.Width(s))) }

// quoted is foreign text in quotes.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func (e *Explanation) writeMessage(p *page) {
	m := &e.Message
	p.section(p.say(labelMessage), "", "")
	if !e.Offline {
		p.labelled(labelTime, m.At.Format("2006-01-02 15:04:05.000 MST"))
	}
	p.labelled(labelQueueID, m.QueueID)
	p.labelled(labelMessageID, m.MessageID)
	client := m.Client
	if client == "" {
		client = p.say(textUnknown)
	}
	if m.Helo != "" {
		client = p.say(textHelo, client, quoted(m.Helo))
	}
	p.labelled(labelClient, client)
	sender := m.MailFrom
	switch sender {
	case nullSender:
		sender = p.say(textNullSender)
	case "":
		sender = p.say(textUnknown)
	}
	p.row("MAIL FROM", sender)
	if !e.Bypassed {
		from := strings.Join(m.From, ", ")
		if from == "" {
			from = p.say(textNoFrom)
		}
		p.row("From", from)
	}
	p.labelled(labelRecipients, shortList(p, m.Recipients))
	if len(m.Recipients) == 0 {
		p.labelled(labelRcpt, shortList(p, m.Rcpt))
	}
	p.row("MTA", m.MTA)
	if m.Report {
		p.row("", p.say(textReport))
	}
}

// shortList joins the first maxRows items of a list, and says how many more there are.
func shortList(p *page, list []string) string {
	if len(list) <= maxRows {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:maxRows], ", ") + " " + p.say(moreOmitted, len(list)-maxRows)
}

func (e *Explanation) writeDecisions(p *page) {
	for i := range e.Decisions {
		d := &e.Decisions[i]
		who := strings.Join(d.Domains, ", ")
		if who == "" {
			who = p.say(textDefaults)
		}
		did := d.Action
		if d.Would != d.Action {
			did = p.say(textEnforce, did, d.Would)
		}
		p.section(p.say(labelDecision), "", p.say(textDecided, did, who))
		p.labelled(labelBecause, d.Text)
		p.labelled(labelRule, p.place(d.Rule, d.File, d.Line))
		p.row("", d.LineText)
		result := p.say(textNotApplied)
		if d.Result != "" {
			result = p.say(textByCriteria, d.Result, d.Criteria)
		}
		p.row("DMARC", result)
		if d.Ended != nil {
			p.labelled(labelEnded, p.say(textEnded, d.Ended.Rule, d.Ended.Until))
		}
		p.labelled(labelMode, d.Mode)
		p.labelled(labelOverride, d.Override)
		if !d.Carried && len(e.Decisions) > 1 {
			p.row("", p.say(textOther))
		}
	}
	if e.Mixed != "" {
		p.section(p.say(labelMixed), "", e.Mixed)
	}
}

// writeDone writes what happened, or would have happened, to the message.
func (e *Explanation) writeDone(p *page) {
	name, what := labelDone, p.past(policy.Action(e.Action))
	if e.Offline {
		name, what = labelWouldDo, e.Action
	}
	p.section(p.say(name), "", what)
	p.labelled(labelReply, e.Reply)
	if e.Reply == "" {
		p.labelled(labelReply, p.say(textAcceptedBy))
	}
	p.labelled(labelHold, e.Hold)
	p.labelled(labelRedirect, e.Redirect)
	if e.Tag != "" && len(e.Changed) == 0 {
		p.labelled(labelSubject, p.say(textTagged, e.Tag))
	}
	p.rows(labelRemoved, e.Removed)
	if e.Forged > 0 {
		p.labelled(labelForged, p.say(textForged, e.Forged))
	}
	p.rows(labelChanged, e.Changed)
	p.rows(labelAdded, e.Added)
}

func writeHeld(p *page, list []Held) {
	for _, h := range list {
		p.section(p.say(labelHeld), "", map[string]string{mtaPostfix: "Postfix", mtaSendmail: "Sendmail"}[h.MTA])
		for _, c := range h.Commands {
			p.labelled(map[string]phrase{doesList: labelList, doesRead: labelRead, doesRelease: labelRelease, doesDelete: labelDelete}[c.Does], c.Command)
		}
	}
}

func writeHints(p *page, hints []Hint) {
	if len(hints) == 0 {
		return
	}
	p.section(p.say(labelHints), "", "")
	for _, h := range hints {
		p.line("  " + h.Text)
		if what := h.Setting + h.Command; what != "" {
			p.line("      " + what)
		}
	}
}
