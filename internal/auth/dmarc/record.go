package dmarc

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on one record. RFC 9989 has none; a practical record has a dozen tags and a
// few URIs. The excess is ignored with a warning.
const (
	maxTags     = 64
	maxURIs     = 20 // in each of rua and ruf
	maxWarnings = 16
)

// version is the only value of the v tag (RFC 9989 section 4.7).
const version = "DMARC1"

// ErrNotDMARC means that a text does not begin with "v=DMARC1" as a whole tag. Such
// a TXT record is ignored (RFC 9989 section 4.10).
var ErrNotDMARC = errors.New("dmarc: not a DMARC record")

// Mode is how closely an identifier must match the author domain to align (RFC 9989
// section 4.7, adkim and aspf).
type Mode string

// Modes.
const (
	Relaxed Mode = "r" // same organizational domain
	Strict  Mode = "s" // same domain
)

// PSD is what a record states about its domain (RFC 9989 section 4.7).
type PSD string

// Values of the psd tag.
const (
	PSDYes     PSD = "y" // a public suffix domain
	PSDNo      PSD = "n" // an organizational domain
	PSDUnknown PSD = "u" // either, or neither: the walk continues
)

// Record is one parsed DMARC policy record (RFC 9989 section 4.7); it never changes.
// Absent or invalid tags have their defaults.
type Record struct {
	Text string // as published, its character-strings joined

	// P, SP and NP are "" if the tag is absent. If the record is Voided or Unusable, P is
	// PolicyNone and the others are "", whatever Text contains.
	P, SP, NP Policy
	ADKIM     Mode
	ASPF      Mode
	PSD       PSD
	Testing   bool   // t=y: apply the next lower policy
	FO        string // "0", or the requested ones of "0" or "1", "d" and "s", separated by colons; without RUF it means nothing
	RUA       []URI  // where aggregate reports go; invalid ones omitted
	RUF       []URI  // where failure reports go; invalid ones omitted

	// Voided: a policy tag is missing or invalid, but there is a reporting URI. The
	// record acts as "p=none" (RFC 9989 section 4.10.1).
	Voided bool
	// Unusable: a policy tag is missing or invalid, and there is no reporting URI.
	// Where this record governs, DMARC is not applied (RFC 9989 section 4.10.1).
	Unusable bool
	// Warnings list what was ignored or replaced by a default, in order of occurrence.
	// Remote text in them is quoted and cut.
	Warnings []string
}

// ParseRecord parses the text of one TXT record. It accepts the version tag in upper
// case: the owner of "V=DMARC1" wants DMARC. Its only error wraps ErrNotDMARC. All
// other errors cause a warning, because syntax errors after the version are to be
// ignored (RFC 9989 section 4.8).
func ParseRecord(txt string) (*Record, error) {
	first, rest, _ := strings.Cut(txt, ";")
	name, value, _ := strings.Cut(first, "=")
	if !strings.EqualFold(trim(name), "v") || trim(value) != version {
		return nil, fmt.Errorf("%w: %s", ErrNotDMARC, quote(txt))
	}
	r := &Record{Text: txt, ADKIM: Relaxed, ASPF: Relaxed, PSD: PSDUnknown, FO: "0"}
	if trim(name) != "v" {
		r.warn("the version tag is in upper case; others may not read the record")
	}
	if strings.ContainsAny(txt, "\r\n") {
		r.warn("line ends in the record; others may not read it")
	}
	p := recordParser{Record: r, seen: tagV}
	for n := 0; rest != ""; {
		var tag string
		tag, rest, _ = strings.Cut(rest, ";")
		if tag = trim(tag); tag == "" {
			continue
		}
		if n++; n > maxTags {
			r.warn("over %d tags; the rest is ignored", maxTags)
			break
		}
		p.tag(tag)
	}
	p.finish()
	return r, nil
}

// tags is a set of known tags.
type tags uint16

const (
	tagV tags = 1 << iota
	tagP
	tagSP
	tagNP
	tagADKIM
	tagASPF
	tagPSD
	tagT
	tagFO
	tagRUA
	tagRUF
	tagHistoric // pct, rf, ri: of RFC 7489, without effect now
)

// known returns the tag of a name.
func known(name string) tags {
	switch name {
	case "v":
		return tagV
	case "p":
		return tagP
	case "sp":
		return tagSP
	case "np":
		return tagNP
	case "adkim":
		return tagADKIM
	case "aspf":
		return tagASPF
	case "psd":
		return tagPSD
	case "t":
		return tagT
	case "fo":
		return tagFO
	case "rua":
		return tagRUA
	case "ruf":
		return tagRUF
	case "pct", "rf", "ri":
		return tagHistoric
	}
	return 0
}

// recordParser is a Record and the state of its parsing.
type recordParser struct {
	*Record
	seen    tags
	invalid bool // the value of p, sp or np is not a policy
}

func (p *recordParser) tag(text string) {
	name, value, ok := strings.Cut(text, "=")
	name, value = trim(name), trim(value)
	t := known(name)
	switch {
	case !ok:
		p.warn("%s is no tag", quote(text))
	case t == 0:
		p.warn("unknown tag %s", quote(name))
	case t == tagHistoric:
		if name == "pct" && value != "100" {
			p.warn("pct has no effect since RFC 9989")
		}
	case p.seen&t != 0:
		p.warn("%s stands twice; the first counts", name)
	default:
		p.seen |= t
		p.set(t, name, value)
	}
}

