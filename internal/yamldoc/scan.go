package yamldoc

import (
	"slices"
	"strings"
)

// state is what is open between two lines of a text.
type state struct {
	brackets []mark
	quote    byte // that is open; 0 for none
	quoted   mark // where it was opened
	block    int  // indentation of the line that began a block of text; -1 for none
	levels   []level
	steps    [10]int // how often lines were indented by so much
}

// level is an indentation that lines can come back to, from the outermost on.
type level struct {
	indent      int
	first, last int  // lines of this indentation
	count       int  // of them; entries of a list below a key do not count
	entries     bool // the first is an entry of a list
}

// mark is a character with its place: line and offset from 0, and the indentation of
// its line.
type mark struct {
	char         byte
	line, offset int
	indent       int
}

// unusualPart is something that a line cannot well hold.
type unusualPart struct {
	what   string
	offset int
	char   byte
}

// What a line may hold that is odd.
const (
	afterQuote   = "text after a closing quote"
	afterBracket = "text after a closing bracket"
	strayCloser  = "a closing bracket alone"
	wrongCloser  = "a bracket closed by another"
	badStart     = "a character that begins no value"
	dashInLine   = "a list that begins behind its key"
	blockText    = "text behind | or >"
	secondColon  = "two colons"
	noComma      = "two colons without a comma between them"
)

// scanner goes through one line.
type scanner struct {
	*state
	line    string
	number  int
	indent  int
	i       int
	start   bool // a value may begin here
	keyed   bool // a key stands before, in block context
	paired  bool // likewise in brackets, since the last comma
	unusual []unusualPart
}

// scan takes one line into the state and lists what is odd in it.
func (s *state) scan(number int, line string) []unusualPart {
	text := strings.TrimLeft(line, " ")
	c := &scanner{state: s, line: line, number: number, indent: len(line) - len(text), start: true}
	blank := text == "" || text[0] == '#'
	if s.block >= 0 {
		if strings.TrimSpace(text) == "" || c.indent > s.block {
			return nil
		}
		s.block = -1
	}
	if !blank && s.quote == 0 && len(s.brackets) == 0 {
		s.enter(c.indent, number, text == "-" || strings.HasPrefix(text, "- "))
	}
	for c.i = c.indent; c.i < len(line); {
		if !c.token() {
			break
		}
	}
	return c.unusual
}

// enter takes a line of an indentation.
func (s *state) enter(indent, line int, entry bool) {
	s.levels = slices.DeleteFunc(s.levels, func(l level) bool { return l.indent > indent })
	n := len(s.levels)
	if n == 0 || s.levels[n-1].indent != indent {
		if n > 0 {
			s.steps[min(indent-s.levels[n-1].indent, len(s.steps)-1)]++
		}
		s.levels = append(s.levels, level{indent: indent, first: line, last: line, count: 1, entries: entry})
		return
	}
	l := &s.levels[n-1]
	if l.last = line; entry == l.entries {
		l.count++
	}
}

// step is by how much lines are mostly indented.
func (s *state) step() int {
	best := 2
	for n := range s.steps {
		if s.steps[n] > s.steps[best] {
			best = n
		}
	}
	return best
}

func (c *scanner) note(what string, offset int) {
	c.unusual = append(c.unusual, unusualPart{what: what, offset: offset, char: c.line[min(offset, len(c.line)-1)]})
}

// at is the character n places on; 0 behind the end.
func (c *scanner) at(n int) byte {
	if c.i+n < len(c.line) {
		return c.line[c.i+n]
	}
	return 0
}

// ends reports whether a word can end before the character.
func (c *scanner) ends(b byte) bool {
	return b == 0 || b == ' ' || b == '\t' || len(c.brackets) > 0 && strings.IndexByte(",[]{}", b) >= 0
}

// token goes on by a token or a character; false at a comment.
func (c *scanner) token() bool {
	b := c.at(0)
	switch {
	case c.quote != 0:
		c.inQuote()
	case b == ' ' || b == '\t':
		c.i++
	case b == '#' && (c.i == 0 || c.line[c.i-1] == ' ' || c.line[c.i-1] == '\t'):
		return false
	case c.start:
		return c.value(b)
	default:
		c.inText(b)
	}
	return true
}

