package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The words of the head, the absent one first.
var (
	discoveries    = [...]Discovery{"", DiscoveryPSL, DiscoveryTreeWalk}
	policies       = [...]Policy{"", PolicyNone, PolicyQuarantine, PolicyReject}
	alignmentModes = [...]AlignmentMode{"", ModeRelaxed, ModeStrict}
)

// maxKept is the longest free text that is kept, in octets.
const maxKept = 2048

func (p *parser) metadata(name string) error {
	m := &p.out.Metadata
	switch name {
	case "org_name":
		return p.into(&m.OrgName, maxKept)
	case "email":
		return p.into(&m.Email, maxKept)
	case "extra_contact_info":
		return p.into(&m.ExtraContact, maxKept)
	case "report_id":
		return p.into(&m.ReportID, maxKept)
	case "date_range":
		return p.children(p.dateRange)
	case "error":
		return p.metadataError()
	case "generator":
		p.new = true
		return p.into(&m.Generator, maxName)
	}
	return p.skip()
}

// metadataError joins several errors, which RFC 7489 allowed.
func (p *parser) metadataError() error {
	var text string
	if err := p.into(&text, maxKept); err != nil || text == "" {
		return err
	}
	m := &p.out.Metadata
	if m.Error != "" {
		if p.out.Namespace == namespace {
			p.note(Note{Kind: NoteExtra, Where: "error"})
		}
		text = m.Error + "; " + text
	}
	m.Error = strings.ToValidUTF8(text[:min(len(text), maxKept)], "")
	return nil
}

func (p *parser) dateRange(name string) error {
	switch name {
	case "begin":
		return p.time(&p.out.Metadata.Begin)
	case "end":
		return p.time(&p.out.Metadata.End)
	}
	return p.skip()
}

// time reads seconds since 1970. Some reporters send fractions, milliseconds or written
// dates.
func (p *parser) time(to *time.Time) error {
	where := p.where()
	b, err := p.text()
	if err != nil || len(b) == 0 {
		return err
	}
	const (
		milliseconds = 1e11         // seconds beyond it are in the year 5138
		latest       = 253402300799 // the end of the year 9999
	)
	v, exact := number(string(b))
	switch {
	case v > milliseconds && v/1000 <= latest:
		v /= 1000
		exact = false
	case v < 0 || v > latest:
		p.writtenTime(where, b, to)
		return nil
	}
	*to = time.Unix(int64(v), 0).UTC()
	if !exact {
		p.odd(NoteTime, where, b, to.Format(time.RFC3339))
	}
	return nil
}

func (p *parser) writtenTime(where place, b []byte, to *time.Time) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, string(b)); err == nil && t.Year() >= 1970 {
			*to = t.UTC()
			p.odd(NoteTime, where, b, to.Format(time.RFC3339))
			return
		}
	}
	p.odd(NoteTime, where, b, "")
}

// number parses a whole number and reports whether it was written as one. A negative result
// means that it is not a number.
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

func (p *parser) policy(name string) error {
	pol := &p.out.Policy
	switch name {
	case "domain":
		return p.domain(&pol.Domain)
	case "discovery_method":
		p.new = true
		return oneWord(p, &pol.Discovery, discoveries[:], nil)
	case "p":
		return oneWord(p, &pol.P, policies[:], nil)
	case "sp":
		return oneWord(p, &pol.SP, policies[:], nil)
	case "np":
		return oneWord(p, &pol.NP, policies[:], nil)
	case "adkim":
		return p.alignment(&pol.ADKIM)
	case "aspf":
		return p.alignment(&pol.ASPF)
	case "fo":
		return p.into(&pol.FO, maxName)
	case "pct":
		return p.into(&p.out.PCT, maxName)
	case "testing":
		p.new = true
		var text string
		err := p.into(&text, maxName)
		pol.Testing = strings.HasPrefix(strings.ToLower(text), "y")
		return err
	}
	return p.skip()
}

func (p *parser) alignment(to *AlignmentMode) error {
	return oneWord(p, to, alignmentModes[:], func(s string) AlignmentMode {
		switch s {
		case "relaxed":
			return ModeRelaxed
		case "strict":
			return ModeStrict
		}
		return ""
	})
}

// finish checks the required values, and fills in missing ones if possible.
func (p *parser) finish() error {
	r := &p.out
	p.setDialect()
	for _, v := range []struct{ name, text string }{{"org_name", r.Metadata.OrgName}, {"report_id", r.Metadata.ReportID}, {"p", string(r.Policy.P)}} {
		if v.text == "" {
			p.note(Note{Kind: NoteMissing, Where: v.name})
		}
	}
	if err := p.period(); err != nil {
		return err
	}
	if r.Policy.Domain == "" {
		return fmt.Errorf("%w: no policy domain", ErrIncomplete)
	}
	if r.Records == 0 && r.Quarantined > 0 {
		return fmt.Errorf("%w: the first of %d that cannot be read: %s", ErrNoRows, r.Quarantined, r.Faults[0].Why)
	}
	return nil
}

func (p *parser) setDialect() {
	switch {
	case p.out.Namespace == namespace, p.new:
		p.out.Dialect = DialectRFC9990
		if p.out.Namespace != namespace {
			p.note(Note{Kind: NoteNamespace})
		}
	case p.out.Version != "":
		p.out.Dialect = DialectRFC7489
	default:
		p.out.Dialect = DialectDraft
	}
}

// Periods that cause a note: longer than the day that RFC 9990 section 3.1.1.4 intends, with
// an hour for clock changes, and longer than the maximum spread over days.
const (
	longPeriod = 25 * time.Hour
	MaxSpread  = 31 * 24 * time.Hour
)

func (p *parser) period() error {
	m := &p.out.Metadata
	odd := func(how string) { p.note(Note{Kind: NotePeriod, Value: how}) }
	switch {
	case m.Begin.IsZero() && m.End.IsZero():
		return fmt.Errorf("%w: no date_range", ErrIncomplete)
	case m.Begin.IsZero():
		odd("no begin; the end stands for it")
		m.Begin = m.End
	case m.End.IsZero():
		odd("no end; the begin stands for it")
		m.End = m.Begin
	case m.End.Before(m.Begin):
		odd("the end is before the begin; they were changed over")
		m.Begin, m.End = m.End, m.Begin
	}
	switch long := m.End.Sub(m.Begin); {
	case long > MaxSpread:
		odd("the period is longer than 31 days, and not spread")
	case long > longPeriod:
		odd("the period is longer than a day")
	}
	return nil
}
