package spftest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Zone is the DNS data of a suite by name, lower case, without the final dot.
type Zone map[string][]Record

// Record is one record as check_host() may ask for it. The suites' SPF records
// are TXT records here (where the name has none of its own), and what times out
// says so by type.
type Record struct {
	Type  string // TXT, A, AAAA, MX, PTR or CNAME
	Value string // octets of a TXT, address, or host ("" for the root)
	// Timeout: there is no record, and a query for Type gets no answer.
	Timeout bool
}

// types are those that a query of check_host() may have.
var types = []string{"TXT", "A", "AAAA", "MX", "PTR"}

func readZone(data map[string][]yaml.Node) (Zone, error) {
	z := Zone{}
	for name, nodes := range data {
		records, err := readRecords(nodes)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", name, err)
		}
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		z[key] = append(z[key], records...)
	}
	return z, nil
}

// readRecords follows the suites' conventions: SPF records are published as TXT
// unless the name has TXT records, "TXT: NONE" means not even those, and TIMEOUT
// strikes the types that have no record.
func readRecords(nodes []yaml.Node) ([]Record, error) {
	var out, fromSPF []Record
	timeout, ownTXT := false, false
	for i := range nodes {
		n := &nodes[i]
		if n.Kind == yaml.ScalarNode && n.Value == "TIMEOUT" {
			timeout = true
			continue
		}
		if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
			return nil, errors.New("neither a record nor TIMEOUT")
		}
		typ, value := n.Content[0].Value, scalars(n.Content[1])
		switch typ {
		case "SPF":
			if len(value) > 0 {
				fromSPF = append(fromSPF, Record{Type: "TXT", Value: octets(strings.Join(value, ""))})
			}
		case "TXT":
			ownTXT = true
			if len(value) != 1 || value[0] != "NONE" {
				out = append(out, Record{Type: "TXT", Value: octets(strings.Join(value, ""))})
			}
		case "TIMEOUT", "SERVFAIL", "CNAMELOOP": // words of the copy in the module
			timeout = true
		case "A", "AAAA", "MX", "PTR", "CNAME":
			if len(value) == 0 {
				return nil, fmt.Errorf("empty %s record", typ)
			}
			last := value[len(value)-1] // an MX has its preference first, which no check looks at
			out = append(out, Record{Type: typ, Value: strings.TrimSuffix(last, ".")})
		default:
			return nil, fmt.Errorf("unknown record type %q", typ)
		}
	}
	if !ownTXT {
		out = append(out, fromSPF...)
	}
	for _, typ := range types {
		if timeout && !slices.ContainsFunc(out, func(r Record) bool { return r.Type == typ }) {
			out = append(out, Record{Type: typ, Timeout: true})
		}
	}
	return out, nil
}

// octets gives the octets that a suite writes as "\xEF": YAML reads that as a
// character.
func octets(s string) string {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			b = append(b, string(r)...)
			continue
		}
		b = append(b, byte(r))
	}
	return string(b)
}

// MasterFile gives the zone as text for dnstest.ParseZone: records in master-file
// form, and fault lines for what times out.
func (z Zone) MasterFile() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(z)) {
		owner := hostText(name)
		for i, r := range z[name] {
			switch {
			case r.Timeout:
				fmt.Fprintf(&b, "%s FAULT timeout %s\n", owner, r.Type)
			case r.Type == "TXT":
				fmt.Fprintf(&b, "%s TXT %s\n", owner, stringText(r.Value))
			case r.Type == "MX":
				fmt.Fprintf(&b, "%s MX %d %s\n", owner, i, hostText(r.Value)) // keeps their order
			case r.Type == "A" || r.Type == "AAAA":
				fmt.Fprintf(&b, "%s %s %s\n", owner, r.Type, r.Value)
			default:
				fmt.Fprintf(&b, "%s %s %s\n", owner, r.Type, hostText(r.Value))
			}
		}
	}
	return b.String()
}

// hostText writes a name, RFC 1035 section 5.1.
func hostText(name string) string {
	if name == "" {
		return "."
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%03d", c)
		case strings.IndexByte(`"\;()@$`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "."
}

// stringText writes character-strings of at most 255 octets, RFC 1035 section 5.1.
func stringText(s string) string {
	const most = 255
	var b strings.Builder
	for first := true; first || s != ""; first = false {
		if !first {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		n := min(len(s), most)
		for i := range n {
			switch c := s[i]; {
			case c < ' ' || c >= 0x7f:
				fmt.Fprintf(&b, "\\%03d", c)
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		s = s[n:]
	}
	return b.String()
}
