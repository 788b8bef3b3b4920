package analysis

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/settings"
)

// DefaultPeriod is the period if none is given.
const DefaultPeriod = "30d"

// Bounds of criteria.
const (
	maxValues  = 100 // of one criterion
	maxValue   = 512 // octets
	maxPattern = 16  // "*" in one pattern
)

// Criteria are search criteria as written: on a command line, in a URL, in a request. The
// names in JSON with "-" for "_" are those of flags.
//
// A criterion is a comma-separated list of which any value may match. With a leading "!" none
// may match. A criterion may be repeated: any of the lists without "!" must match, none of
// those with it. Service, host and names are whole values, case-insensitive, in which "*"
// stands for anything. An address is an address, a CIDR block, or the beginning of one.
type Criteria struct {
	Period string `json:"period,omitempty"` // such as 30d, 2026-11, this-month, last-month, all; "" for 30d unless Since or Until is set
	Since  string `json:"since,omitempty"`  // a duration back, a date or a time; its day is included
	Until  string `json:"until,omitempty"`  // likewise

	Domain       []string `json:"domain,omitempty"`
	Service      []string `json:"service,omitempty"`
	Host         []string `json:"host,omitempty"`
	IP           []string `json:"ip,omitempty"`
	Reporter     []string `json:"reporter,omitempty"`
	Result       []string `json:"result,omitempty"`
	Disposition  []string `json:"disposition,omitempty"`
	Reason       []string `json:"reason,omitempty"`
	Policy       []string `json:"policy,omitempty"`
	HeaderFrom   []string `json:"header_from,omitempty"`
	EnvelopeFrom []string `json:"envelope_from,omitempty"`
	SPFDomain    []string `json:"spf_domain,omitempty"`
	DKIMDomain   []string `json:"dkim_domain,omitempty"`
	Selector     []string `json:"selector,omitempty"`
	Label        []string `json:"label,omitempty"`

	IncludeFailed bool `json:"include_failed,omitempty"`
}

// ErrCriteria is wrapped by every error of Parse.
var ErrCriteria = errors.New("analysis: search criteria that cannot be read")

// CriterionError is a fault in one criterion.
type CriterionError struct {
	Name string // such as "header_from"
	Text string // the fault, for people
}

func (e *CriterionError) Error() string { return e.Name + ": " + e.Text }

// Unwrap returns ErrCriteria.
func (e *CriterionError) Unwrap() error { return ErrCriteria }

// Note tells a person how a criterion was interpreted.
type Note struct {
	Name string `json:"name"` // of the criterion
	Text string `json:"text"`
}

// Parse parses the criteria. The error joins a CriterionError for each faulty one.
func (c *Criteria) Parse(now time.Time) (Filter, []Note, error) {
	p := criteriaParser{now: now.UTC()}
	f := Filter{IncludeFailed: c.IncludeFailed}
	p.period(c, &f)
	p.domains(c.Domain, &f)
	for _, m := range []struct {
		name   string
		values []string
		into   *Match
	}{
		{"service", c.Service, &f.Service}, {"host", c.Host, &f.Host}, {"reporter", c.Reporter, &f.Reporter}, {"reason", c.Reason, &f.Reason},
		{"header_from", c.HeaderFrom, &f.HeaderFrom}, {"envelope_from", c.EnvelopeFrom, &f.EnvelopeFrom},
		{"spf_domain", c.SPFDomain, &f.SPFDomain}, {"dkim_domain", c.DKIMDomain, &f.DKIMDomain}, {"selector", c.Selector, &f.Selector},
	} {
		for value, none := range p.each(m.name, m.values) {
			if pattern, ok := p.pattern(m.name, value); ok {
				m.into.add(pattern, none)
			}
		}
	}
	for value, none := range p.each("ip", c.IP) {
		p.address(value, none, &f.IP)
	}
	p.result(c.Result, &f)
	readWords(&p, "disposition", c.Disposition, &f.Disposition, map[string]report.Disposition{
		"none": report.DispositionNone, "pass": report.DispositionPass, "quarantine": report.DispositionQuarantine, "reject": report.DispositionReject, "-": "",
	})
	readWords(&p, "policy", c.Policy, &f.Policy, map[string]report.Policy{
		"none": report.PolicyNone, "quarantine": report.PolicyQuarantine, "reject": report.PolicyReject, "-": "",
	})
	readWords(&p, "label", c.Label, &f.Label, map[string]Label{
		"authorised": LabelAuthorised, "authorized": LabelAuthorised, "forwarder": LabelForwarder, "ignore": LabelIgnore, "-": LabelNone,
	})
	return f, p.notes, errors.Join(p.errs...)
}

func (m *Match) add(p Pattern, none bool) {
	if none {
		m.None = append(m.None, p)
	} else {
		m.Any = append(m.Any, p)
	}
}

