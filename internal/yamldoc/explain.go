package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxSearched bounds the text in which the place of a fault is looked for by reading
// parts of it; in a longer one the parser's word is taken.
const maxSearched = 4 << 20

// explain finds the place of a slip and says what it is. The first line that cannot
// follow the lines above it is looked for: with all that is open there closed, the
// lines above are a document. The slip is on that line, or is what was open.
func explain(data []byte, err error) *Fault {
	t := newText(data, err)
	if f := t.unknownAnchor(); f != nil {
		return f
	}
	if len(t.lines) == 0 {
		return &Fault{Line: 1, Column: 1, Problem: "not YAML: " + clip(t.complaint)}
	}
	t.bad = t.firstBad()
	for _, look := range []func() *Fault{
		t.mergeMark, t.secondDocument, t.openQuote, t.tab, t.unusualSpace, t.openBracket, t.unusualParts, t.afterDash, t.dash,
		t.spaceAfterColon, t.noColon, t.escape, t.indentation,
	} {
		if f := look(); f != nil {
			return f
		}
	}
	return t.fault(t.bad, t.indent(t.bad), "not YAML: %s", clip(t.complaint))
}

// text is a text with a slip.
type text struct {
	lines     []string
	complaint string // of the parser, without its line
	reported  int    // the line that the parser names, from 0
	bad       int    // the first line that cannot follow those above it
	open      state  // what is open before that line
	unusual   []unusualPart
}