// set parses the value of a known tag at its first occurrence.
func (p *recordParser) set(t tags, name, value string) {
	ok := true
	switch t {
	case tagP:
		p.P, ok = policy(value)
		p.invalid = p.invalid || !ok
	case tagSP:
		p.SP, ok = policy(value)
		p.invalid = p.invalid || !ok
	case tagNP:
		p.NP, ok = policy(value)
		p.invalid = p.invalid || !ok
	case tagADKIM:
		p.ADKIM, ok = mode(value)
	case tagASPF:
		p.ASPF, ok = mode(value)
	case tagPSD:
		p.PSD, ok = psd(value)
	case tagT:
		p.Testing = strings.EqualFold(value, "y")
		ok = p.Testing || strings.EqualFold(value, "n")
	case tagFO:
		p.FO, ok = failureOptions(value)
	case tagRUA:
		p.RUA = p.uris(name, value)
	case tagRUF:
		p.RUF = p.uris(name, value)
	}
	if !ok {
		p.warn("%s has the invalid value %s", name, quote(value))
	}
}

// finish evaluates the policy tags together: a missing p, or an invalid value of any
// of the three, voids them all (RFC 9989 section 4.10.1).
func (p *recordParser) finish() {
	if p.P != "" && !p.invalid {
		return
	}
	if p.seen&tagP == 0 {
		p.warn("no p tag")
	}
	p.P, p.SP, p.NP = PolicyNone, "", ""
	p.Voided = len(p.RUA) > 0
	p.Unusable = !p.Voided
	if p.Voided {
		p.warn("acts as p=none")
	} else {
		p.warn("without a valid policy and a reporting URI it is not applied")
	}
}

func (r *Record) warn(format string, args ...any) {
	if len(r.Warnings) < maxWarnings {
		r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
	}
}

// policy parses the value of p, sp or np. ABNF literals are case-insensitive (RFC
// 5234 section 2.3).
func policy(v string) (Policy, bool) {
	switch {
	case strings.EqualFold(v, string(PolicyNone)):
		return PolicyNone, true
	case strings.EqualFold(v, string(PolicyQuarantine)):
		return PolicyQuarantine, true
	case strings.EqualFold(v, string(PolicyReject)):
		return PolicyReject, true
	}
	return "", false
}

func mode(v string) (Mode, bool) {
	if strings.EqualFold(v, string(Strict)) {
		return Strict, true
	}
	return Relaxed, strings.EqualFold(v, string(Relaxed))
}

func psd(v string) (PSD, bool) {
	switch {
	case strings.EqualFold(v, string(PSDYes)):
		return PSDYes, true
	case strings.EqualFold(v, string(PSDNo)):
		return PSDNo, true
	}
	return PSDUnknown, strings.EqualFold(v, string(PSDUnknown))
}

// failureOptions parses the value of fo: each option once, 0 and 1 not together.
func failureOptions(v string) (string, bool) {
	const options = "01ds" // in the order of output
	var set [len(options)]bool
	for rest, more := v, true; more; {
		var o string
		o, rest, more = strings.Cut(rest, ":")
		o = strings.ToLower(trim(o))
		i := strings.Index(options, o)
		if len(o) != 1 || i < 0 || set[i] {
			return "0", false
		}
		set[i] = true
	}
	if set[0] && set[1] {
		return "0", false
	}
	if v == "0" || v == "1" {
		return v, true
	}
	var out []string
	for i, there := range set {
		if there {
			out = append(out, options[i:i+1])
		}
	}
	return strings.Join(out, ":"), true
}

// uris parses the value of rua or ruf. It drops only the URIs that are invalid.
func (r *Record) uris(name, value string) []URI {
	var out []URI
	for rest, more := value, true; more; {
		var text string
		text, rest, more = strings.Cut(rest, ",")
		if text = trim(text); text == "" {
			continue
		}
		if len(out) == maxURIs {
			r.warn("%s has over %d URIs; the rest is ignored", name, maxURIs)
			break
		}
		u, err := parseURI(text)
		if err != nil {
			r.warn("%s: %s is no reporting URI: %v", name, quote(text), err)
			continue
		}
		out = append(out, u)
	}
	if len(out) == 0 {
		r.warn("%s has no reporting URI", name)
	}
	return out
}

// String prints the record in a form that parses to the same value, except for Text
// and Warnings. It omits tags that have their default.
func (r *Record) String() string {
	b := []byte("v=" + version)
	tag := func(name, value, usual string) {
		if value != usual {
			b = append(b, "; "...)
			b = append(b, name...)
			b = append(b, '=')
			b = append(b, value...)
		}
	}
	if !r.Voided && !r.Unusable {
		tag("p", string(r.P), "")
		tag("sp", string(r.SP), "")
		tag("np", string(r.NP), "")
	}
	tag("adkim", string(r.ADKIM), string(Relaxed))
	tag("aspf", string(r.ASPF), string(Relaxed))
	tag("psd", string(r.PSD), string(PSDUnknown))
	if r.Testing {
		tag("t", "y", "n")
	}
	tag("fo", r.FO, "0")
	tag("rua", join(r.RUA), "")
	tag("ruf", join(r.RUF), "")
	return string(b)
}

// trim removes space and tab, which the grammar allows around separators, and line
// ends, which pasted records contain.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// quote makes remote text safe for a log, on one line.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