// criteriaParser collects faults and notes.
type criteriaParser struct {
	now   time.Time
	errs  []error
	notes []Note
}

func (p *criteriaParser) fault(name, format string, args ...any) {
	p.errs = append(p.errs, &CriterionError{Name: name, Text: fmt.Sprintf(format, args...)})
}

func (p *criteriaParser) note(name, format string, args ...any) {
	p.notes = append(p.notes, Note{Name: name, Text: fmt.Sprintf(format, args...)})
}

// each returns the single values of a criterion, and whether they are negated. It skips empty
// values, which forms send.
func (p *criteriaParser) each(name string, lists []string) func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		n := 0
		for _, list := range lists {
			list, none := strings.CutPrefix(strings.TrimSpace(list), "!")
			for i, value := range strings.Split(list, ",") {
				value = strings.TrimSpace(value)
				if none && i > 0 {
					value = strings.TrimPrefix(value, "!")
				}
				switch {
				case value == "":
					continue
				case value[0] == '!':
					p.fault(name, "a list is either wanted or, with \"!\" in front of it, unwanted; give %q as a criterion of its own", value)
					continue
				case len(value) > maxValue:
					p.fault(name, "a value of over %d octets", maxValue)
					continue
				}
				if n++; n > maxValues {
					p.fault(name, "over %d values", maxValues)
					return
				}
				if !yield(value, none) {
					return
				}
			}
		}
	}
}

// pattern parses a value that may contain "*".
func (p *criteriaParser) pattern(name, value string) (Pattern, bool) {
	if strings.Count(value, "*") > maxPattern {
		p.fault(name, "over %d \"*\" in one value", maxPattern)
		return "", false
	}
	value = strings.ToLower(value)
	if name != "selector" && name != "reporter" && name != "reason" {
		value = strings.TrimSuffix(aLabels(value), ".")
	}
	return Pattern(value), true
}

// aLabels converts U-labels of a pattern to A-labels, as names are stored, unless they
// contain "*".
func aLabels(value string) string {
	labels := strings.Split(value, ".")
	for i, label := range labels {
		if strings.Contains(label, "*") {
			continue
		}
		if name, err := dns.Parse(label); err == nil {
			labels[i] = name.String()
		}
	}
	return strings.Join(labels, ".")
}

// domains parses the managed domains.
func (p *criteriaParser) domains(lists []string, f *Filter) {
	for value, none := range p.each("domain", lists) {
		name, err := dns.Parse(value)
		switch {
		case err != nil:
			p.fault("domain", "%q is not a domain name", value)
		case none:
			f.Without = append(f.Without, name)
		default:
			f.Domain = append(f.Domain, name)
		}
	}
}

// result parses whether messages are compliant.
func (p *criteriaParser) result(lists []string, f *Filter) {
	var want []Result
	for value, none := range p.each("result", lists) {
		word := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(value))
		switch {
		case word == "compliant" || word == "pass":
			word = string(ResultCompliant)
		case word == "not_compliant" || word == "noncompliant" || word == "non_compliant" || word == "fail":
			word = string(ResultNotCompliant)
		default:
			p.fault("result", "%q is neither compliant nor not_compliant", value)
			continue
		}
		if none == (word == string(ResultCompliant)) {
			word = string(ResultNotCompliant)
		} else {
			word = string(ResultCompliant)
		}
		if !slices.Contains(want, Result(word)) {
			want = append(want, Result(word))
		}
	}
	if len(want) == 1 {
		f.Result = want[0]
	}
}

// readWords parses words of a list.
func readWords[T ~string](p *criteriaParser, name string, lists []string, into *Words[T], known map[string]T) {
	for value, none := range p.each(name, lists) {
		word, ok := known[strings.ToLower(value)]
		switch {
		case !ok:
			p.fault(name, "%q is none of %s", value, knownWords(known))
		case none:
			into.None = append(into.None, word)
		default:
			into.Any = append(into.Any, word)
		}
	}
}