var parserLine = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?`)

func newText(data []byte, err error) *text {
	m := parserLine.FindStringSubmatch(err.Error())
	reported, _ := strconv.Atoi(m[1])
	t := &text{complaint: strings.TrimPrefix(err.Error(), m[0]), reported: max(reported-1, 0)}
	for l := range strings.Lines(string(data)) {
		t.lines = append(t.lines, strings.TrimRight(l, "\r\n"))
	}
	return t
}

// fault is at an offset of a line.
func (t *text) fault(line, offset int, format string, args ...any) *Fault {
	text := t.lines[line]
	return &Fault{Line: line + 1, Column: utf8.RuneCountInString(text[:min(offset, len(text))]) + 1, Problem: fmt.Sprintf(format, args...)}
}

func (t *text) indent(line int) int {
	return len(t.lines[line]) - len(strings.TrimLeft(t.lines[line], " "))
}

// firstBad finds the first line that cannot follow those above it, the last where the
// text ends too early. It notes what is open before and what is odd in it.
func (t *text) firstBad() int {
	bad := min(t.reported, len(t.lines)-1)
	if t.size() <= maxSearched {
		bad = sort.Search(len(t.lines), func(i int) bool { return !t.reads(i + 1) })
	}
	t.open = t.openBefore(bad)
	if bad == len(t.lines) {
		return bad - 1
	}
	after := t.openBefore(bad)
	t.unusual = after.scan(bad, t.lines[bad])
	return bad
}

// openBefore is what is open after the first n lines.
func (t *text) openBefore(n int) state {
	s := state{block: -1}
	for i, line := range t.lines[:n] {
		s.scan(i, line)
	}
	return s
}

func (t *text) size() (n int) {
	for _, l := range t.lines {
		n += len(l) + 1
	}
	return n
}

// reads reports whether the first n lines are a document once what is open is closed.
func (t *text) reads(n int) bool {
	head := strings.Join(t.lines[:n], "\n") + "\n"
	if isDocument(head) {
		return true
	}
	open := t.openBefore(n)
	closers := open.closers()
	return closers != "" && isDocument(head+strings.Repeat(" ", 200)+closers+"\n")
}

// isDocument reports whether the text is one. An alias of what is not there says
// nothing of the form.
func isDocument(s string) bool {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(s)))
	_, err := next(dec)
	if err == nil {
		_, err = next(dec)
	}
	return err == nil || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "unknown anchor")
}

// around are the bad line and the one above it, which often only shows in the next.
func (t *text) around() []int {
	out := []int{t.bad}
	for i := t.bad - 1; i >= 0; i-- {
		if s := strings.TrimSpace(t.lines[i]); s != "" && s[0] != '#' {
			return append(out, i)
		}
	}
	return out
}

func (t *text) mergeMark() *Fault {
	for _, i := range t.around() {
		for _, m := range []string{"<<<<<<< ", "=======", ">>>>>>> ", "||||||| "} {
			if strings.HasPrefix(t.lines[i]+" ", m) {
				return t.fault(i, 0, "the mark of a merge conflict; resolve it and remove the marks")
			}
		}
	}
	return nil
}

// secondDocument finds the mark before a document that is no better.
func (t *text) secondDocument() *Fault {
	content := false
	for i, line := range t.lines[:t.bad+1] {
		if content && (line == "---" || strings.HasPrefix(line, "--- ")) {
			return t.fault(i, 0, "a second document begins here; one file holds one document")
		}
		content = content || strings.TrimSpace(line) != "" && line[0] != '#'
	}
	return nil
}

// openQuote blames a quote that was open before the bad line.
func (t *text) openQuote() *Fault {
	q := t.open.quoted
	if t.open.quote == 0 || t.badEscape() {
		return nil
	}
	return t.fault(q.line, q.offset, "a quote is opened here and not closed")
}

func (t *text) tab() *Fault {
	for _, i := range t.around() {
		rest := strings.TrimLeft(t.lines[i], " ")
		if strings.HasPrefix(rest, "\t") && (i == t.bad || strings.TrimSpace(rest) != "") {
			return t.fault(i, len(t.lines[i])-len(rest), "a tab in the indentation; YAML takes spaces only")
		}
	}
	return nil
}

// unusualSpace finds a blank that only looks like a space.
func (t *text) unusualSpace() *Fault {
	for _, i := range t.around() {
		for offset, r := range t.lines[i] {
			if name := lookalike(r); name != "" {
				return t.fault(i, offset, "a %s (%U) stands here; %s", name, r, instead(r))
			}
		}
	}
	return nil
}

// openBracket blames a bracket that was open before the bad line, if lines go on as if
// it were closed, or if the text ends.
func (t *text) openBracket() *Fault {
	if len(t.open.brackets) == 0 {
		return nil
	}
	m := t.open.brackets[len(t.open.brackets)-1]
	goesOn := t.bad == len(t.lines)-1 && len(t.unusual) == 0
	commas, lines := 0, 0
	for i := m.line + 1; i <= t.bad; i++ {
		line := strings.TrimSpace(t.lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		goesOn = goesOn || t.indent(i) <= m.indent && strings.IndexByte("]}", line[0]) < 0
		lines++
		commas += strings.Count(line, ",")
	}
	if !goesOn && (lines < 2 || commas > 0) {
		return nil
	}
	return t.fault(m.line, m.offset, "the bracket %c is opened here and not closed", m.char)
}

// unusualParts tells of what the bad line holds itself.
func (t *text) unusualParts() *Fault {
	if len(t.unusual) == 0 {
		return nil
	}
	o := t.unusual[0]
	switch o.what {
	case afterQuote:
		return t.fault(t.bad, o.offset, "text after a closing quote; a value that holds quotes itself is written between quotes of the other kind")
	case afterBracket:
		return t.fault(t.bad, o.offset, "text after a closing bracket")
	case strayCloser:
		return t.fault(t.bad, o.offset, "%c closes nothing; text that holds it needs quotes", o.char)
	case wrongCloser:
		return t.fault(t.bad, o.offset, "%c closes a bracket that was opened by another", o.char)
	case dashInLine:
		return t.fault(t.bad, o.offset, "a list cannot begin behind its key; put each - on a line of its own below the key, or write [a, b]")
	case blockText:
		return t.fault(t.bad, o.offset, "text that | or > announces begins on the next line")
	case noComma:
		return t.fault(t.bad, o.offset, "a second colon before the next comma: a comma is missing, or text that holds a colon and a space needs quotes")
	case secondColon:
		return t.fault(t.bad, o.offset, "a second colon on this line; text that holds a colon and a space needs quotes")
	}
	if o.char == '%' && o.offset == 0 {
		return t.fault(t.bad, 0, "a line cannot begin with %%; text that begins with it needs quotes, and # begins a comment")
	}
	return t.fault(t.bad, o.offset, "text that begins with %c needs quotes", o.char)
}

var dashWord = regexp.MustCompile(`^ *-[^\s-]`)

// afterDash finds an entry of a list that lacks the space behind its dash.
func (t *text) afterDash() *Fault {
	for _, i := range t.around() {
		if dashWord.MatchString(t.lines[i]) {
			f := t.fault(i, t.indent(i)+1, "a space is missing after the -")
			f.Hint = clip("- " + strings.TrimSpace(t.lines[i])[1:])
			return f
		}
	}
	return nil
}

// dash finds an entry of a list where none can stand.
func (t *text) dash() *Fault {
	i := t.bad
	if isEntry(t.lines[i]) {
		if above := t.above(i); above >= 0 {
			if isEntry(t.lines[above]) {
				return t.fault(above, t.indent(above), "wrong indentation: %s, where the next entries have %d", spaces(t.indent(above)), t.indent(i))
			}
			if f := t.keyWithoutColon(above); f != nil {
				return f
			}
		}
	} else if i = t.loneEntry(); i < 0 {
		return nil
	}
	return t.fault(i, t.indent(i), "a stray -: no list is open here; an entry is indented like the first one of its list, which stands below its key")
}

// above is the line, above another, that is indented less; -1 if none is.
func (t *text) above(line int) int {
	for i := line - 1; i >= 0; i-- {
		if s := strings.TrimSpace(t.lines[i]); s != "" && s[0] != '#' && t.indent(i) < t.indent(line) {
			return i
		}
	}
	return -1
}

func isEntry(line string) bool {
	line = strings.TrimSpace(line)
	return line == "-" || strings.HasPrefix(line, "- ")
}

// loneEntry is the line that the bad one, a key, stands beside, if it looks like a key
// with a - before it; -1 if it does not.
func (t *text) loneEntry() int {
	for _, l := range t.open.levels {
		line := t.lines[l.first]
		if l.indent == t.indent(t.bad) && l.count == 1 && isEntry(line) && (strings.TrimSpace(line) == "-" || strings.Contains(line+" ", ": ")) {
			return l.first
		}
	}
	return -1
}

var keyWord = regexp.MustCompile(`^( *(?:- +)?[A-Za-z_][A-Za-z0-9_.-]*):([^\s:/].*)$`)

// spaceAfterColon finds a key whose value follows without a space.
func (t *text) spaceAfterColon() *Fault {
	for _, i := range t.around() {
		m := keyWord.FindStringSubmatch(t.lines[i])
		if m == nil || strings.Contains(t.lines[i], ": ") || i != t.bad && (isEntry(t.lines[i]) || t.indent(i) != t.indent(t.bad)) {
			continue
		}
		f := t.fault(i, len(m[1])+1, "a space is missing after the colon")
		f.Hint = clip(strings.TrimSpace(m[1]) + ": " + m[2])
		return f
	}
	return nil
}

var assignment = regexp.MustCompile(`^ *([A-Za-z_][A-Za-z0-9_.-]*) *=+ *(.*)$`)

// noColon finds a line that should be a key and has no colon: the bad one, that beside
// which or that below which it stands.
func (t *text) noColon() *Fault {
	lines := t.around()
	if n := len(t.open.levels); n > 0 {
		for _, l := range t.open.levels {
			if l.indent < t.indent(t.bad) {
				lines = append(lines, l.last)
			}
		}
	}
	for _, i := range lines {
		if t.indent(i) > t.indent(t.bad) && !strings.Contains(t.complaint, "':'") {
			continue
		}
		if f := t.keyWithoutColon(i); f != nil {
			return f
		}
	}
	return nil
}

func (t *text) keyWithoutColon(i int) *Fault {
	line := strings.TrimSpace(t.lines[i])
	if strings.Contains(line+" ", ": ") || line == "" || strings.IndexByte("-#[]{}", line[0]) >= 0 {
		return nil
	}
	f := t.fault(i, t.indent(i), "a key without a colon: %q", clip(line))
	if m := assignment.FindStringSubmatch(t.lines[i]); m != nil {
		f.Hint = clip(m[1] + ": " + m[2])
	}
	return f
}

var badEscape = regexp.MustCompile(`\\[^0abt\tnvfre "/\\N_LPxuU]`)

var shortEscape = regexp.MustCompile(`\\(?:x[0-9A-Fa-f]{0,1}|u[0-9A-Fa-f]{0,3}|U[0-9A-Fa-f]{0,7})(?:[^0-9A-Fa-f]|$)`)

// badEscape tells that the parser complains of an escape.
func (t *text) badEscape() bool {
	return strings.Contains(t.complaint, "escape") || strings.Contains(t.complaint, "hexdecimal") // its word
}

func (t *text) escape() *Fault {
	if !t.badEscape() {
		return nil
	}
	if m := shortEscape.FindStringIndex(t.lines[t.bad]); m != nil {
		return t.fault(t.bad, m[0], `after \x, \u and \U within double quotes stand 2, 4 or 8 hexadecimal digits; write \\ for a backslash, or use single quotes`)
	}
	if m := badEscape.FindStringIndex(t.lines[t.bad]); m != nil {
		return t.fault(t.bad, m[0], "%s is no escape within double quotes; write \\\\ for a backslash, or use single quotes", t.lines[t.bad][m[0]:m[1]])
	}
	return nil
}

// indentation finds a line that is indented like none of those that it could belong to.
func (t *text) indentation() *Fault {
	own, levels := t.indent(t.bad), t.open.levels
	if len(levels) == 0 || strings.TrimSpace(t.lines[t.bad]) == "" {
		return nil
	}
	if last := levels[len(levels)-1]; own > last.indent {
		if t.siblings(own) > 1 { // the line above has fallen out of its section
			return t.fault(last.last, last.indent, "wrong indentation: %s, where the lines below have %d", spaces(last.indent), own)
		}
		return t.fault(t.bad, own, "wrong indentation: %s, deeper than line %d with %s, whose value is complete", spaces(own), last.last+1, spaces(last.indent))
	}
	if slices.ContainsFunc(levels, func(l level) bool { return l.indent == own }) {
		return t.fault(t.bad, own, "wrong indentation: a key cannot stand here; the lines above with %s are entries of a list", spaces(own))
	}
	at := slices.IndexFunc(levels, func(l level) bool { return l.indent > own })
	if at == 0 {
		if first := levels[0]; first.count == 1 || own == 0 {
			return t.fault(first.first, first.indent, "wrong indentation: %s, where the lines below have %d", spaces(first.indent), own)
		}
		return t.fault(t.bad, own, "wrong indentation: %s, where the lines above have %d", spaces(own), levels[0].indent)
	}
	return t.between(levels[at-1], levels[at])
}

// between blames one line where the bad one stands between two levels. If one line
// alone is wrong, a line with others beside it is right.
func (t *text) between(outer, inner level) *Fault {
	own := t.indent(t.bad)
	alone, first := t.siblings(own) == 1, inner.count == 1
	step := t.open.step()
	unusual := inner.indent-outer.indent != step && (own-outer.indent == step || own%step == 0 && outer.indent%step != 0)
	if alone && first { // both may be
		first = unusual
	}
	switch {
	case first:
		return t.fault(inner.first, inner.indent, "wrong indentation: %s, where the lines below have %d", spaces(inner.indent), own)
	case !alone || unusual || t.belongsTo(own, outer.last):
		return t.fault(outer.last, outer.indent, "wrong indentation: %s, where the lines around have %d", spaces(outer.indent), own)
	}
	return t.fault(t.bad, own, "wrong indentation: %s, where the lines above have %d or %d", spaces(own), outer.indent, inner.indent)
}

// belongsTo reports whether the lines above a line were indented by so much, so that
// it has fallen out of their section.
func (t *text) belongsTo(indent, line int) bool {
	for i := line - 1; i >= 0; i-- {
		if s := strings.TrimSpace(t.lines[i]); s != "" && s[0] != '#' && t.indent(i) <= indent {
			return t.indent(i) == indent
		}
	}
	return false
}

// siblings counts the lines from the bad one on that are indented by so much, up to
// the end of their section. Lines below a key that should hold them are none.
func (t *text) siblings(indent int) (n int) {
	heads := false
	for i := t.bad; i < len(t.lines); i++ {
		s := strings.TrimSpace(t.lines[i])
		switch {
		case s == "" || s[0] == '#':
			continue
		case t.indent(i) < indent, heads && t.indent(i) == indent:
			return n
		case t.indent(i) == indent:
			n++
		}
		value, _, _ := strings.Cut(s, " #")
		heads = i == t.bad && strings.HasSuffix(strings.TrimSpace(value), ":")
	}
	return n
}

func spaces(n int) string {
	if n == 1 {
		return "1 space"
	}
	return fmt.Sprintf("%d spaces", n)
}

var aliasName = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)
var bareStar = regexp.MustCompile(`(?:[-:,\[{?]|^)[ \t]*(\*[^\s,\]}#]*)`)

// unknownAnchor finds an alias of nothing, which is most often a pattern such as
// *.example.com without its quotes.
func (t *text) unknownAnchor() *Fault {
	m := aliasName.FindStringSubmatch(t.complaint)
	if m == nil && !strings.Contains(t.complaint, "alphabetic or numeric character") {
		return nil
	}
	for i, line := range t.lines {
		for _, at := range bareStar.FindAllStringSubmatchIndex(line, -1) {
			word := line[at[2]:at[3]]
			if comment := strings.Index(" "+line, " #"); comment >= 0 && comment <= at[2] {
				break
			}
			if m != nil && !strings.HasPrefix(word, "*"+m[1]) {
				continue
			}
			f := t.fault(i, at[2], "text that begins with * needs quotes")
			f.Hint = clip(word)
			if m != nil && word == "*"+m[1] {
				f.Problem = fmt.Sprintf("there is no anchor &%s that this could stand for; text that begins with * needs quotes", clip(m[1]))
				f.Hint = ""
			}
			return f
		}
	}
	return nil
}
