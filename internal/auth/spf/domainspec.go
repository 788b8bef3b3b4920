package spf

import (
	"errors"
	"fmt"
	"strings"
)

// place is where a macro-string occurs; it decides what the string may contain.
type place uint8

const (
	inTarget   place = iota // a domain-spec
	inModifier              // the value of an unknown modifier
	inText                  // an explanation (RFC 7208 section 6.2)
)

// piece is one step of a macro-string: literal text, or a macro.
type piece struct {
	literal string
	letter  byte   // of the macro, lower case; 0 for literal text
	escape  bool   // the letter was upper case: URL-escape the value
	keep    int    // how many right-hand parts to keep; 0 for all
	reverse bool   // reverse the parts first
	delims  string // delimiters that split the value; "" for "."
}

// nextPiece reads the first piece of s (macro-expand of RFC 7208 section 7.1). s
// is not empty.
func nextPiece(s string, in place) (p piece, rest string, err error) {
	if s[0] != '%' {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		return piece{literal: s[:i]}, s[i:], nil
	}
	if len(s) > 1 {
		switch s[1] {
		case '%':
			return piece{literal: "%"}, s[2:], nil
		case '_':
			return piece{literal: " "}, s[2:], nil
		case '-':
			return piece{literal: "%20"}, s[2:], nil
		case '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return piece{}, "", errors.New("macro without its closing brace")
			}
			p, err = parseMacro(s[2:end], in)
			return p, s[end+1:], err
		}
	}
	return piece{}, "", fmt.Errorf("%q begins no macro", s[:min(2, len(s))])
}

// parseMacro reads the text between the braces.
func parseMacro(s string, in place) (piece, error) {
	if s == "" {
		return piece{}, errors.New("empty macro")
	}
	p := piece{letter: s[0] | 0x20, escape: s[0]&0x20 == 0}
	switch p.letter {
	case 's', 'l', 'o', 'd', 'i', 'p', 'v', 'h':
	case 'c', 'r', 't': // RFC 7208 section 7.2: in "exp" text only
		if in == inTarget {
			return piece{}, fmt.Errorf("macro letter %q outside an explanation", s[:1])
		}
	default:
		return piece{}, fmt.Errorf("no macro letter %q", s[:1])
	}
	i, digits := 1, false
	for ; i < len(s) && isDigit(s[i]); i++ {
		digits = true
		p.keep = min(p.keep*10+int(s[i]-'0'), maxDomainSpec) // RFC 7208 section 7.3: 127 at least
	}
	if digits && p.keep == 0 {
		return piece{}, errors.New("macro that keeps 0 parts") // RFC 7208 section 7.3
	}
	if i < len(s) && s[i]|0x20 == 'r' {
		p.reverse = true
		i++
	}
	p.delims = s[i:]
	if j := strings.IndexFunc(p.delims, func(r rune) bool { return !strings.ContainsRune(".-+,/_=", r) }); j >= 0 {
		return piece{}, fmt.Errorf("macro with %q, which is no delimiter", cut(p.delims[j:]))
	}
	return p, nil
}

// checkMacroString checks the macros of s. The octets of a term were checked
// before; those of an explanation are checked here.
func checkMacroString(s string, in place) error {
	for s != "" {
		p, rest, err := nextPiece(s, in)
		if err != nil {
			return err
		}
		if in == inText && p.letter == 0 && !isPrintable(p.literal) {
			return errors.New("octet that is not printable ASCII")
		}
		s = rest
	}
	return nil
}

// checkDomainSpec checks domain-spec of RFC 7208 section 7.1. The check precedes
// macro expansion; expanded values are not checked again.
func checkDomainSpec(s string) error {
	switch {
	case s == "":
		return errors.New("empty domain-spec")
	case len(s) > maxDomainSpec:
		return fmt.Errorf("domain-spec of %d octets, over %d", len(s), maxDomainSpec)
	}
	end := s // what follows the last macro
	for rest := s; rest != ""; {
		macro := rest[0] == '%'
		_, tail, err := nextPiece(rest, inTarget)
		if err != nil {
			return err
		}
		if rest = tail; macro {
			end = rest
		}
	}
	if end == "" {
		return nil // domain-end is a macro-expand
	}
	end = strings.TrimSuffix(end, ".")
	dot := strings.LastIndexByte(end, '.')
	if dot < 0 {
		return errors.New("domain-spec without a dot before its top label")
	}
	return checkTopLabel(end[dot+1:])
}

// checkTopLabel checks toplabel of RFC 7208 section 7.1.
func checkTopLabel(s string) error {
	numeric := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
		case isAlpha(c), c == '-' && i > 0 && i < len(s)-1:
			numeric = false
		default:
			return fmt.Errorf("bad top label %q", cut(s))
		}
	}
	switch {
	case s == "":
		return errors.New("empty top label")
	case numeric: // usually an address after "a:" or "mx:"
		return fmt.Errorf("numeric top label %q (ip4 takes an address)", cut(s))
	}
	return nil
}

func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
