package report

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Parse reads an aggregate report of RFC 9990, RFC 7489 or one of its drafts and
// gives each record to yield as it comes, with what was read before it, so that
// memory stays flat. An error of yield ends the reading and is returned as it is.
// yield may be nil; a record is the receiver's to keep.
//
// It takes what can be understood: any namespace, any order, words in any case,
// faults in numbers and times, broken markup. What it put right it tells in the
// notes, and a value that was read as another is kept beside it. A record that
// cannot be understood is quarantined alone. A report without mail has no record
// and is no error. A report all of whose records are quarantined, one without a
// policy domain or a period, a file that ends within a record and one over a
// limit are errors; then Received holds what was read until there, and what was
// yielded is of no use. Entities but those of HTML are not expanded, and a DTD is
// refused.
func Parse(r io.Reader, limits Limits, yield func(*Received, *Record) error) (*Received, error) {
	limits = limits.filled()
	src := newSource(r, limits.Bytes)
	p := &parser{limits: limits, src: src, scan: newScanner(src, limits.Text), yield: yield}
	p.notes.most = limits.Notes
	p.texts = make(map[string]string)
	p.domains = make(map[string]domainRead)
	err := p.document()
	if src.odd != "" {
		p.note(Note{Kind: NoteCharset, Value: src.odd})
	}
	if src.repaired > 0 {
		p.note(Note{Kind: NoteCharacter})
	}
	if p.scan.broken > 0 {
		p.note(Note{Kind: NoteMarkup, Value: "tags that have no end"})
	}
	if err == nil {
		err = p.finish()
	}
	p.out.Notes = p.notes.list()
	return &p.out, err
}

// ParseGzip is Parse for a file compressed by gzip: all of its members (RFC 1952
// section 2.2).
func ParseGzip(r io.Reader, limits Limits, yield func(*Received, *Record) error) (*Received, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return &Received{}, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	return Parse(z, limits, yield)
}

// parser walks down the elements, one function for each of them.
type parser struct {
	scan   *scanner
	src    *source
	limits Limits
	notes  notes
	yield  func(*Received, *Record) error

	open     []node
	spaces   []binding // namespaces in force
	closing  int       // of the open elements, how many end now
	held     token     // a start that comes after those ends
	holds    bool      // there is one
	end      token     // an end that is told
	unclosed bool      // a record was ended by something else than its end

	out      Received
	new      bool // it has elements of RFC 9990
	records  int  // met so far
	strange  int  // elements that are not ours
	repairs  int  // of markup and entities
	inRecord bool

	recordSent *[]Sent           // of the present record
	texts      map[string]string // short texts, each once
	domains    map[string]domainRead
	scratch    []byte
}

// node is an open element.
type node struct {
	prefix, name string
	element      *element // nil for one that is not ours
	spaces       int      // length of parser.spaces without its own
}

// document finds feedback and reads it. What follows it is passed over.
func (p *parser) document() error {
	for {
		t, err := p.next()
		if err != nil {
			if errors.Is(err, ErrTruncated) {
				return fmt.Errorf("%w: no element feedback%s", ErrNotReport, p.beginning())
			}
			return err
		}
		if t.kind == startToken && t.name == "feedback" {
			top := &p.open[len(p.open)-1]
			top.element = feedbackElement
			p.out.Namespace, _ = p.resolve(t.prefix)
			break
		}
	}
	err := p.feedback()
	if errors.Is(err, ErrTruncated) && !p.inRecord && p.records > 0 {
		p.note(Note{Kind: NoteTruncated})
		return nil
	}
	return err
}

// beginning shows what a short file holds that is no report, such as "unused".
func (p *parser) beginning() string {
	const short = 200
	if p.src.pos == 0 && len(p.src.buf) == 0 {
		return "; the file is empty"
	}
	if text := bytes.TrimSpace(p.src.buf); len(text) < short && p.src.lineNow() < 10 {
		return "; the file holds " + shown(string(text))
	}
	return ""
}

