package source_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/report/source"
)

// mmdb writes a database of MaxMind's format (version 2.0) with the fields of one
// network of IPv4, the only one that is in it.
func mmdb(network netip.Prefix, fields map[string]any) []byte {
	const size = 24 // bits of a record
	nodes := network.Bits()
	var tree bytes.Buffer
	record := func(n int) { tree.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }
	bits := network.Addr().As4()
	for i := range nodes {
		next := i + 1
		if next == nodes {
			next = nodes + 16 // the beginning of the data
		}
		if bits[i/8]>>(7-i%8)&1 == 0 {
			record(next)
			record(nodes) // nothing
		} else {
			record(nodes)
			record(next)
		}
	}
	out := append(tree.Bytes(), make([]byte, 16)...)
	out = append(out, encode(fields)...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return append(out, encode(map[string]any{
		"node_count": uint32(nodes), "record_size": uint32(size), "ip_version": uint32(4), "database_type": "Test",
		"binary_format_major_version": uint32(2), "binary_format_minor_version": uint32(0), "build_epoch": uint32(1), "description": map[string]any{},
		"languages": []string{},
	})...)
}

func encode(v any) []byte {
	switch v := v.(type) {
	case string:
		if len(v) < 29 {
			return append([]byte{2<<5 | byte(len(v))}, v...)
		}
		return append([]byte{2<<5 | 29, byte(len(v) - 29)}, v...)
	case uint32:
		return []byte{6<<5 | 4, byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	case []string:
		return []byte{byte(len(v)), 11 - 7}
	case map[string]any:
		out := []byte{7<<5 | byte(len(v))}
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			out = append(append(out, encode(k)...), encode(v[k])...)
		}
		return out
	}
	return nil
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields map[string]any
		want   source.Network
	}{
		{
			"IPinfo Lite", map[string]any{"asn": "AS64496", "as_name": "Example Networks", "as_domain": "net.example", "country": "ZZ"},
			source.Network{Number: 64496, Owner: "Example Networks", Domain: names("net.example")[0]},
		},
		{
			"GeoLite2 ASN", map[string]any{"autonomous_system_number": uint32(64497), "autonomous_system_organization": "Other Networks"},
			source.Network{Number: 64497, Owner: "Other Networks"},
		},
		{"others", map[string]any{"as_domain": "co.uk", "asn": "none"}, source.Network{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "networks.mmdb")
			if err := os.WriteFile(path, mmdb(netip.MustParsePrefix("192.0.2.0/24"), c.fields), 0o600); err != nil {
				t.Fatal(err)
			}
			n, err := source.OpenNetworks(path)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if got, err := n.Look(netip.MustParseAddr("::ffff:192.0.2.7")); err != nil || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
			for _, other := range []string{"198.51.100.1", "2001:db8::1"} {
				if got, err := n.Look(netip.MustParseAddr(other)); got != (source.Network{}) {
					t.Errorf("%s: got %+v, %v", other, got, err)
				}
			}
		})
	}
}

func TestOpenNetworksRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "networks.mmdb")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := source.OpenNetworks(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one with the path", err)
	}
}
