package report

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Parse reads an aggregate report of RFC 9990, RFC 7489 or one of its drafts. It
// takes what can be understood: any namespace, any order, words in any case,
// faults in numbers and times, broken markup; what it put right it tells in the
// warnings, which come with an error too. A record that cannot be understood is
// left out with a warning of the kind WarnRecord. A report without one good
// record, without a policy domain or a period, a file that ends within a record
// and one over a limit are errors. Entities other than the five of XML are not
// expanded, and a DTD is refused.
//
// All texts are tidied and bounded as WriteXML does it, and domains are in
// A-label form where they are domains.
func Parse(r io.Reader, limits Limits) (*Report, []Warning, error) {
	limits = limits.filled()
	p := &parser{limits: limits, src: newCleaner(r, limits)}
	p.warn.most = limits.Warnings
	p.dec = xml.NewDecoder(p.src)
	p.dec.Strict = false
	p.dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // the cleaner has seen to it
	err := p.document()
	if p.src.odd != "" {
		p.warn.add(WarnCharset, "charset "+shown(p.src.odd)+" is not known, read as UTF-8", 0)
	}
	if p.src.repaired > 0 {
		p.warn.add(WarnMarkup, "octets that are no text or begin no tag were replaced", 0)
	}
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		return nil, p.warn.list(), err
	}
	return &p.report, p.warn.list(), nil
}

// ParseGzip is Parse for a file compressed by gzip. It reads one member and
// leaves what follows it.
func ParseGzip(r io.Reader, limits Limits) (*Report, []Warning, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	z.Multistream(false)
	return Parse(z, limits)
}

// parser walks down the elements, one function for each of them.
type parser struct {
	dec    *xml.Decoder
	src    *cleaner
	limits Limits
	warn   warnings

	open     []xml.Name // elements, their prefixes not resolved
	closing  int        // of these, how many end now
	unclosed bool       // a record was ended by the end of something around it

	report   Report
	prefix   string // of feedback
	space    string // namespace of feedback
	version  bool
	new      bool // it has elements of RFC 9990
	records  int  // met so far
	inRecord bool
}

// document finds feedback and reads it.
func (p *parser) document() error {
	for {
		t, err := p.next()
		if err != nil {
			if errors.Is(err, ErrTruncated) || errors.Is(err, ErrSyntax) {
				return fmt.Errorf("%w: no element feedback", ErrNotReport)
			}
			return err
		}
		if start, ok := t.(xml.StartElement); ok && strings.EqualFold(start.Name.Local, "feedback") {
			p.prefix, p.space = start.Name.Space, declared(start)
			break
		}
	}
	err := p.feedback()
	if errors.Is(err, ErrTruncated) && !p.inRecord && p.records > 0 {
		p.warn.add(WarnTruncated, "the end of the file is missing", 0)
		return nil
	}
	return err
}

// next is the next token of interest: a start, an end or text. It keeps the
// stack of open elements and so gives an end for each start, whatever the file
// does: an end closes what is open within its element, and one of nothing open is
// passed over. The decoder's own repair breaks on namespaces. DTDs are refused.
func (p *parser) next() (xml.Token, error) {
	for {
		if p.closing > 0 {
			return p.pop(), nil
		}
		t, err := p.dec.RawToken()
		if err != nil {
			return nil, p.trouble(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if p.open = append(p.open, t.Name); len(p.open) > p.limits.Depth {
				return nil, fmt.Errorf("%w: elements more than %d deep", ErrTooLarge, p.limits.Depth)
			}
			return t, nil
		case xml.EndElement:
			p.closing = p.within(t.Name)
			if p.closing != 1 {
				p.warn.add(WarnMarkup, "elements that do not match their ends", p.row())
			}
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, fmt.Errorf("%w: it has a DTD", ErrNotReport)
		}
	}
}

// within counts the open elements that an end of that name closes; 0 for none.
func (p *parser) within(name xml.Name) int {
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i].Space == name.Space && strings.EqualFold(p.open[i].Local, name.Local) {
			return len(p.open) - i
		}
	}
	return 0
}