// next is the next token of interest. It keeps the stack of open elements and so
// gives an end for each start, whatever the file does: an end closes what is open
// within its element, one of nothing open is passed over, and the start of an
// element that can only stand further up closes what lies between.
func (p *parser) next() (*token, error) {
	for {
		if p.closing > 0 {
			return p.pop(), nil
		}
		t := &p.held
		if !p.holds {
			var err error
			if t, err = p.scan.next(); err != nil {
				return nil, p.trouble(err)
			}
			if p.repairs > maxRepairs {
				return nil, fmt.Errorf("%w: more than %d repairs up to line %d", ErrTooLarge, maxRepairs, p.src.lineNow())
			}
		}
		p.holds = false
		switch t.kind {
		case startToken:
			child, displaced := p.place(t)
			if displaced > 0 {
				p.markup("an element has no end")
				p.hold(t, displaced)
				continue
			}
			if p.inLeaf() {
				return t, nil
			}
			return t, p.push(t, child)
		case endToken:
			p.closing = p.within(t.prefix, t.name)
			if p.closing == 0 && p.inLeaf() {
				return t, nil
			}
			if p.closing != 1 {
				p.markup("elements do not match their ends")
			}
		default:
			return t, nil
		}
	}
}

// hold keeps a start until so many elements have ended.
func (p *parser) hold(t *token, closing int) {
	p.held, p.holds, p.closing = *t, true, closing
	p.held.attrs, p.held.raw = bytes.Clone(t.attrs), bytes.Clone(t.raw)
}

func (p *parser) push(t *token, child *element) error {
	if len(p.open) >= p.limits.Depth {
		return fmt.Errorf("%w: elements more than %d deep in line %d", ErrTooLarge, p.limits.Depth, p.src.lineNow())
	}
	if child == nil || child.name != t.name {
		if p.strange++; p.strange > strangeEach*p.limits.Rows {
			return fmt.Errorf("%w: more than %d elements that are none of a report's", ErrTooLarge, strangeEach*p.limits.Rows)
		}
	}
	p.open = append(p.open, node{prefix: t.prefix, name: t.name, spaces: len(p.spaces), element: child})
	if declares(t) {
		p.declare(t.attrs)
		if child != nil && p.foreign(t.prefix) {
			p.open[len(p.open)-1].element = nil
		}
	}
	if t.empty {
		p.closing = 1
	}
	return nil
}

// declares tells whether a start may declare a namespace.
func declares(t *token) bool { return len(t.attrs) > 0 && bytes.Contains(t.attrs, []byte("xmlns")) }

// top is the innermost open element, nil for one that is not ours.
func (p *parser) top() *element {
	if len(p.open) == 0 {
		return nil
	}
	return p.open[len(p.open)-1].element
}

func (p *parser) inLeaf() bool {
	top := p.top()
	return top != nil && top.children == nil
}

// place finds what a start is within the present element, nil for nothing of ours.
// displaced counts the open elements that must end before, as it cannot stand in
// them but in one around them.
func (p *parser) place(t *token) (child *element, displaced int) {
	top := p.top()
	if top == nil {
		return nil, 0
	}
	child = top.child(t.name)
	declares := declares(t)
	switch {
	case !declares && p.foreign(t.prefix):
		return nil, 0
	case child != nil:
		return child, 0
	case declares:
	default:
		for i := len(p.open) - 2; i >= 0; i-- {
			if e := p.open[i].element; e != nil && e.child(t.name) != nil {
				return nil, len(p.open) - 1 - i
			}
		}
	}
	if top.section && t.name != "extension" {
		return top, 0
	}
	return nil, 0
}

// within counts the open elements that an end of that name closes; 0 for none.
func (p *parser) within(prefix, name string) int {
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i].name == name && p.open[i].prefix == prefix {
			return len(p.open) - i
		}
	}
	return 0
}

