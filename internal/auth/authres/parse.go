package authres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of what Parse reads. They stand far above what honest fields hold.
const (
	maxParse = 64 << 10 // octets of the value
	maxItems = 200
	maxProps = 50 // of one item; those beyond are left out
)

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("authres: malformed Authentication-Results")

// Field is an Authentication-Results field as read.
type Field struct {
	AuthServID string // unquoted, as spelled; "" in a field that names none
	Version    int    // 1 when the field tells none (RFC 8601 section 2.2)
	Items      []Item // empty for "none"
	Skipped    int    // items that could not be read
}

// Item is one resinfo. Method and Result are in lower case.
type Item struct {
	Method     string // such as "dkim"
	Version    int    // of the method; 1 when none is told
	Result     string // such as "pass"
	Reason     string // "" for none
	Properties []Property
}

// Property is one propspec. Type and Name are in lower case.
type Property struct {
	Type  string // such as "header"; "" for a property that has none
	Name  string // such as "d"
	Value string // unquoted
}

// Get is the value of the first property ptype.name, "" if there is none.
func (it *Item) Get(ptype, name string) string {
	for _, p := range it.Properties {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Parse reads the value of an Authentication-Results field, RFC 8601 section
// 2.2. Comments are skipped wherever they stand. An item that cannot be read is
// counted and left out. What ends within a comment or a quoted string, or
// passes a limit, gives an error that wraps ErrMalformed, beside what was read
// before. The strings of the result may alias value.
func Parse(value string) (Field, error) {
	f := Field{Version: 1}
	if len(value) > maxParse {
		return f, fmt.Errorf("%w: %d octets, over %d", ErrMalformed, len(value), maxParse)
	}
	p := &scanner{s: value}
	if err := f.readID(p); err != nil {
		return f, err
	}
	for p.cfws(); !p.end(); p.cfws() {
		if p.at(';') {
			p.i++
			continue
		}
		if len(f.Items)+f.Skipped == maxItems {
			return f, fmt.Errorf("%w: over %d results", ErrMalformed, maxItems)
		}
		it, none, ok := readItem(p)
		switch {
		case ok:
			f.Items = append(f.Items, it)
		case !none:
			f.Skipped++
		}
		p.skipItem()
	}
	if p.open {
		return f, fmt.Errorf("%w: unclosed comment or quoted string", ErrMalformed)
	}
	return f, nil
}

// readID reads authserv-id and version and goes to the first ";". Where a
// result stands in place of the id, it leaves p before it.
func (f *Field) readID(p *scanner) error {
	p.cfws()
	start := p.i
	id, ok := p.value()
	if !ok && p.end() {
		return fmt.Errorf("%w: no authserv-id", ErrMalformed)
	}
	p.cfws()
	if ok && (p.at('=') || p.at('/')) {
		p.i = start
		return nil
	}
	f.AuthServID = id
	if v, err := strconv.Atoi(p.digits()); err == nil {
		f.Version = v
	}
	p.skipItem()
	return nil
}

// readItem reads one resinfo up to what it cannot read. none tells that it was
// the no-result of RFC 8601 section 2.2.
func readItem(p *scanner) (it Item, none, ok bool) {
	it = Item{Method: strings.ToLower(p.token()), Version: 1}
	if it.Method == "" || !p.cfws() {
		return it, false, false
	}
	if p.at('/') {
		p.i++
		p.cfws()
		v, err := strconv.Atoi(p.digits())
		if err != nil || !p.cfws() {
			return it, false, false
		}
		it.Version = v
	}
	if !p.at('=') {
		return it, it.Method == nothing && (p.end() || p.at(';')), false
	}
	p.i++
	p.cfws()
	it.Result = strings.ToLower(p.token())
	if it.Result == "" {
		return it, false, false
	}
	for len(it.Properties) < maxProps && it.readPair(p) {
	}
	return it, false, true
}

// readPair reads one "name=value", reason or property, over words that are no
// pair. It is false at the end of the item.
func (it *Item) readPair(p *scanner) bool {
	name := readKey(p)
	if name == "" || !p.at('=') {
		return false
	}
	p.i++
	value, ok := readPvalue(p)
	if !ok {
		return false
	}
	if name == "reason" {
		it.Reason = value
		return true
	}
	ptype, prop, found := strings.Cut(name, ".")
	if !found {
		ptype, prop = "", name
	}
	it.Properties = append(it.Properties, Property{Type: ptype, Name: prop, Value: value})
	return true
}

// readKey reads what stands left of "=", in lower case. Blanks and comments may
// stand around the dot of "ptype.property"; without a dot between them, the
// last of several words counts.
func readKey(p *scanner) string {
	key := ""
	for p.cfws() {
		t := p.token()
		if t == "" {
			break
		}
		if strings.HasSuffix(key, ".") || strings.HasPrefix(t, ".") {
			t = key + t
		}
		if len(t) > maxName {
			return ""
		}
		key = t
	}
	return strings.ToLower(key)
}

// readPvalue reads a pvalue. Bare values may hold what only a quoted-string
// should, because so many writers put "/", "=" and ":" there.
func readPvalue(p *scanner) (string, bool) {
	if !p.cfws() {
		return "", false
	}
	var b strings.Builder // of a value with quotes
	start, quotes := p.i, false
	for p.i < len(p.s) && !isBlank(p.s[p.i]) && !p.at(';') && !p.at('(') {
		if !p.at('"') {
			p.i++
			continue
		}
		// "john doe"@example.com: a quoted string may be part of an address.
		b.WriteString(p.s[start:p.i])
		text, ok := p.quoted()
		if !ok {
			return "", false
		}
		b.WriteString(text)
		start, quotes = p.i, true
	}
	if !quotes {
		return p.s[start:p.i], p.i > start
	}
	b.WriteString(p.s[start:p.i])
	return b.String(), true
}
