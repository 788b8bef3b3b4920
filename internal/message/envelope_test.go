package message

import "testing"

func TestParseAddress(t *testing.T) {
	cases := []struct{ name, in, local, host, domain string }{
		{"brackets", "<joe@example.com>", "joe", "example.com", "example.com"},
		{"no brackets", "joe@example.com", "joe", "example.com", "example.com"},
		{"white space", " <joe@example.com> ", "joe", "example.com", "example.com"},
		{"upper case", "<Joe@EXAMPLE.com>", "Joe", "EXAMPLE.com", "example.com"},
		{"source route", "<@one.example,@two.example:joe@example.com>", "joe", "example.com", "example.com"},
		{"quoted @", `<"joe@bank.example"@example.com>`, `"joe@bank.example"`, "example.com", "example.com"},
		{"quoted colon", `<"a:b"@example.com>`, `"a:b"`, "example.com", "example.com"},
		{"U-label", "<joe@bücher.example>", "joe", "bücher.example", "xn--bcher-kva.example"},
		{"address literal", "<joe@[192.0.2.1]>", "joe", "[192.0.2.1]", ""},
		{"IPv6 literal", "<joe@[IPv6:2001:db8::1]>", "joe", "[IPv6:2001:db8::1]", ""},
		{"bad domain", "<joe@a..b>", "joe", "a..b", ""},
		{"no domain", "<postmaster>", "postmaster", "", ""},
		{"empty domain", "<joe@>", "joe", "", ""},
		{"empty local part", "<@example.com>", "", "example.com", "example.com"},
		{"null", "<>", "", "", ""},
		{"nothing", "", "", "", ""},
		{"@ alone", "<@>", "@", "", ""},
		{"route alone", "<@one.example:>", "@one.example:", "", ""},
		{"route and @ alone", "<@one.example:@>", "@one.example:@", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ParseAddress(c.in)
			if a.Local != c.local || a.Host != c.host || a.Domain.String() != c.domain {
				t.Errorf("ParseAddress(%q) = %q @ %q, domain %q", c.in, a.Local, a.Host, a.Domain)
			}
			e := Envelope{MailFrom: a}
			if null := c.in == "<>" || c.in == ""; e.NullSender() != null {
				t.Errorf("NullSender = %v, want %v", e.NullSender(), null)
			}
		})
	}
}

func TestAddressString(t *testing.T) {
	for in, want := range map[string]string{
		"<joe@Example.com>": "joe@Example.com",
		"<joe@[192.0.2.1]>": "joe@[192.0.2.1]",
		"<postmaster>":      "postmaster",
		"<>":                "",
	} {
		if got := ParseAddress(in).String(); got != want {
			t.Errorf("%s: String = %q, want %q", in, got, want)
		}
	}
}

// FuzzParseAddress: what is read as an address is read again from what it prints.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"<joe@example.com>", "<@a:b@c>", "<>", "@", `<"a b"@c>`, "<a@[1]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := ParseAddress(s)
		if a.Domain.IsZero() {
			return
		}
		if again := ParseAddress("<" + a.String() + ">"); again.Domain != a.Domain {
			t.Errorf("ParseAddress(%q) = %+v, read again %+v", s, a, again)
		}
	})
}