func (p *parser) pop() *token {
	p.closing--
	last := &p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	p.spaces = p.spaces[:last.spaces]
	if last.element != nil && last.name == "record" && (p.closing > 0 || p.holds) {
		p.unclosed = true
	}
	p.end.kind, p.end.prefix, p.end.name = endToken, last.prefix, last.name
	return &p.end
}

// trouble tells apart: the file ends, the source fails.
func (p *parser) trouble(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return ErrTruncated
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotReport):
		return err
	}
	return fmt.Errorf("report: reading the file: %w", err)
}

// feedback reads the root.
func (p *parser) feedback() error {
	base := len(p.open)
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		switch {
		case t.kind == endToken && len(p.open) < base:
			return nil
		case t.kind == startToken:
			if err := p.section(t); err != nil {
				return err
			}
		}
	}
}

func (p *parser) section(t *token) error {
	e := p.top()
	switch {
	case e == nil:
		return p.skip()
	case e.section: // not known: what is in it may be
		return nil
	}
	switch e.name {
	case "version":
		return p.into(&p.out.Version, maxName)
	case "report_metadata":
		return p.children(p.metadata)
	case "policy_published":
		return p.children(p.policy)
	case "record":
		return p.record(t.line)
	}
	return p.skip()
}

// children calls each for every element within the present one that belongs
// there, by its name; each must read it to its end.
func (p *parser) children(each func(name string) error) error {
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case endToken:
			return nil
		case startToken:
			if p.top() == nil {
				err = p.skip()
			} else {
				err = each(t.name)
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

func (p *parser) note(n Note) {
	if p.inRecord {
		n.Record = p.records
	}
	if n.Kind == NoteMarkup || n.Kind == NoteEntity {
		p.repairs++
	}
	n.Value = tidy(n.Value, mostShown)
	p.notes.add(n)
}

func (p *parser) markup(how string) { p.note(Note{Kind: NoteMarkup, Value: how}) }

// binding is a namespace declared.
type binding struct{ prefix, space string }

// declare takes the namespaces of a start (Namespaces in XML 1.0 section 3).
func (p *parser) declare(attrs []byte) {
	for {
		i := bytes.Index(attrs, []byte("xmlns"))
		if i < 0 {
			return
		}
		name, value, found := bytes.Cut(attrs[i+len("xmlns"):], []byte("="))
		if value = bytes.TrimLeft(value, " \t\r\n"); !found || len(value) == 0 || value[0] != '"' && value[0] != '\'' {
			return
		}
		text, rest, _ := bytes.Cut(value[1:], value[:1])
		attrs = rest
		prefix := strings.ToLower(string(bytes.TrimPrefix(bytes.TrimSpace(name), []byte(":"))))
		p.spaces = append(p.spaces, binding{prefix: prefix, space: tidy(string(text), maxName)})
	}
}

// resolve is the namespace of a prefix, and whether one was declared.
func (p *parser) resolve(prefix string) (string, bool) {
	for i := len(p.spaces) - 1; i >= 0; i-- {
		if p.spaces[i].prefix == prefix {
			return p.spaces[i].space, true
		}
	}
	return "", false
}

// foreign tells elements of an extension (RFC 9990 section 5): those of another
// namespace than feedback. A schema that is left open around the rest is none;
// neither are elements of no namespace, nor, in reports without a namespace,
// those with a prefix that is not declared.
func (p *parser) foreign(prefix string) bool {
	const schema, old = "http://www.w3.org/2001/XMLSchema", "http://dmarc.org/dmarc-xml/"
	space, declared := p.resolve(prefix)
	if !declared && prefix != "" {
		return p.out.Namespace == namespace
	}
	return space != "" && space != p.out.Namespace && space != namespace && space != schema && !strings.HasPrefix(space, old)
}

const mostShown = 60

// shown is a piece of the file for a warning or an error.
func shown(s string) string {
	if cut := tidy(s, mostShown); len(cut) < len(s) {
		return fmt.Sprintf("%q…", cut)
	}
	return fmt.Sprintf("%q", s)
}