func knownWords[T ~string](known map[string]T) string {
	var words []string
	for word, is := range known {
		if word == string(is) || word == "-" {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// address parses an address, a CIDR block or the beginning of an address.
func (p *criteriaParser) address(value string, none bool, into *Addresses) {
	r, ok := p.addressRange(strings.ToLower(value))
	switch {
	case !ok:
	case none:
		into.None = append(into.None, r)
	default:
		into.Any = append(into.Any, r)
	}
}

func (p *criteriaParser) addressRange(value string) (AddressRange, bool) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return AddressRange{Network: netip.PrefixFrom(addr, addr.BitLen())}, true
	}
	if address, bits, ok := strings.Cut(value, "/"); ok {
		return p.network(value, address, bits)
	}
	beginning, ok := addressBeginning(value)
	if !ok {
		p.fault("ip", "%q is no address, CIDR block or beginning of an address", value)
		return AddressRange{}, false
	}
	if last := beginning[len(beginning)-1]; last != '.' && last != ':' {
		if strings.Contains(beginning, ".") || !strings.Contains(beginning, ":") && len(beginning) < 3 {
			p.note("ip", "%q is taken as the beginning of an address: %s also matches %s0.…; end it in a dot for one number", value, beginning, beginning)
		}
	}
	return AddressRange{Beginning: beginning}, true
}

// network parses a CIDR block; host bits are masked.
func (p *criteriaParser) network(value, address, bits string) (AddressRange, bool) {
	addr, err := netip.ParseAddr(address)
	n, err2 := strconv.Atoi(bits)
	if err != nil || err2 != nil || addr.Zone() != "" {
		p.fault("ip", "%q is no CIDR block such as 192.0.2.0/24 or 2001:db8::/32", value)
		return AddressRange{}, false
	}
	if addr.Is4In6() && n >= 96 {
		addr, n = addr.Unmap(), n-96
	}
	network, err := addr.Prefix(n)
	if err != nil {
		p.fault("ip", "%q: a block of %d bits is not possible", value, n)
		return AddressRange{}, false
	}
	if network.Addr() != addr {
		p.note("ip", "%q has bits set outside of its block; read as %s", value, network)
	}
	return AddressRange{Network: network}, true
}

// addressBeginning returns the beginning in canonical form: IPv4 numbers of at most 255, or
// groups of IPv6 without leading zeros.
func addressBeginning(value string) (string, bool) {
	if strings.Contains(value, ":") {
		groups := strings.Split(value, ":")
		if len(groups) > 8 {
			return "", false
		}
		for i, group := range groups {
			if len(group) > 4 || strings.Trim(group, "0123456789abcdef") != "" {
				return "", false
			}
			if trimmed := strings.TrimLeft(group, "0"); i < len(groups)-1 && group != "" {
				groups[i] = trimmed
				if trimmed == "" {
					groups[i] = "0"
				}
			}
		}
		return strings.Join(groups, ":"), true
	}
	if !strings.Contains(value, ".") && len(value) <= 4 && strings.Trim(value, "0123456789abcdef") == "" {
		return value, value != ""
	}
	numbers := strings.Split(value, ".")
	if len(numbers) > 4 {
		return "", false
	}
	for i, number := range numbers {
		n, err := strconv.Atoi(number)
		open := i == len(numbers)-1 && number == "" && i > 0
		if !open && (err != nil || n < 0 || n > 255 || strconv.Itoa(n) != number) {
			return "", false
		}
	}
	return value, true
}

// period parses the days.
func (p *criteriaParser) period(c *Criteria, f *Filter) {
	today := memory.DayOf(p.now)
	f.To = today
	if c.Period != "" && (c.Since != "" || c.Until != "") {
		p.fault("period", "a period goes with neither since nor until")
		return
	}
	if c.Since == "" && c.Until == "" {
		p.named(c.Period, today, f)
		return
	}
	if f.From = 0; c.Since != "" {
		f.From = p.moment("since", c.Since)
	}
	if c.Until != "" {
		f.To = p.moment("until", c.Until)
	}
	if f.From > f.To && len(p.errs) == 0 {
		p.fault("since", "%s is after %s", f.From, f.To)
	}
}

// named parses a period by its name or length.
func (p *criteriaParser) named(period string, today memory.Day, f *Filter) {
	first := time.Date(p.now.Year(), p.now.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch period = strings.ToLower(strings.TrimSpace(period)); period {
	case "":
		period = DefaultPeriod
	case "all":
		f.All = true
		return
	case "this-month":
		f.From = memory.DayOf(first)
		return
	case "last-month":
		f.From, f.To = memory.DayOf(first.AddDate(0, -1, 0)), memory.DayOf(first)-1
		return
	}
	if month, err := time.Parse("2006-01", period); err == nil {
		f.From, f.To = memory.DayOf(month), memory.DayOf(month.AddDate(0, 1, 0))-1
		return
	}
	length, err := settings.ParseDuration(period)
	if err != nil || length <= 0 {
		p.fault("period", "%q is no period; write 30d, 2026-11, this-month, last-month or all", period)
		return
	}
	days := memory.Day((length + 24*time.Hour - 1) / (24 * time.Hour))
	f.From = today - days + 1
}

// moment parses a duration back, a date or a time, and returns its day.
func (p *criteriaParser) moment(name, text string) memory.Day {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return memory.DayOf(at)
		}
	}
	back, err := settings.ParseDuration(text)
	if err != nil {
		p.fault(name, "%v; a date such as 2026-11-20 or a time of RFC 3339 do as well", err)
		return 0
	}
	return memory.DayOf(p.now.Add(-back))
}
