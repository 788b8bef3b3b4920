package authres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of Parse, far above the content of honest fields.
const (
	maxParse = 64 << 10 // octets of the value
	maxItems = 200
	maxProps = 50 // of one item; further ones are omitted
)

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("authres: malformed Authentication-Results")

// Field is a parsed Authentication-Results field.
type Field struct {
	AuthServID string // unquoted, as spelled; "" if the field has none
	Version    int    // 1 if the field has none (RFC 8601 section 2.2)
	Items      []Item // empty for "none"
	Skipped    int    // items that could not be read
}

// Item is one resinfo. Method and Result are in lower case.
type Item struct {
	Method     string // such as "dkim"
	Version    int    // of the method; 1 if absent
	Result     string // such as "pass"
	Reason     string // "" if absent
	Properties []Property
}

// Property is one propspec. Type and Name are in lower case.
type Property struct {
	Type  string // such as "header"; "" if absent
	Name  string // such as "d"
	Value string // unquoted
}

// Get returns the value of the first property ptype.name, "" if there is none.
func (it *Item) Get(ptype, name string) string {
	for _, p := range it.Properties {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Parse parses the value of an Authentication-Results field (RFC 8601 section 2.2). It
// skips comments everywhere. An unreadable item is counted and omitted. If a comment or
// quoted string is unterminated, or a limit is exceeded, the error wraps ErrMalformed,
// and the result holds what was read before. Its strings may alias value.
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

// readID parses authserv-id and version and advances to the first ";". If a result
// stands in place of the id, p stays before it.
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

// readItem parses one resinfo up to anything unreadable. none reports the no-result of
// RFC 8601 section 2.2.
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

// readPair parses one "name=value", reason or property, and skips words that are not a
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

// readKey parses the text before "=", in lower case. Blanks and comments may surround
// the dot of "ptype.property"; of several words without a dot between them, the last
// counts.
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

// readPvalue parses a pvalue. Bare values may contain "/", "=" and ":", which only a
// quoted-string should, because many writers put them there.
func readPvalue(p *scanner) (string, bool) {
	if !p.cfws() {
		return "", false
	}
	var b strings.Builder // for a value with quotes
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
