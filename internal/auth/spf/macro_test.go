package spf

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
)

func identityOf(t *testing.T, s string) dns.Name {
	t.Helper()
	n, ok := identity(s)
	if !ok {
		t.Fatalf("%q is no identity", s)
	}
	return n
}

// example is the identity of the examples in RFC 7208 section 7.4.
func example(ip string) *evaluation {
	return &evaluation{
		checker: &Checker{Receiver: "mx.receiver.example", Now: func() time.Time { return time.Unix(1393804800, 0) }},
		ip:      netip.MustParseAddr(ip),
		sender:  dns.MustParse("email.example.com"),
		local:   "strong-bad", localOK: true,
		helo: "mail.Example.com", heloOK: true,
	}
}

func TestMacros(t *testing.T) {
	const v4, v6 = "192.0.2.3", "2001:db8::cb01"
	cases := []struct{ ip, spec, want string }{
		// RFC 7208 section 7.4
		{v4, "%{s}", "strong-bad@email.example.com"},
		{v4, "%{o}", "email.example.com"},
		{v4, "%{d}", "email.example.com"},
		{v4, "%{d4}", "email.example.com"},
		{v4, "%{d3}", "email.example.com"},
		{v4, "%{d2}", "example.com"},
		{v4, "%{d1}", "com"},
		{v4, "%{dr}", "com.example.email"},
		{v4, "%{d2r}", "example.email"},
		{v4, "%{l}", "strong-bad"},
		{v4, "%{l-}", "strong.bad"},
		{v4, "%{lr}", "strong-bad"},
		{v4, "%{lr-}", "bad.strong"},
		{v4, "%{l1r-}", "strong"},
		{v4, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{v4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{v4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{v4, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{v4, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{v6, "%{ir}.%{v}._spf.%{d2}", "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"},
		// and beyond its examples
		{v4, "%{i}", "192.0.2.3"},
		{v4, "%{i2}", "2.3"},
		{v4, "%{h}", "mail.Example.com"},
		{v4, "%%%_%-", "% %20"},
		{v4, "%{S}", "strong-bad%40email.example.com"},
		{v4, "%{LR-}", "bad.strong"},
		{v4, "%{l99999999999999999999r-}", "bad.strong"},
		{v4, "%{s1@}", ""}, // not a delimiter
		{v4, "%{s2.-}", "example.com"},
		{v4, "%{s1r-@}", ""},
		{v4, "%{l2-}", "strong.bad"},
		{v4, "%{l1-}", "bad"},
		{v4, "%{d127}", "email.example.com"},
	}
	for _, c := range cases {
		t.Run(c.ip+" "+c.spec, func(t *testing.T) {
			e := example(c.ip)
			if strings.ContainsRune(c.spec, '@') {
				if checkMacroString(c.spec, inTarget) == nil {
					t.Errorf("%q is accepted", c.spec)
				}
				return
			}
			if err := checkMacroString(c.spec, inTarget); err != nil {
				t.Fatal(err)
			}
			out, ok, fault := e.expand(nil, &term{spec: c.spec}, e.sender)
			if string(out) != c.want || !ok || fault != nil {
				t.Errorf("%q expands to %q, %v, %v; want %q", c.spec, out, ok, fault, c.want)
			}
		})
	}
}

func TestTransformers(t *testing.T) {
	cases := []struct{ macro, value, want string }{
		{"l-", "a-b-c", "a.b.c"},
		{"l-", "", ""},
		{"lr-", "", ""},
		{"l-", "-a--b-", ".a..b."},
		{"lr-", "-a--b-", ".b..a."},
		{"l2-", "a--b", ".b"},
		{"l1r-", "-a", ""},
		{"l2r+-", "a-b+c", "b.a"},
		{"l3r+-", "a-b+c", "c.b.a"},
		{"l/,_=", "a/b,c_d=e.f", "a.b.c.d.e.f"},
		{"l.", "a.b", "a.b"},
		{"L", "~a b/é", "~a%20b%2F%C3%A9"},
	}
	for _, c := range cases {
		p, err := parseMacro(c.macro, inTarget)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.append([]byte("<"), c.value)); got != "<"+c.want {
			t.Errorf("%%{%s} of %q = %q, want %q", c.macro, c.value, got, "<"+c.want)
		}
	}
}

// TestTextMacros has those that an explanation alone may use.
func TestTextMacros(t *testing.T) {
	cases := []struct{ ip, macro, want string }{
		{"192.0.2.3", "c", "192.0.2.3"},
		{"2001:db8::cb01", "c", "2001:db8::cb01"},
		{"192.0.2.3", "r", "mx.receiver.example"},
		{"192.0.2.3", "t", "1393804800"},
	}
	for _, c := range cases {
		got, ok, fault := example(c.ip).value(c.macro[0], &term{}, dns.Name{})
		if got != c.want || !ok || fault != nil {
			t.Errorf("%%{%s} = %q, %v, %v, want %q", c.macro, got, ok, fault, c.want)
		}
	}
	e := example("192.0.2.3")
	e.checker = &Checker{}
	if got, _, _ := e.value('r', &term{}, dns.Name{}); got != "unknown" {
		t.Errorf("%%{r} without a receiver = %q", got)
	}
	if got, _, _ := e.value('t', &term{}, dns.Name{}); got != "0" {
		t.Errorf("%%{t} without a clock = %q", got)
	}
}

func TestTarget(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253 octets
	cases := []struct{ name, spec, want string }{
		{"the current domain", "", "email.example.com"},
		{"a trailing dot", "B.Example.", "b.example"},
		{"spaces", "a%_%_b.example", "a  b.example"},
		{"the longest", long, long},
		{"one label too many", "x." + long, long},
		{"one octet too many", "b" + long, long[2:]},
		{"a cut within a label", "xy" + long, long[2:]},
		{"a long label on the left", strings.Repeat("b", 300) + "." + long[10:], long[10:]},
		{"a long label", strings.Repeat("b", 64) + ".example", ""},
		{"too long a label to cut", "a." + strings.Repeat("b", 300), ""},
		{"an empty label", "a..example", ""},
		{"macros over and over", strings.Repeat("%{d}.", 100) + "example", longTail()},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := example("192.0.2.3")
			n, ok, fault := e.target(&term{spec: c.spec}, e.sender)
			if n.String() != c.want || !ok || fault != nil {
				t.Errorf("got %q (%d octets), %v, %v\nwant %q", n, len(n.String()), ok, fault, c.want)
			}
		})
	}
}

// longTail is "email.example.com." over and over, and "example", cut on the left
// to the labels that fit.
func longTail() string {
	s := strings.Repeat("email.example.com.", 100) + "example"
	labels := strings.Split(s, ".")
	for len(strings.Join(labels, ".")) > maxName {
		labels = labels[1:]
	}
	return strings.Join(labels, ".")
}