func (p *parser) pop() xml.EndElement {
	p.closing--
	last := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if p.closing > 0 && strings.EqualFold(last.Local, "record") {
		p.unclosed = true
	}
	return xml.EndElement{Name: last}
}

// trouble tells apart: the file ends, the source fails, the file is broken.
func (p *parser) trouble(err error) error {
	switch told := p.src.told; {
	case errors.Is(told, io.EOF):
		return ErrTruncated
	case told != nil:
		return fmt.Errorf("report: reading the file: %w", told)
	}
	return fmt.Errorf("%w: %s", ErrSyntax, shown(err.Error()))
}

// feedback reads the root. An element that is not known is entered, not
// skipped: some reports wrap theirs, or leave one open.
func (p *parser) feedback() error {
	base := len(p.open)
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			if len(p.open) < base {
				return nil
			}
		case xml.StartElement:
			if err := p.section(t); err != nil {
				return err
			}
		}
	}
}

func (p *parser) section(t xml.StartElement) error {
	if p.foreign(t) {
		return p.skip()
	}
	switch lower(t.Name.Local) {
	case "version":
		text, err := p.text()
		p.version = text != ""
		return err
	case "report_metadata":
		return p.metadata()
	case "policy_published":
		return p.policy()
	case "record":
		return p.record()
	case "extension":
		return p.skip()
	}
	return nil
}

// foreign tells elements of an extension (RFC 9990 section 5). Outside the
// namespace of RFC 9990 nothing can be told from it.
func (p *parser) foreign(t xml.StartElement) bool {
	if p.space != namespace {
		return false
	}
	if t.Name.Space != p.prefix {
		return true
	}
	space := declared(t)
	return space != "" && space != namespace
}

// declared is the namespace that an element declares for itself; "" for none.
func declared(t xml.StartElement) string {
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" && a.Name.Local == t.Name.Space || a.Name.Space == "" && a.Name.Local == "xmlns" && t.Name.Space == "" {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// children calls each for every element within the present one, by its name in
// lower case; each must read it to its end.
func (p *parser) children(each func(name string) error) error {
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if p.foreign(t) {
				err = p.skip()
			} else {
				err = each(lower(t.Name.Local))
			}
			if err != nil {
				return err
			}
		}
	}
}

func (p *parser) skip() error {
	for base := len(p.open); len(p.open) >= base; {
		if _, err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// text is all text within the present element, tidied.
func (p *parser) text() (string, error) {
	var first string
	var more []byte
	for base := len(p.open); len(p.open) >= base; {
		t, err := p.next()
		if err != nil {
			return "", err
		}
		data, ok := t.(xml.CharData)
		switch {
		case !ok:
		case first == "" && more == nil:
			first = string(data)
		default:
			if more == nil {
				more = []byte(first)
			}
			more = append(more, data...)
			if len(more) > p.limits.Text {
				return "", fmt.Errorf("%w: a text of over %d octets", ErrTooLarge, p.limits.Text)
			}
		}
	}
	if more != nil {
		first = string(more)
	}
	return tidy(first, p.limits.Text), nil
}

// into reads the text of an element, of at most so many octets.
func (p *parser) into(to *string, most int) error {
	text, err := p.text()
	if err != nil {
		return err
	}
	if len(text) > most {
		p.warn.add(WarnCut, "a text of over "+fmt.Sprint(most)+" octets was cut", p.row())
		text = tidy(text, most)
	}
	*to = text
	return nil
}

// row is the number of the record being read, 0 outside.
func (p *parser) row() int {
	if p.inRecord {
		return p.records
	}
	return 0
}

// lower avoids allocating for names that are lower-case, as most are.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return strings.ToLower(s)
		}
	}
	return s
}

// shown is a piece of the file for a warning or an error.
func shown(s string) string {
	const most = 60
	if cut := tidy(s, most); len(cut) < len(s) {
		return fmt.Sprintf("%q…", cut)
	}
	return fmt.Sprintf("%q", s)
}
