package resolver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestServers(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct {
		name string
		cfg  Config
		want []string
		err  string
	}{
		{"address", Config{Servers: []string{"192.0.2.1"}}, []string{"192.0.2.1:53"}, ""},
		{"address and port", Config{Servers: []string{"192.0.2.1:5353"}}, []string{"192.0.2.1:5353"}, ""},
		{"IPv6", Config{Servers: []string{"2001:db8::1"}}, []string{"[2001:db8::1]:53"}, ""},
		{"IPv6 in brackets", Config{Servers: []string{"[2001:db8::1]"}}, []string{"[2001:db8::1]:53"}, ""},
		{"IPv6 and port", Config{Servers: []string{"[2001:db8::1]:5353"}}, []string{"[2001:db8::1]:5353"}, ""},
		{"IPv6 with a zone", Config{Servers: []string{"fe80::1%eth0"}}, []string{"[fe80::1%eth0]:53"}, ""},
		{"host name", Config{Servers: []string{"localhost:5353"}}, []string{"127.0.0.1:5353", "[::1]:5353"}, ""},
		{"given twice", Config{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.1:53"}}, []string{"192.0.2.1:53", "192.0.2.2:53"}, ""},
		{"empty", Config{Servers: []string{"192.0.2.1", ""}}, nil, `server ""`},
		{"no host", Config{Servers: []string{":53"}}, nil, `server ":53"`},
		{"port not a number", Config{Servers: []string{"192.0.2.1:dns"}}, nil, `server "192.0.2.1:dns": port "dns"`},
		{"port 0", Config{Servers: []string{"192.0.2.1:0"}}, nil, `port "0"`},
		{"port too big", Config{Servers: []string{"192.0.2.1:65536"}}, nil, `port "65536"`},
		{"too many colons", Config{Servers: []string{"a:b:c"}}, nil, `server "a:b:c"`},
		{"resolv.conf", Config{ResolvConf: file("two", "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n")},
			[]string{"192.0.2.1:53", "[2001:db8::1]:53"}, ""},
		{"resolv.conf without servers", Config{ResolvConf: file("none", "search example.org\n")}, []string{"127.0.0.1:53"}, ""},
		{"no resolv.conf", Config{ResolvConf: filepath.Join(dir, "missing")}, nil, filepath.Join(dir, "missing")},
		{"bad address in resolv.conf", Config{ResolvConf: file("bad", "nameserver 192.0.2.1:\n")}, nil, `server "192.0.2.1:"`},
		{"negative time-out", Config{Servers: []string{"192.0.2.1"}, Timeout: -1}, nil, "negative"},
		{"negative cache", Config{Servers: []string{"192.0.2.1"}, CacheEntries: -1}, nil, "negative"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(tc.cfg)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.HasPrefix(err.Error(), "resolver: ") {
					t.Fatalf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var got []string
			for _, s := range c.servers {
				got = append(got, s.addr.String())
			}
			if tc.name == "host name" { // either family
				if len(got) != 1 || !slices.Contains(tc.want, got[0]) {
					t.Errorf("servers %q, want one of %q", got, tc.want)
				}
				return
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("servers %q, want %q", got, tc.want)
			}
		})
	}
}
