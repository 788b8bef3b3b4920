package message

import (
	"bytes"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"unicode"

	"dmarcd/internal/dns"
)

// maxMalformedLen bounds a field that breaks RFC 5322, in octets, because it is parsed in
// many ways. Ordinary fields use a tenth of this.
const maxMalformedLen = 2 << 10

// readMalformed reads a field that breaks RFC 5322 by the one address that is clear to
// everybody. complete reports that a.Domains has every domain that a reader could find.
//
// The address itself must be in the field unencoded. Other text that could be taken for
// an address is searched for in all the ways in which software decodes what it cannot
// parse: with and without comments, quotes and folds, with encoded words decoded once and
// twice, each by itself and joined to its neighbours, raw octets in the charsets of East
// Asia.
func (a *Author) readMalformed(value []byte) (err error, complete bool) {
	if len(value) > maxMalformedLen {
		return fmt.Errorf("%w: malformed and over %d octets", ErrBadFrom, maxMalformedLen), false
	}
	text, tight, err := unfold(value)
	if err != nil {
		return err, false
	}
	raw, err := rawReadings(text)
	if err != nil {
		return err, false
	}
	if tight != text {
		more, err := rawReadings(tight)
		if err != nil {
			return err, false
		}
		raw = append(raw, more...)
	}
	found, err := addressesIn(raw[0])
	if err != nil {
		return err, false
	}
	for _, f := range found {
		if err := a.add([]byte(f.domain), []byte(f.local)); err != nil {
			return err, false
		}
	}
	readings, err := readingsOf(raw)
	if err != nil {
		return err, false
	}
	author, err := dns.Parse(found[0].domain)
	several := err != nil || len(found) > 1
	complete = true
	for _, r := range readings {
		if strings.ContainsAny(r, overrides) {
			return fmt.Errorf("%w: text that is shown backwards", ErrBadFrom), false
		}
		for _, m := range mentions(r) {
			n, err := dns.Parse(m.domain)
			several = several || err != nil || n != author
			complete = complete && err == nil && a.add([]byte(m.domain), nil) == nil
		}
	}
	if several {
		return ErrSeveralAddresses, complete
	}
	return nil, true
}

// overrides reverse the display direction of the text after them, which hides what the
// field contains.
const overrides = "\u202d\u202e"

// readingsOf returns the distinct texts that software can make of the raw readings.
func readingsOf(raw []string) ([]string, error) {
	all := make(map[string]bool)
	undecoded := make(map[string]bool)
	for _, r := range raw {
		for _, s := range stripped(r) {
			undecoded[s] = true
		}
	}
	for s := range undecoded {
		decoded, err := decodings(s)
		if err != nil {
			return nil, err
		}
		for _, d := range decoded {
			for _, t := range stripped(d) {
				all[t] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// stripped returns s, and s without comments, without characters that visually hide an
// address, and without either.
func stripped(s string) []string {
	bare := withoutComments(s)
	return []string{s, bare, revealed(s), revealed(bare)}
}

// revealed undoes what software undoes before it shows a text: quotes, control and
// format characters, which it drops, and the escapes of HTML and URLs, which may be
// nested once.
func revealed(s string) string {
	for range 2 {
		s = percentDecoded(html.UnescapeString(s))
	}
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// percentDecoded undoes the escapes of URLs (RFC 3986 section 2.1), as far as they are
// of ASCII.
func percentDecoded(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+1]) < 8 && unhex(s[i+2]) >= 0 {
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unfold removes the line ends from a field value; tight is the value without the white
// space after them too. Control characters are not valid in a field: readers end the text
// there, or drop them. Escape is left to rawReadings.
func unfold(value []byte) (text, tight string, err error) {
	var loose, close []byte
	afterFold := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\r' && i+1 < len(value) && value[i+1] == '\n' {
			i++
			c = '\n'
		}
		switch {
		case c == '\n':
			if i+1 == len(value) || value[i+1] != ' ' && value[i+1] != '\t' {
				return "", "", fmt.Errorf("%w: line end within the field", ErrBadFrom)
			}
			afterFold = true
			continue
		case c < ' ' && c != '\t' && c != escape || c == 0x7f:
			return "", "", fmt.Errorf("%w: control character", ErrBadFrom)
		}
		afterFold = afterFold && (c == ' ' || c == '\t')
		loose = append(loose, c)
		if !afterFold {
			close = append(close, c)
		}
	}
	return string(bytes.TrimSpace(loose)), string(bytes.TrimSpace(close)), nil
}

// clear is an address that a malformed field contains unencoded.
type clear struct{ local, domain string }

// addressesIn returns the distinct addresses in angle brackets or, where there are none,
// the distinct bare ones.
func addressesIn(text string) ([]clear, error) {
	var found []clear
	add := func(c clear) {
		for _, f := range found {
			if strings.EqualFold(f.local, c.local) && strings.EqualFold(f.domain, c.domain) {
				return
			}
		}
		found = append(found, c)
	}
	for rest := text; ; {
		open := strings.IndexByte(rest, '<')
		if open < 0 {
			break
		}
		rest = rest[open+1:]
		inner := rest
		if end := strings.IndexAny(rest, "<>"); end >= 0 {
			inner = rest[:end]
		}
		if !strings.Contains(inner, "@") {
			continue
		}
		c, err := angleAddress(inner)
		if err != nil {
			return nil, err
		}
		add(c)
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, m := range mentions(text) {
		if !m.exact {
			continue // counts against the field later
		}
		local := localBefore(text[:m.at])
		if local == "" {
			return nil, fmt.Errorf("%w: no local part", ErrBadFrom)
		}
		add(clear{local: local, domain: m.domain})
	}
	switch {
	case len(found) > 0:
		return found, nil
	case strings.IndexFunc(text, isAt) >= 0:
		return nil, fmt.Errorf("%w: no clear address", ErrBadFrom)
	}
	return nil, ErrNoAddress
}

// angleAddress reads the text between angle brackets, or after an unclosed one. The
// domain may have a single label there.
func angleAddress(inner string) (clear, error) {
	at := strings.IndexByte(inner, '@')
	local := localBefore(strings.TrimRight(inner[:at], " \t"))
	after := strings.TrimLeft(inner[at+1:], " \t")
	end := strings.IndexFunc(after, func(r rune) bool { return !isNameRune(r) && r != '.' })
	if end < 0 {
		end = len(after)
	}
	domain := after[:end]
	switch {
	case strings.Contains(after, "@"):
		return clear{}, ErrSeveralAddresses
	case local == "":
		return clear{}, fmt.Errorf("%w: no local part", ErrBadFrom)
	case strings.Trim(domain, ".") == "" || !endsName(after[end:]):
		return clear{}, fmt.Errorf("%w: no domain", ErrBadFrom)
	}
	return clear{local: local, domain: domain}, nil
}

// localBefore is the local part that ends with s; "" if there is none.
func localBefore(s string) string {
	if inner, ok := strings.CutSuffix(s, `"`); ok {
		if open := strings.LastIndexByte(inner, '"'); open >= 0 && open < len(inner)-1 {
			return s[open:]
		}
		return ""
	}
	return s[strings.LastIndexAny(s, " \t<>()[],;:\"@\\")+1:]
}
