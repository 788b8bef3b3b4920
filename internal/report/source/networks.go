package source

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Networks looks up the network of an address. It is safe for concurrent use.
type Networks struct{ db *maxminddb.Reader }

// OpenNetworks opens a database of networks: a file in MaxMind's format with the fields of
// IPinfo Lite (asn, as_name, as_domain) or GeoLite2 ASN. Close it after use.
func OpenNetworks(path string) (*Networks, error) {
	db, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("source: %s: %w", path, err)
	}
	return &Networks{db: db}, nil
}

// Close releases the file.
func (n *Networks) Close() error { return n.db.Close() }

// Look returns the network of an address; the zero Network if the database has none.
func (n *Networks) Look(addr netip.Addr) (Network, error) {
	var row struct {
		ASN    string `maxminddb:"asn"` // such as "AS64496"
		Name   string `maxminddb:"as_name"`
		Domain string `maxminddb:"as_domain"`
		Number uint32 `maxminddb:"autonomous_system_number"`
		Owner  string `maxminddb:"autonomous_system_organization"`
	}
	if err := n.db.Lookup(addr.Unmap()).Decode(&row); err != nil {
		return Network{}, fmt.Errorf("source: the network of %s: %w", addr, err)
	}
	out := Network{Number: row.Number, Owner: cmp.Or(row.Name, row.Owner)}
	if number, err := strconv.ParseUint(strings.TrimPrefix(row.ASN, "AS"), 10, 32); err == nil {
		out.Number = uint32(number)
	}
	if name, err := readKey(strings.ToLower(row.Domain)); err == nil {
		out.Domain = name
	}
	return out, nil
}
