package milter_test

import (
	"errors"
	"strings"
	"testing"

	"dmarcd/internal/milter"
)

func TestParseAddress(t *testing.T) {
	long := "/" + strings.Repeat("x", 106)
	for _, c := range []struct {
		in            string
		network, addr string
		spelt         string // String, where it differs from in
	}{
		{"inet:8893@127.0.0.1", "tcp4", "127.0.0.1:8893", ""},
		{"inet:8893@localhost", "tcp4", "localhost:8893", ""},
		{"inet:8893", "tcp4", ":8893", ""},
		{"inet6:8893", "tcp6", ":8893", ""},
		{"inet6:8893@::1", "tcp6", "[::1]:8893", ""},
		{"inet6:8893@[::1]", "tcp6", "[::1]:8893", "inet6:8893@::1"},
		{"inet6:8893@mx.example.org", "tcp6", "mx.example.org:8893", ""},
		{"inet:127.0.0.1:8893", "tcp4", "127.0.0.1:8893", "inet:8893@127.0.0.1"},
		{"inet:localhost:8893", "tcp4", "localhost:8893", "inet:8893@localhost"},
		{"inet:[::1]:8893", "tcp6", "[::1]:8893", "inet6:8893@::1"},
		{"inet:8893@::1", "tcp6", "[::1]:8893", "inet6:8893@::1"},
		{"unix:/run/dmarcd/milter.sock", "unix", "/run/dmarcd/milter.sock", ""},
		{"local:/run/dmarcd/milter.sock", "unix", "/run/dmarcd/milter.sock", "unix:/run/dmarcd/milter.sock"},
		{"unix:/run//a/../milter.sock", "unix", "/run/milter.sock", "unix:/run/milter.sock"},
		{"unix:" + long, "unix", long, ""},
		{"systemd:dmarcd-milter", "systemd", "dmarcd-milter", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			a, err := milter.ParseAddress(c.in)
			if err != nil || a != (milter.Address{Network: c.network, Addr: c.addr}) {
				t.Fatalf("got %+v, %v", a, err)
			}
			want := c.spelt
			if want == "" {
				want = c.in
			}
			if a.String() != want {
				t.Errorf("String %q, want %q", a, want)
			}
			if again, err := milter.ParseAddress(a.String()); err != nil || again != a {
				t.Errorf("read back as %+v, %v", again, err)
			}
		})
	}
}

func TestParseAddressErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "want inet:"},
		{"8893", "want inet:"},
		{"/run/milter.sock", "want inet:"},
		{"tcp:8893", "unknown kind"},
		{"127.0.0.1:8893", "unknown kind"},
		{"inet:", "port"},
		{"inet:0", "port"},
		{"inet:65536@127.0.0.1", "65535"},
		{"inet:-1@127.0.0.1", "port"},
		{"inet:smtp@127.0.0.1", "port"},
		{"inet:8893@", "no host"},
		{"inet::8893", "no host"},
		{"inet:::1:8893", "brackets"},
		{"inet:8893@[::1", "brackets"},
		{"inet:8893@[]", "brackets"},
		{"inet:8893@a b", "neither a name nor an address"},
		{"inet:8893@127.0.0.1:25", "neither a name nor an address"},
		{"inet:8893@127.0.0.1@x", "neither a name nor an address"},
		{"inet6:8893@127.0.0.1", "IPv4"},
		{"unix:", "begin with /"},
		{"unix:milter.sock", "begin with /"},
		{"unix:@abstract", "begin with /"},
		{"unix:/a\x00b", "NUL"},
		{"unix:/" + strings.Repeat("x", 107), "107"},
		{"systemd:", "FileDescriptorName"},
		{"systemd:a b", "FileDescriptorName"},
	} {
		t.Run(c.in, func(t *testing.T) {
			a, err := milter.ParseAddress(c.in)
			if !errors.Is(err, milter.ErrAddress) || !strings.Contains(err.Error(), c.want) || a != (milter.Address{}) {
				t.Errorf("got %+v, %v; want an error with %q", a, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %v", err)
			}
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"inet:8893@127.0.0.1", "inet6:8893@[::1]", "inet:[::1]:25", "unix:/run/x", "systemd:x", "inet:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := milter.ParseAddress(s)
		if err != nil {
			return
		}
		again, err := milter.ParseAddress(a.String())
		if err != nil || again != a {
			t.Fatalf("%q is %+v, printed %q, read back as %+v, %v", s, a, a, again, err)
		}
	})
}
