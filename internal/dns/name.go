// Package dns provides DNS terms for the protocol packages without network access:
// names, label walking, and the reasons why a look-up returned no records.
package dns

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of a name in text form (RFC 1035 section 2.3.4): 255 octets in wire form, minus
// the root and the first length octet, leave 253.
const (
	maxNameLen  = 253
	maxLabelLen = 63
)

// Name is a DNS name in A-label form, lower case, without the final dot. The zero Name
// is "no name", such as the domain of the null reverse-path. Only Parse, ParseQuery and
// the methods below make one, so every Name can be queried; == compares names.
//
// Labels are any printable ASCII but dot and space: DNS allows it (RFC 2181 section 11)
// and SPF macros and "_dmarc" need it. A Name of ParseQuery may also contain spaces. Code
// that prints a Name into a header or a log must still quote it.
type Name struct{ s string }

// ErrBadName is wrapped by every error of Parse.
var ErrBadName = errors.New("dns: not a domain name")

// Parse parses a name as written in mail or in a record. It removes one final dot, lowers
// letters, and converts U-labels to A-labels (RFC 5891, RFC 9989 section 4.10.1 and RFC
// 8616 section 3). An empty string, an empty label, a label of over 63 or a name of over
// 253 octets is an error that wraps ErrBadName.
func Parse(s string) (Name, error) { return parse(s, '!') }

// ParseQuery is Parse for a name that is queried but not shown, such as the target of an
// SPF macro: a label may contain a space (RFC 7208 section 7.1, "%_").
func ParseQuery(s string) (Name, error) { return parse(s, ' ') }

// parse accepts octets from lowest to "~" in a label.
func parse(s string, lowest byte) (Name, error) {
	t := strings.TrimSuffix(s, ".")
	if t == "" {
		return Name{}, fmt.Errorf("%w: empty", ErrBadName)
	}
	if len(t) > 4*maxNameLen { // a U-label has at least a quarter of the octets of its A-label
		return Name{}, fmt.Errorf("%w: %d octets", ErrBadName, len(t))
	}
	plain, upper := scan(t)
	if !plain {
		a, err := toASCII(t)
		if err != nil {
			return Name{}, fmt.Errorf("%w: %q: %v", ErrBadName, cut(s), err)
		}
		t = a
	} else if upper {
		t = strings.ToLower(t)
	}
	if err := checkLabels(t, lowest); err != nil {
		return Name{}, fmt.Errorf("%w: %q: %v", ErrBadName, cut(s), err)
	}
	return Name{s: t}, nil
}

// MustParse is Parse for constant names; it panics on an error.
func MustParse(s string) Name {
	n, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return n
}

// scan reports whether s is ASCII and whether it has upper-case letters.
func scan(s string) (plain, upper bool) {
	plain = true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x80:
			plain = false
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	return plain, upper
}

// toASCII converts the U-labels of s label by label, so that a plain label beside them,
// such as "_dmarc", stays unchanged.
func toASCII(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("not UTF-8")
	}
	// IDEOGRAPHIC FULL STOP and its two forms separate labels too (RFC 5895 section 2).
	s = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".").Replace(s)
	labels := strings.Split(s, ".")
	for i, l := range labels {
		if plain, _ := scan(l); plain {
			labels[i] = strings.ToLower(l)
			continue
		}
		a, err := idna.Lookup.ToASCII(l)
		if err != nil {
			return "", err
		}
		labels[i] = a
	}
	return strings.TrimSuffix(strings.Join(labels, "."), "."), nil
}

func checkLabels(s string, lowest byte) error {
	if len(s) > maxNameLen {
		return fmt.Errorf("%d octets, over %d", len(s), maxNameLen)
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if s[i] < lowest || s[i] >= 0x7f {
				return fmt.Errorf("octet %#02x in a label", s[i])
			}
			continue
		}
		switch n := i - start; {
		case n == 0:
			return errors.New("empty label")
		case n > maxLabelLen:
			return fmt.Errorf("label of %d octets, over %d", n, maxLabelLen)
		}
		start = i + 1
	}
	return nil
}

func cut(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// String returns the name in A-label form, "" for the zero Name.
func (n Name) String() string { return n.s }

// IsZero reports whether n is "no name".
func (n Name) IsZero() bool { return n.s == "" }

// Labels counts the labels of n; 0 for the zero Name.
func (n Name) Labels() int {
	if n.s == "" {
		return 0
	}
	return strings.Count(n.s, ".") + 1
}

// Parent is n without its leftmost label; the zero Name if none is left.
func (n Name) Parent() Name {
	if i := strings.IndexByte(n.s, '.'); i >= 0 {
		return Name{s: n.s[i+1:]}
	}
	return Name{}
}

// Last is the name of the rightmost labels of n: n itself if it has no more than that,
// the zero Name if labels is not positive.
func (n Name) Last(labels int) Name {
	if labels <= 0 {
		return Name{}
	}
	for i := len(n.s) - 1; i >= 0; i-- {
		if n.s[i] == '.' {
			if labels--; labels == 0 {
				return Name{s: n.s[i+1:]}
			}
		}
	}
	return n
}

// IsBelow reports whether n is a strict descendant of ancestor. Nothing is below the zero
// Name.
func (n Name) IsBelow(ancestor Name) bool {
	cut := len(n.s) - len(ancestor.s)
	return ancestor.s != "" && cut > 1 && n.s[cut-1] == '.' && n.s[cut:] == ancestor.s
}

// Child prepends the labels of prefix, such as "_dmarc" or "s1._domainkey", to n. If no
// query can carry the result, the error wraps ErrBadName.
func (n Name) Child(prefix string) (Name, error) {
	if n.s == "" {
		return Name{}, fmt.Errorf("%w: empty", ErrBadName)
	}
	return Parse(prefix + "." + n.s)
}

// MarshalText is String.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is Parse, and the zero Name for an empty text.
func (n *Name) UnmarshalText(b []byte) (err error) {
	if *n = (Name{}); len(b) > 0 {
		*n, err = Parse(string(b))
	}
	return err
}
