package authres

import (
	"strings"
	"testing"
)

func TestPare(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"all that counts", `mx.example; spf=pass (of ann) smtp.mailfrom=ann@a.example smtp.remote-ip=192.0.2.1; dkim=pass header.d=B.example header.i=ann@b.example header.s=s1; dmarc=pass header.from=c.example`,
			`mx.example; spf=pass smtp.mailfrom=a.example smtp.remote-ip="192.0.2.1"; dkim=pass header.d=b.example; dmarc=pass header.from=c.example`},
		{"a mailfrom without a local part", "mx.example 1; spf=fail smtp.mailfrom=a.example", "mx.example; spf=fail smtp.mailfrom=a.example"},
		{"a second @ hides no domain", "mx.example; spf=pass smtp.mailfrom=x@b.example@a.example", "mx.example"},
		{"the first property counts", "mx.example; dkim=pass header.d=b@d header.d=a.example header.from=a.example", "mx.example; dkim=pass header.from=a.example"},
		{"IPv6", "mx.example; arc=none smtp.remote-ip=\"2001:db8::1\"", `mx.example; arc=none smtp.remote-ip="2001:db8::1"`},
		{"of no use", "mx.example; dkim=none; auth=pass smtp.auth=ann", "mx.example"},
		{"twice", "mx.example; dkim=pass header.d=a.example; dkim=pass header.d=a.example; dkim=pass header.d=a.example.net; dkim=pass header.d=a.example",
			"mx.example; dkim=pass header.d=a.example; dkim=pass header.d=a.example.net"},
		{"no plain words", "\"ann smith\"; x!ann=p^ann header.d=a.example", "other; other=other header.d=a.example"},
		{"unreadable", "mx.example; dkim=pass (ann header.d=a.example", ""},
		{"nothing", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Pare(c.in)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if again := Pare(got); again != got {
				t.Errorf("pared again: %s", again)
			}
		})
	}
	many := "mx.example" + strings.Repeat("; dkim=pass header.d=a.example", 150)
	for i := range 40 {
		many += "; dkim=pass header.d=" + strings.Repeat("a", i+1) + ".example"
	}
	if got := Pare(many); strings.Count(got, ";") != 40 {
		t.Errorf("%d items", strings.Count(got, ";"))
	}
}

// FuzzPare sees what Parse makes of a pared field in the parts that are kept.
func FuzzPare(f *testing.F) {
	f.Add("mx.example; spf=pass smtp.mailfrom=ann@a.example smtp.remote-ip=192.0.2.1; dkim=pass header.d=b.example")
	f.Add(`"a b"; dmarc/1=pass (x) header.from="c.example" header.from=d.example`)
	f.Fuzz(func(t *testing.T, value string) {
		pared := Pare(value)
		was, err := Parse(value)
		if err != nil {
			if pared != "" {
				t.Fatalf("%q pared of what cannot be read", pared)
			}
			return
		}
		is, err := Parse(pared)
		if err != nil || is.Skipped > 0 || len(is.Items) > len(was.Items) {
			t.Fatalf("%q pared to %q: %+v, %v", value, pared, is, err)
		}
		if Pare(pared) != pared {
			t.Fatalf("%q pared to %q, and that to %q", value, pared, Pare(pared))
		}
	})
}
