package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
)

// The words of the head, the absent one first.
var (
	discoveries = [...]Discovery{"", DiscoveryPSL, DiscoveryTreeWalk}
	policies    = [...]Policy{"", PolicyNone, PolicyQuarantine, PolicyReject}
	alignments  = [...]Alignment{"", AlignmentRelaxed, AlignmentStrict}
)

func (p *parser) metadata() error {
	m := &p.report.Metadata
	return p.children(func(name string) error {
		switch name {
		case "org_name":
			return p.into(&m.OrgName, maxContact)
		case "email":
			return p.into(&m.Email, maxContact)
		case "extra_contact_info":
			return p.into(&m.ExtraContact, maxComment)
		case "report_id":
			err := p.into(&m.ReportID, maxContact)
			m.ReportID = strings.TrimSpace(strings.Trim(m.ReportID, "<>"))
			return err
		case "date_range":
			return p.dateRange()
		case "error":
			return p.metadataError()
		case "generator":
			p.new = true
			return p.into(&m.Generator, maxName)
		}
		return p.skip()
	})
}

// metadataError joins several errors, which RFC 7489 allowed.
func (p *parser) metadataError() error {
	var text string
	if err := p.into(&text, maxError); err != nil || text == "" {
		return err
	}
	m := &p.report.Metadata
	if m.Error != "" {
		if p.space == namespace {
			p.warn.add(WarnExtra, "several elements error", 0)
		}
		text = m.Error + "; " + text
	}
	m.Error = tidy(text, maxError)
	return nil
}

func (p *parser) dateRange() error {
	m := &p.report.Metadata
	return p.children(func(name string) error {
		switch name {
		case "begin":
			return p.time(&m.Begin)
		case "end":
			return p.time(&m.End)
		}
		return p.skip()
	})
}

// time reads seconds since 1970. Fractions, milliseconds and written dates are
// seen in the wild.
func (p *parser) time(to *time.Time) error {
	text, err := p.text()
	if err != nil || text == "" {
		return err
	}
	const (
		milliseconds = 1e11         // seconds beyond it are in the year 5138
		latest       = 253402300799 // the end of the year 9999
	)
	v, exact := number(text)
	switch {
	case v > milliseconds && v/1000 <= latest:
		v /= 1000
		exact = false
	case v < 0 || v > latest:
		return p.writtenTime(text, to)
	}
	if !exact {
		p.warn.add(WarnTime, "time written as "+shown(text), 0)
	}
	*to = time.Unix(int64(v), 0).UTC()
	return nil
}

func (p *parser) writtenTime(text string, to *time.Time) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			p.warn.add(WarnTime, "time written as "+shown(text), 0)
			*to = t.UTC()
			return nil
		}
	}
	p.warn.add(WarnTime, shown(text)+" is no time", 0)
	return nil
}

// number reads a whole number, and says whether it was written as one. A
// negative result means that it is none.
func number(s string) (v float64, exact bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return float64(n), true
	}
	const longest = 40
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || len(s) > longest || math.IsNaN(f) || f < 0 || f > 1<<60 {
		return -1, false
	}
	return math.Trunc(f), false
}

func (p *parser) policy() error {
	pol := &p.report.Policy
	return p.children(func(name string) error {
		switch name {
		case "domain":
			return p.domain(&pol.Domain)
		case "discovery_method":
			p.new = true
			return oneWord(p, &pol.Discovery, discoveries[:], nil)
		case "p":
			return p.policyWord(&pol.P)
		case "sp":
			return p.policyWord(&pol.SP)
		case "np":
			return p.policyWord(&pol.NP)
		case "adkim":
			return p.alignment(&pol.ADKIM)
		case "aspf":
			return p.alignment(&pol.ASPF)
		case "fo":
			return p.into(&pol.FO, maxName)
		case "testing":
			p.new = true
			text, err := p.text()
			pol.Testing = strings.HasPrefix(strings.ToLower(text), "y")
			return err
		}
		return p.skip() // pct of RFC 7489 among them: it has no effect any more
	})
}

func (p *parser) policyWord(to *Policy) error {
	return oneWord(p, to, policies[:], nil)
}

func (p *parser) alignment(to *Alignment) error {
	return oneWord(p, to, alignments[:], func(s string) Alignment {
		switch s {
		case "relaxed":
			return AlignmentRelaxed
		case "strict":
			return AlignmentStrict
		}
		return ""
	})
}

// oneWord reads one word of a list. An empty element is an absent one. A word in
// other letters is told and taken; another is told, and translated by odd, which
// may be nil and gives "" for what it does not know.
func oneWord[W ~string](p *parser, to *W, list []W, odd func(string) W) error {
	text, err := p.text()
	if err != nil || text == "" {
		return err
	}
	if i := code(list, W(text)); i > 0 {
		*to = list[i]
		return nil
	}
	small := strings.ToLower(text)
	*to = list[code(list, W(small))]
	if *to == "" && odd != nil {
		*to = odd(small)
	}
	p.oddWord(text, string(*to))
	return nil
}

func (p *parser) oddWord(text, as string) {
	if as == "" {
		as = "nothing"
	}
	p.warn.add(WarnWord, shown(text)+" is read as "+as, p.row())
}

// domain reads a domain into its A-label form.
func (p *parser) domain(to *string) error {
	var text string
	if err := p.into(&text, maxName); err != nil || text == "" {
		return err
	}
	n, err := dns.Parse(text)
	if err != nil {
		p.warn.add(WarnDomain, shown(text)+" is no domain", p.row())
		*to = strings.ToLower(text)
		if cut := tidy(*to, maxName); cut != *to { // some letters grow
			*to = cut
		}
		return nil
	}
	*to = n.String()
	return nil
}

// finish checks what a report cannot do without, and fills in what it can.
func (p *parser) finish() error {
	r := &p.report
	p.setDialect()
	for _, v := range []struct{ name, text string }{{"org_name", r.Metadata.OrgName}, {"report_id", r.Metadata.ReportID}, {"p", string(r.Policy.P)}} {
		if v.text == "" {
			p.warn.add(WarnMissing, "no "+v.name, 0)
		}
	}
	if err := p.period(); err != nil {
		return err
	}
	if r.Policy.Domain == "" {
		return fmt.Errorf("%w: no policy domain", ErrIncomplete)
	}
	if len(r.Rows) == 0 {
		return ErrNoRows
	}
	for i := range r.Rows {
		if r.Rows[i].HeaderFrom == "" {
			r.Rows[i].HeaderFrom = r.Policy.Domain
		}
	}
	return nil
}

func (p *parser) setDialect() {
	switch {
	case p.space == namespace, p.new:
		p.report.Dialect = DialectRFC9990
		if p.space != namespace {
			p.warn.add(WarnNamespace, "it has elements of RFC 9990, but not its namespace", 0)
		}
	case p.version:
		p.report.Dialect = DialectRFC7489
	default:
		p.report.Dialect = DialectDraft
	}
}

func (p *parser) period() error {
	m := &p.report.Metadata
	switch {
	case m.Begin.IsZero() && m.End.IsZero():
		return fmt.Errorf("%w: no date_range", ErrIncomplete)
	case m.Begin.IsZero():
		p.warn.add(WarnTime, "no begin; the end stands for it", 0)
		m.Begin = m.End
	case m.End.IsZero():
		p.warn.add(WarnTime, "no end; the begin stands for it", 0)
		m.End = m.Begin
	case m.End.Before(m.Begin):
		p.warn.add(WarnTime, "the end is before the begin; they were changed over", 0)
		m.Begin, m.End = m.End, m.Begin
	}
	return nil
}