// inQuote goes to the end of quoted text, and looks at what comes behind it.
func (c *scanner) inQuote() {
	for ; c.i < len(c.line); c.i++ {
		b := c.line[c.i]
		switch {
		case b == '\\' && c.quote == '"':
			c.i++
		case b == '\'' && c.quote == '\'' && c.at(1) == '\'':
			c.i++
		case b == c.quote:
			c.i++
			c.quote = 0
			c.after(afterQuote)
			return
		}
	}
}

// after looks at what comes behind a value that has ended.
func (c *scanner) after(what string) {
	c.start = false
	rest := strings.TrimLeft(c.line[c.i:], " \t")
	offset := len(c.line) - len(rest)
	if rest == "" || rest[0] == '#' && offset > c.i || rest[0] == ':' || len(c.brackets) > 0 && strings.IndexByte(",]}", rest[0]) >= 0 {
		return
	}
	if len(c.brackets) == 0 && strings.IndexByte("]}", rest[0]) >= 0 {
		what = strayCloser
	}
	c.note(what, offset)
}

// value begins a value; false if nothing more is to be seen in the line.
func (c *scanner) value(b byte) bool {
	flow := len(c.brackets) > 0
	switch {
	case b == '"' || b == '\'':
		c.quote, c.quoted = b, mark{b, c.number, c.i, c.indent}
		c.i++
	case b == '[' || b == '{':
		c.brackets = append(c.brackets, mark{b, c.number, c.i, c.indent})
		c.paired = false
		c.i++
	case b == ']' || b == '}':
		c.closeBracket(b)
	case b == ',' && flow:
		c.paired = false
		c.i++
	case b == '-' && c.ends(c.at(1)) && !flow:
		if c.keyed {
			c.note(dashInLine, c.i)
		}
		c.i++
	case b == '?' && c.ends(c.at(1)):
		c.i++
	case b == '&' || b == '!':
		for !c.ends(c.at(0)) {
			c.i++
		}
	case (b == '|' || b == '>') && !flow:
		c.block = c.indent
		head := strings.TrimLeft(c.line[c.i+1:], "+-0123456789")
		if text := strings.TrimSpace(head); text != "" && text[0] != '#' {
			c.note(blockText, len(c.line)-len(strings.TrimLeft(head, " \t")))
		}
		return false
	case strings.IndexByte("%@`,", b) >= 0:
		c.note(badStart, c.i)
		c.start = false
		c.i++
	default:
		c.start = false
		c.inText(b)
	}
	return true
}

// inText goes through plain text.
func (c *scanner) inText(b byte) {
	flow := len(c.brackets) > 0
	switch {
	case b == ':' && c.ends(c.at(1)):
		if !flow {
			if c.keyed {
				c.note(secondColon, c.i)
			}
			c.keyed = true
		} else {
			if c.paired {
				c.note(noComma, c.i)
			}
			c.paired = true
		}
		c.start = true
	case flow && b == ',':
		c.start, c.paired = true, false
	case flow && (b == ']' || b == '}'):
		c.closeBracket(b)
		return
	case flow && (b == '[' || b == '{'):
		c.brackets = append(c.brackets, mark{b, c.number, c.i, c.indent})
		c.start, c.paired = true, false
	}
	c.i++
}

// closeBracket takes the bracket off that b closes.
func (c *scanner) closeBracket(b byte) {
	opener := byte('[')
	if b == '}' {
		opener = '{'
	}
	last := len(c.brackets) - 1
	switch {
	case last < 0:
		c.note(strayCloser, c.i)
		c.i++
		c.start = false
		return
	case c.brackets[last].char != opener:
		c.note(wrongCloser, c.i)
	}
	c.brackets = c.brackets[:last]
	c.paired = false
	c.i++
	c.after(afterBracket)
}

// closers is what ends all that is open, in the text's own order.
func (s *state) closers() string {
	var b strings.Builder
	if s.quote != 0 {
		b.WriteByte(s.quote)
	}
	for _, m := range slices.Backward(s.brackets) {
		if m.char == '[' {
			b.WriteByte(']')
		} else {
			b.WriteByte('}')
		}
	}
	return b.String()
}
