package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Bounds on one record; RFC 7208 sets none. Large records in use have 4 KiB.
const (
	maxRecordLen  = 16384 // octets
	maxTerms      = 1024
	maxDomainSpec = 1024 // octets of one domain-spec
)

// version starts a record (RFC 7208 section 4.5).
const version = "v=spf1"

// record is a record that fully obeys the grammar of RFC 7208 section 12.
type record struct {
	mechanisms []term
	redirect   term // text "" if there is none
	exp        term // text "" if there is none
}

// kind is what a term does.
type kind uint8

const (
	kindUnknown kind = iota
	kindAll
	kindInclude
	kindA
	kindMX
	kindPTR
	kindIP4
	kindIP6
	kindExists
	kindRedirect
	kindExp
)

// term is one mechanism or modifier.
type term struct {
	text   string // as written
	kind   kind
	result Status // what a match means, by the qualifier
	spec   string // domain-spec; "" for the current domain
	net    netip.Prefix
	// prefix lengths in bits, for a and mx
	bits4, bits6 uint8
}

// isRecord reports whether a TXT record is an SPF record: the version, in any
// case, followed by a space or the end (RFC 7208 section 4.5).
func isRecord(txt string) bool {
	n := len(version)
	return len(txt) >= n && strings.EqualFold(txt[:n], version) && (len(txt) == n || txt[n] == ' ')
}

// parseRecord parses a text for which isRecord holds. If an error concerns one
// term, at is its text. The record shares memory with txt.
func parseRecord(txt string) (rec record, at string, err error) {
	if len(txt) > maxRecordLen {
		return record{}, "", fmt.Errorf("%w: %d octets, over %d", ErrRecordSize, len(txt), maxRecordLen)
	}
	rest := txt[len(version):]
	spaces := strings.Count(rest, " ")
	rec.mechanisms = make([]term, 0, min(spaces, maxTerms))
	for terms := 0; rest != ""; {
		// RFC 7208 section 4.6.1: only spaces separate terms.
		text, tail, _ := strings.Cut(rest, " ")
		rest = tail
		if text == "" {
			continue
		}
		if terms++; terms > maxTerms {
			return record{}, "", fmt.Errorf("%w: over %d terms", ErrRecordSize, maxTerms)
		}
		if err := rec.add(text); err != nil {
			return record{}, text, fmt.Errorf("%w: %w", ErrSyntax, err)
		}
	}
	return rec, "", nil
}

// add parses one term and stores it.
func (rec *record) add(text string) error {
	end := len(text) // of the name
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c <= ' ' || c >= 0x7f:
			return fmt.Errorf("octet %#02x", c)
		case end == len(text) && (c == '=' || c == ':' || c == '/'):
			end = i
		}
	}
	// RFC 7208 section 4.6.1: a modifier has "=" right after the name, before any ":" or "/".
	if end < len(text) && text[end] == '=' {
		return rec.addModifier(text, text[:end], text[end+1:])
	}
	t, err := parseMechanism(text, end)
	if err != nil {
		return err
	}
	rec.mechanisms = append(rec.mechanisms, t)
	return nil
}

func (rec *record) addModifier(text, name, value string) error {
	if !isModifierName(name) {
		return errors.New("not a mechanism, and not the name of a modifier")
	}
	place := (*term)(nil)
	t := term{text: text, spec: value}
	switch {
	case strings.EqualFold(name, "redirect"):
		place, t.kind = &rec.redirect, kindRedirect
	case strings.EqualFold(name, "exp"):
		place, t.kind = &rec.exp, kindExp
	default: // ignored, except for its syntax (RFC 7208 section 6)
		return checkMacroString(value, inModifier)
	}
	// RFC 7208 section 6: neither may occur twice in a record.
	if place.text != "" {
		return errors.New("stands twice")
	}
	*place = t
	return checkDomainSpec(value)
}

