package report

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Parse reads an aggregate report of RFC 9990, RFC 7489 or one of its drafts. It passes each
// record to yield as it arrives, with what was read before it, so that memory stays
// constant. An error of yield ends the reading and is returned unchanged. yield may be nil; it
// may keep a record.
//
// Parse accepts whatever can be understood: any namespace, any order, words in any case,
// faulty numbers and times, broken markup. Notes report its repairs, and a value that was
// reinterpreted is kept as sent. It quarantines only the records that cannot be understood. A
// report without mail has no record and is no error. The following are errors: a report whose
// records are all quarantined, one without a policy domain or a period, a file that ends
// within a record, and one over a limit. Received then holds what was read so far, and the
// yielded records must be discarded. Only entities of HTML are expanded, and a DTD is refused.
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

// ParseGzip is Parse for a gzip file, with all of its members (RFC 1952 section 2.2).
func ParseGzip(r io.Reader, limits Limits, yield func(*Received, *Record) error) (*Received, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return &Received{}, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	return Parse(z, limits, yield)
}

// parser descends the elements, one function for each.
type parser struct {
	scan   *scanner
	src    *source
	limits Limits
	notes  notes
	yield  func(*Received, *Record) error

	open     []node
	spaces   []binding // namespaces in scope
	closing  int       // number of open elements that end now
	held     token     // a start that follows those ends
	holds    bool      // there is a held start
	end      token     // the end being returned
	unclosed bool      // a record ended without its end tag

	out      Received
	new      bool // it has elements of RFC 9990
	records  int  // seen so far
	strange  int  // unknown elements
	repairs  int  // of markup and entities
	inRecord bool

	recordSent *[]Sent           // of the current record
	texts      map[string]string // short texts, each once
	domains    map[string]domainRead
	scratch    []byte
}

// node is an open element.
type node struct {
	prefix, name string
	element      *element // nil for an unknown one
	spaces       int      // length of parser.spaces before its own
}

// document finds and reads feedback. It ignores what follows.
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

// beginning returns the text of a short file that is no report, such as "unused".
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

// next returns the next relevant token. It keeps the stack of open elements and thus returns
// an end for each start, whatever the file contains. An end tag closes the open elements
// within its element; an end tag of nothing open is ignored; the start of an element that can
// only occur further up closes those in between.
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

// declares reports whether a start may declare a namespace.
func declares(t *token) bool { return len(t.attrs) > 0 && bytes.Contains(t.attrs, []byte("xmlns")) }

// top returns the innermost open element, nil for an unknown one.
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

// place finds the element of a start within the current one, nil for an unknown one.
// displaced counts the open elements that must end first, because only an element around them
// can contain it.
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

// trouble distinguishes the end of the file from a failure of the source.
func (p *parser) trouble(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return ErrTruncated
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotReport):
		return err
	}
	return fmt.Errorf("report: reading the file: %w", err)
}

// feedback reads the root element.
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
	case e.section: // unknown: its content may be known
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

// children calls each for every known child of the current element, with its name; each must
// read it to its end.
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

// binding is a declared namespace.
type binding struct{ prefix, space string }

// declare records the namespaces of a start (Namespaces in XML 1.0 section 3).
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

// resolve returns the namespace of a prefix, and whether it was declared.
func (p *parser) resolve(prefix string) (string, bool) {
	for i := len(p.spaces) - 1; i >= 0; i-- {
		if p.spaces[i].prefix == prefix {
			return p.spaces[i].space, true
		}
	}
	return "", false
}

// foreign reports whether an element belongs to an extension (RFC 9990 section 5): its
// namespace differs from that of feedback. Not foreign are a schema left open around the
// rest, elements of no namespace and, in reports without a namespace, those with an
// undeclared prefix.
func (p *parser) foreign(prefix string) bool {
	const schema, old = "http://www.w3.org/2001/XMLSchema", "http://dmarc.org/dmarc-xml/"
	space, declared := p.resolve(prefix)
	if !declared && prefix != "" {
		return p.out.Namespace == namespace
	}
	return space != "" && space != p.out.Namespace && space != namespace && space != schema && !strings.HasPrefix(space, old)
}

const mostShown = 60

// shown returns a piece of the file for a warning or an error.
func shown(s string) string {
	if cut := tidy(s, mostShown); len(cut) < len(s) {
		return fmt.Sprintf("%q…", cut)
	}
	return fmt.Sprintf("%q", s)
}
