package source

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
)

// Bounds of an operator's map.
const (
	maxOverlayBytes = 64 << 20
	maxOverlayRows  = 500_000
	maxOverlayNotes = 10 // skipped rows that are reported individually
)

// Overlaid counts the outcomes for the rows of an operator's map.
type Overlaid struct {
	Rows  int // rows with a service in the map
	Known int // names already part of another service
	Left  int // skipped rows
	Notes []string
}

// overlayTypes maps the words of the file, in lower case, to kinds. The kinds themselves are
// also words; any other is KindOther.
var overlayTypes = map[string]Kind{
	"email provider": KindMailbox, "email security": KindSecurity, "saas": KindBusiness, "paas": KindHosting, "iaas": KindHosting,
	"web host": KindHosting, "isp": KindAccess,
}

// Overlay merges an operator's map into this one: a CSV file whose first line names its
// columns. base_reverse_dns (the domain), name and type are required; includes, selectors,
// dkim and networks are optional, each a space-separated list. A domain that is a service
// here gets the name and type of the file; one that is part of a service here stays part of
// it. Unusable rows are skipped and reported. The map itself is not changed.
func (m *Map) Overlay(r io.Reader) (*Map, Overlaid, error) {
	limited := &io.LimitedReader{R: r, N: maxOverlayBytes + 1}
	in := csv.NewReader(limited)
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	o := overlay{base: m, at: map[dns.Name]int{}}
	for _, s := range m.Services() {
		o.at[s.Domain] = len(o.services)
		o.services = append(o.services, *s)
	}
	head, err := in.Read()
	if err == nil {
		err = o.head(head)
	}
	for rows := 0; err == nil; rows++ {
		var cells []string
		if cells, err = in.Read(); err == nil {
			line, _ := in.FieldPos(0)
			o.row(line, cells)
		}
		if limited.N <= 0 || rows > maxOverlayRows {
			err = fmt.Errorf("over %d rows or %d MiB", maxOverlayRows, maxOverlayBytes>>20)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, Overlaid{}, fmt.Errorf("source map: %w", err)
	}
	out, faults := newMap(o.services)
	for _, f := range faults { // the first claim wins
		o.note(f.Error())
	}
	return out, o.done, nil
}

// overlay is the state of reading one file.
type overlay struct {
	base     *Map
	services []Service
	at       map[dns.Name]int // indexes in services
	seen     map[dns.Name]bool
	columns  map[string]int
	done     Overlaid
}

func (o *overlay) head(cells []string) error {
	o.columns, o.seen = map[string]int{}, map[dns.Name]bool{}
	for i, c := range cells {
		o.columns[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(c, "\ufeff")))] = i
	}
	for _, c := range []string{"base_reverse_dns", "name", "type"} {
		if _, ok := o.columns[c]; !ok {
			return fmt.Errorf("the first line does not name the column %q", c)
		}
	}
	return nil
}

// note reports a skipped row.
func (o *overlay) note(text string) {
	o.done.Left++
	if len(o.done.Notes) < maxOverlayNotes {
		o.done.Notes = append(o.done.Notes, text)
	}
}

func (o *overlay) row(line int, cells []string) {
	cell := func(column string) string {
		if i, ok := o.columns[column]; ok && i < len(cells) {
			return strings.TrimSpace(cells[i])
		}
		return ""
	}
	key, err := readKey(strings.ToLower(strings.TrimSuffix(cell("base_reverse_dns"), ".")))
	switch {
	case err != nil:
		o.note(fmt.Sprintf("line %d: %v", line, err))
		return
	case cell("name") == "":
		o.note(fmt.Sprintf("line %d: %s has no name", line, key))
		return
	case o.seen[key]:
		o.note(fmt.Sprintf("line %d: %s stands there twice", line, key))
		return
	}
	o.seen[key] = true
	if o.base.hosts[key] != nil && o.base.services[key] == nil {
		o.done.Known++
		return
	}
	i, ok := o.at[key]
	if !ok {
		i = len(o.services)
		o.at[key] = i
		o.services = append(o.services, Service{Domain: key})
	}
	s := &o.services[i]
	s.Label, s.Kind = cell("name"), overlayKind(cell("type"))
	if err := s.extend(cell("includes"), cell("selectors"), cell("dkim"), cell("networks")); err != nil {
		o.note(fmt.Sprintf("line %d: %s: %v", line, key, err))
	}
	o.done.Rows++
}

func overlayKind(word string) Kind {
	word = strings.ToLower(word)
	if k, ok := overlayTypes[word]; ok {
		return k
	}
	if k := Kind(word); slices.Contains(kinds[:], k) {
		return k
	}
	return KindOther
}

// extend adds the optional columns of a row. It stops at the first fault.
func (s *Service) extend(includes, selectors, dkim, networks string) error {
	// The lists belong to the map below: appending must not overwrite them.
	s.Includes, s.Signers, s.Selectors, s.Networks = slices.Clip(s.Includes), slices.Clip(s.Signers), slices.Clip(s.Selectors), slices.Clip(s.Networks)
	for _, list := range []struct {
		into *[]dns.Name
		cell string
	}{{&s.Includes, includes}, {&s.Signers, dkim}} {
		for _, word := range strings.Fields(list.cell) {
			name, err := readKey(strings.ToLower(word))
			if err != nil {
				return err
			}
			if !slices.Contains(*list.into, name) {
				*list.into = append(*list.into, name)
			}
		}
	}
	for _, word := range strings.Fields(selectors) {
		if p := Selector(strings.ToLower(word)); !slices.Contains(s.Selectors, p) {
			s.Selectors = append(s.Selectors, p)
		}
	}
	for _, word := range strings.Fields(networks) {
		n, err := readNetwork(word)
		if err != nil {
			return err
		}
		s.Networks = append(s.Networks, n)
	}
	return nil
}

// readNetwork parses a CIDR block or an address.
func readNetwork(word string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(word); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	n, err := netip.ParsePrefix(word)
	return n.Masked(), err
}