// isModifierName checks name of RFC 7208 section 4.6.1.
func isModifierName(s string) bool {
	if s == "" || !isAlpha(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// parseMechanism reads a directive: qualifier, mechanism, argument (RFC 7208
// section 4.6.1). end is where its name ends.
func parseMechanism(text string, end int) (term, error) {
	t := term{text: text, result: Pass}
	name := text[:end]
	switch text[0] {
	case '+':
		name = name[1:]
	case '-':
		t.result, name = Fail, name[1:]
	case '~':
		t.result, name = Softfail, name[1:]
	case '?':
		t.result, name = Neutral, name[1:]
	}
	t.kind = kindOf(name)
	arg := text[end:]
	switch t.kind {
	case kindAll: // RFC 7208 section 5.1
		if arg != "" {
			return t, errors.New("all takes no argument")
		}
		return t, nil
	case kindIP4, kindIP6:
		return t, t.parseNet(arg)
	case kindA, kindMX: // RFC 7208 sections 5.3 and 5.4
		rest, err := t.cutDualCIDR(arg)
		if err != nil || rest == "" {
			return t, err
		}
		return t, t.parseSpec(rest)
	case kindPTR: // RFC 7208 section 5.5
		if arg == "" {
			return t, nil
		}
		return t, t.parseSpec(arg)
	case kindInclude, kindExists: // RFC 7208 sections 5.2 and 5.7
		return t, t.parseSpec(arg)
	}
	return t, errors.New("no such mechanism")
}

// kindOf returns the mechanism of a name, in any case.
func kindOf(name string) kind {
	var lower [len("include")]byte
	if len(name) > len(lower) {
		return kindUnknown
	}
	for i := range len(name) {
		lower[i] = name[i] | 0x20 // leaves digits unchanged and turns no other octet into a letter
	}
	switch string(lower[:len(name)]) {
	case "all":
		return kindAll
	case "include":
		return kindInclude
	case "a":
		return kindA
	case "mx":
		return kindMX
	case "ptr":
		return kindPTR
	case "ip4":
		return kindIP4
	case "ip6":
		return kindIP6
	case "exists":
		return kindExists
	}
	return kindUnknown
}

// parseSpec reads ":" domain-spec.
func (t *term) parseSpec(arg string) error {
	if arg == "" || arg[0] != ':' {
		return errors.New("no domain-spec")
	}
	t.spec = arg[1:]
	return checkDomainSpec(t.spec)
}

// parseNet reads the network of ip4 and ip6, RFC 7208 section 5.6.
func (t *term) parseNet(arg string) error {
	if arg == "" || arg[0] != ':' {
		return errors.New("no network")
	}
	text, length, cidr := strings.Cut(arg[1:], "/")
	addr, err := netip.ParseAddr(text)
	switch v4 := t.kind == kindIP4; {
	case v4 && (err != nil || !addr.Is4()):
		return errors.New("not an IPv4 address")
	case !v4 && (err != nil || addr.Is4() || addr.Zone() != ""):
		return errors.New("not an IPv6 address")
	}
	bits := addr.BitLen()
	if cidr {
		if bits, err = parseLength(length, addr.BitLen()); err != nil {
			return err
		}
	}
	t.net = netip.PrefixFrom(addr, bits)
	return nil
}

// cutDualCIDR removes dual-cidr-length from the end of an argument (RFC 7208
// section 5.3). The rest needs no second cut: no domain-spec ends in a slash and
// digits.
func (t *term) cutDualCIDR(arg string) (rest string, err error) {
	t.bits4, t.bits6 = 32, 128
	rest, digits := cutLength(arg)
	if head, ok := strings.CutSuffix(rest, "//"); ok && digits != "" {
		bits, err := parseLength(digits, 128)
		if err != nil {
			return "", err
		}
		t.bits6 = uint8(bits)
		rest, digits = cutLength(head)
	}
	if digits == "" {
		return rest, nil
	}
	bits, err := parseLength(digits, 32)
	if err != nil {
		return "", err
	}
	t.bits4 = uint8(bits)
	return strings.TrimSuffix(rest, "/"), nil
}

// cutLength splits a slash and the digits after it off the end of s.
func cutLength(s string) (rest, digits string) {
	i := len(s)
	for i > 0 && isDigit(s[i-1]) {
		i--
	}
	if i == 0 || s[i-1] != '/' {
		return s, ""
	}
	return s[:i], s[i:]
}

// parseLength reads a prefix length in bits; RFC 7208 section 12 allows no
// leading zero (ip4-cidr-length, ip6-cidr-length).
func parseLength(digits string, most int) (int, error) {
	n := 0
	for i := 0; i < len(digits); i++ {
		n = n*10 + int(digits[i]-'0')
		if !isDigit(digits[i]) || i > 0 && digits[0] == '0' || n > most {
			return 0, fmt.Errorf("bad prefix length %q", cut(digits))
		}
	}
	if digits == "" {
		return 0, errors.New("empty prefix length")
	}
	return n, nil
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
