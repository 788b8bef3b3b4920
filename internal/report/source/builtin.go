package source

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

//go:embed services.tsv
var builtin string

// Builtin returns dmarcd's built-in map.
func Builtin() (*Map, error) {
	services, err := readTable(builtin)
	if err != nil {
		return nil, fmt.Errorf("source: the built-in map: %w", err)
	}
	m, faults := newMap(services)
	if len(faults) > 0 {
		return nil, fmt.Errorf("source: the built-in map: %w", errors.Join(faults...))
	}
	return m, nil
}

// Columns of the table, explained in its first lines.
const (
	colDomain = iota
	colLabel
	colKind
	colHosts
	colSigners
	colIncludes
	colSelectors
	colSignStep
	colPathStep
	colEvidence
	tableColumns
)

// readTable parses the table strictly and reports every fault with its line.
func readTable(text string) ([]Service, error) {
	var out []Service
	var faults []error
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		s, err := readLine(line)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", i+1, err))
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(faults...)
}

func readLine(line string) (Service, error) {
	cells := strings.Split(line, "\t")
	if len(cells) != tableColumns {
		return Service{}, fmt.Errorf("%d columns, want %d", len(cells), tableColumns)
	}
	for _, c := range cells {
		if strings.TrimSpace(c) != c || strings.Contains(c, "  ") {
			return Service{}, fmt.Errorf("white space round %q", c)
		}
	}
	domain, err := readKey(cells[colDomain])
	if err != nil {
		return Service{}, err
	}
	s := Service{
		Domain: domain, Label: cells[colLabel], Kind: Kind(cells[colKind]), SignStep: cells[colSignStep], PathStep: cells[colPathStep],
		Evidence: strings.Fields(cells[colEvidence]),
	}
	for _, c := range strings.Fields(cells[colSelectors]) {
		s.Selectors = append(s.Selectors, Selector(c))
	}
	for _, list := range []struct {
		into *[]dns.Name
		cell string
	}{{&s.Hosts, cells[colHosts]}, {&s.Signers, cells[colSigners]}, {&s.Includes, cells[colIncludes]}} {
		for _, word := range strings.Fields(list.cell) {
			name, err := readKey(word)
			if err != nil {
				return Service{}, err
			}
			*list.into = append(*list.into, name)
		}
	}
	return s, s.check()
}

// readKey parses a name that a service may claim: it has a dot, is no public suffix, and is
// not part of the reverse zone.
func readKey(text string) (dns.Name, error) {
	name, err := dns.Parse(text)
	if err != nil {
		return dns.Name{}, err
	}
	switch {
	case name.String() != text:
		return dns.Name{}, fmt.Errorf("%q is written %q", text, name)
	case name.Labels() < 2:
		return dns.Name{}, fmt.Errorf("%q has no dot", text)
	case name.Last(1).String() == "arpa":
		return dns.Name{}, fmt.Errorf("%q is of the reverse zone", text)
	case publicSuffix(name):
		return dns.Name{}, fmt.Errorf("%q is a public suffix", text)
	}
	return name, nil
}

// publicSuffix reports whether others may register names below a name. This includes
// suffixes that their owners added to the list, such as googleapis.com.
func publicSuffix(name dns.Name) bool {
	child, err := name.Child("a")
	return err != nil || dmarc.ListOrg(child) == child
}

// check verifies that a row agrees with its own evidence.
func (s *Service) check() error {
	if s.Label == "" || !slices.Contains(kinds[:], s.Kind) {
		return fmt.Errorf("%s: a label and one of the kinds %v are needed", s.Domain, kinds)
	}
	if len(s.Evidence) == 0 {
		return fmt.Errorf("%s: the row names no evidence", s.Domain)
	}
	for _, e := range s.Evidence {
		filled, known := true, true
		switch e {
		case "suffix", "dkim": // the domain itself serves as both
		case "include":
			filled = len(s.Includes) > 0
		case "selector":
			filled = len(s.Selectors) > 0
		default:
			known = false
		}
		if !known || !filled {
			return fmt.Errorf("%s: evidence %q, which the row does not have", s.Domain, e)
		}
	}
	if len(s.Includes) > 0 && !slices.Contains(s.Evidence, "include") || len(s.Selectors) > 0 && !slices.Contains(s.Evidence, "selector") {
		return fmt.Errorf("%s: an include or selector without its evidence", s.Domain)
	}
	return nil
}
