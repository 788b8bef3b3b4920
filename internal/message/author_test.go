package message

import (
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

// from builds a header with these From fields, other fields round them.
func from(values ...string) *Header {
	h := &Header{Fields: []Field{{Name: "To", Raw: []byte("To: someone@to.example\r\n")}}}
	for _, v := range values {
		h.Fields = append(h.Fields, Field{Name: "From", Raw: []byte("From:" + v + "\r\n")})
	}
	h.Fields = append(h.Fields, Field{Name: "Sender", Raw: []byte("Sender: x@sender.example\r\n")})
	return h
}

// words of the table below.
const (
	many   = "(several addresses)"
	bad    = "(cannot be read)"
	none   = "(no address)"
	fields = "(several fields)"
)

func TestParseAuthor(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("(", n) + strings.Repeat(")", n) }
	cases := []struct{ name, in, want string }{
		// What people send.
		{"bare address", " a@example.com", "example.com"},
		{"no space", "a@example.com", "example.com"},
		{"angle address", " <a@example.com>", "example.com"},
		{"phrase", " Ann Example <a@example.com>", "example.com"},
		{"quoted phrase", ` "Ann Example" <a@example.com>`, "example.com"},
		{"quoted phrase without a space", ` "Ann"<a@example.com>`, "example.com"},
		{"dots in the phrase", " John Q. Public <a@example.com>", "example.com"},
		{"brackets in the phrase", " [List] Ann <a@example.com>", "example.com"},
		{"encoded word", " =?utf-8?q?B=C3=BCcher?= <a@example.com>", "example.com"},
		{"encoded word with a comma", " =?utf-8?q?Doe,_John?= <a@example.com>", "example.com"},
		{"raw UTF-8 phrase", " Bücher <a@example.com>", "example.com"},
		{"raw Latin-1 phrase", " B\xfccher <a@example.com>", "example.com"},
		{"phrase with a bare comma", " Doe, John <a@example.com>", "example.com"},
		{"comment", " a@example.com (Ann Example)", "example.com"},
		{"fold", " Ann Example\r\n <a@example.com>", "example.com"},
		{"fold with a bare LF", " Ann Example\n\t<a@example.com>", "example.com"},
		{"fold within a quoted string", " \"Ann\r\n Example\" <a@example.com>", "example.com"},
		{"space before >", " Ann <a@example.com >", "example.com"},
		{"upper case", " a@EXAMPLE.Com", "example.com"},
		{"trailing dot", " a@example.com.", "example.com"},
		{"U-label", " a@bücher.example", "xn--bcher-kva.example"},
		{"UTF-8 local part", " <ü@example.com>", "example.com"},
		{"underscore", " a@my_host.example.com", "my_host.example.com"},
		{"single label", " root@localhost", "localhost"},
		{"dots at odd places of the local part", " <.a..b.@example.com>", "example.com"},
		{"quoted local part", ` "Ann Example"@example.com`, "example.com"},
		{"space round @ and dots", " a @ example . com", "example.com"},
		{"comments round dots", " a@example(c).(d)com", "example.com"},
		{"nested comment", " (a (b) \\) c) a@example.com", "example.com"},
		{"comments at the limit of depth", deep(maxCommentDepth) + "a@example.com", "example.com"},
		{"two addresses of a domain", " a@example.com, Ann <b@Example.COM>", "example.com"},
		{"empty elements", " , a@example.com ,, ", "example.com"},
		{"group", " Team: a@example.com, Ann <b@example.com>;", "example.com"},
		{"group and address", " Team: a@example.com;, b@example.com", "example.com"},
		{"group with a quoted name", ` "The Team": a@example.com;`, "example.com"},

		// Text that is not an address, however it looks.
		{"address in a quoted phrase", ` "a@bank.example" <x@example.com>`, "example.com"},
		{"angle address in a quoted phrase", ` "<a@bank.example>," <x@example.com>`, "example.com"},
		{"escaped quote in a quoted phrase", ` "\" <a@bank.example>, \"" <x@example.com>`, "example.com"},
		{"address in a comment", " (a@bank.example) x@example.com", "example.com"},
		{"address in a comment within the angle", " <(a@bank.example) x@example.com>", "example.com"},
		{"escaped parenthesis in a comment", ` (\) a@bank.example, ) x@example.com`, "example.com"},
		{"address in an encoded word", " =?utf-8?b?YUBiYW5rLmV4YW1wbGU=?= <x@example.com>", "example.com"},
		{"quoted @ in the local part", ` "a@bank.example"@example.com`, "example.com"},
		{"quoted local part in the angle", ` <"a@bank.example>"@example.com>`, "example.com"},
		{"route", " <@bank.example,@b.example:x@example.com>", "example.com"},
		{"route with empty elements", " <,@bank.example , ,@b.example : x@example.com>", "example.com"},

		// Several domains.
		{"two addresses", " a@bank.example, b@example.com", many},
		{"two angle addresses", " <a@bank.example>, Ann <b@example.com>", many},
		{"subdomain beside its parent", " a@mail.example.com, b@example.com", many},
		{"group with two domains", " Team: a@bank.example, b@example.com;", many},
		{"group and another domain", " Team: a@bank.example;, b@example.com", many},
		{"address as a phrase", " a@bank.example <x@example.com>", many},
		{"same domain as a phrase", " a@example.com <x@Example.com>", "example.com"},
		{"address within a phrase", " Ann a@bank.example via List <x@example.com>", many},
		{"address in brackets as a phrase", " [a@bank.example] <x@example.com>", many},
		{"@ first in the phrase", " @bank.example <x@example.com>", many},
		{"raw @ in an encoded word", " =?utf-8?q?a@bank.example?= <x@example.com>", many},
		{"raw @ with the same domain in an encoded word", " =?utf-8?q?a@example.com?= <x@example.com>", "example.com"},
		{"more domains than the limit", manyDomains(maxAuthorDomains + 1), "(overflow)"},

		// No address.
		{"empty", "", none},
		{"blank", " \r\n ", none},
		{"null address", " <>", none},
		{"empty group", " Undisclosed:;", none},
		{"no @", " Ann Example", none},
		{"no @ in the angle", " Ann <ann>", none},

		// What cannot be read.
		{"no local part", " @example.com", bad},
		{"no local part in the angle", " <@example.com>", bad},
		{"no domain", " a@", bad},
		{"no domain in the angle", " <a@>", bad},
		{"domain literal", " a@[192.0.2.1]", bad},
		{"empty label", " a@example..com", bad},
		{"leading dot", " a@.example.com", bad},
		{"encoded word as a domain", " a@=?utf-8?q?bank.example?=", bad},
		{"percent in the domain", " a@bank.example%example.com", bad},
		{"comment within a label", " a@exam(c)ple.com", bad},
		{"space within a label", " a@exam ple.com", bad},
		{"route alone", " <@bank.example:>", bad},
		{"NUL", " a@bank.example\x00, b@example.com", bad},
		{"NUL at the end", " a@example.com\x00", bad},
		{"NUL in a quoted string", " \"a\x00\" <b@example.com>", bad},
		{"NUL in a comment", " (\x00) b@example.com", bad},
		{"control character in a phrase", " a\x08 <b@example.com>", bad},
		{"bare CR", " a@bank.example\rb@example.com", bad},
		{"bare CR in a comment", " (\r) b@example.com", bad},
		{"line end within the field", " a@bank.example\r\nFrom: b@example.com", bad},
		{"Latin-1 in the domain", " a@b\xfccher.example", bad},
		{"bad U-label", " a@b\u00a0c.example", bad},
		{"label of 64 octets", " a@" + strings.Repeat("a", 64) + ".example", bad},
		{"label of 63 octets", " a@" + strings.Repeat("a", 63) + ".example", strings.Repeat("a", 63) + ".example"},
		{"too long", strings.Repeat(" ", maxFromLen) + "a@example.com", bad},
		{"malformed and long", " Ann: <a@example.com>" + strings.Repeat(" ", maxMalformedLen), bad},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			check(t, ParseAuthor(from(c.in)), c.want)
		})
	}
}

// check compares an author with a domain or a word of the table.
func check(t *testing.T, a Author, want string) {
	t.Helper()
	wantErr := map[string]error{many: ErrSeveralAddresses, "(overflow)": ErrSeveralAddresses, bad: ErrBadFrom, none: ErrNoAddress, fields: ErrSeveralFields}[want]
	if !errors.Is(a.Err, wantErr) {
		t.Errorf("error %v, want %v", a.Err, wantErr)
	}
	if wantErr == nil && a.Domain.String() != want {
		t.Errorf("domain %q, want %q", a.Domain, want)
	}
	if complete := want != bad && want != none && want != fields && want != "(overflow)"; complete && len(a.Domains) == 0 {
		t.Errorf("domains %v of a From that is %s", a.Domains, want)
	}
	checkAuthor(t, a)
}

// checkAuthor holds what is true of every Author.
func checkAuthor(t *testing.T, a Author) {
	t.Helper()
	if a.Domain.IsZero() != (a.Err != nil) {
		t.Errorf("domain %q and error %v", a.Domain, a.Err)
	}
	if a.Err == nil && (len(a.Domains) != 1 || a.Domains[0] != a.Domain) {
		t.Errorf("domain %q of %v", a.Domain, a.Domains)
	}
	if a.Err != nil && !slices.ContainsFunc([]error{ErrNoFrom, ErrNoAddress, ErrSeveralFields, ErrSeveralAddresses, ErrBadFrom}, func(e error) bool { return errors.Is(a.Err, e) }) {
		t.Errorf("error %v of no known kind", a.Err)
	}
	if a.Err != nil && a.Local != "" {
		t.Errorf("local part %q with error %v", a.Local, a.Err)
	}
}

func manyDomains(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a@d%d.example,", i)
	}
	return b.String()
}

func TestParseAuthorFields(t *testing.T) {
	one := from(" a@example.com")
	cut := from(" a@example.com")
	cut.Cut, cut.CutNames = true, map[string]int{"from": 1}
	only := from()
	only.Cut, only.CutNames = true, map[string]int{"from": 1}
	other := from(" a@example.com")
	other.Cut, other.CutNames = true, map[string]int{"received": 1}
	lower := from(" a@example.com")
	lower.Fields[1].Name = "fRoM"
	cases := []struct {
		name   string
		h      *Header
		want   string
		fields int
	}{
		{"one", one, "example.com", 1},
		{"other letter case", lower, "example.com", 1},
		{"two, same domain", from(" a@example.com", " b@example.com"), fields, 2},
		{"two, the same", from(" a@example.com", " a@example.com"), fields, 2},
		{"two, other domains", from(" a@bank.example", " b@example.com"), fields, 2},
		{"two, the first unreadable", from(" <>", " b@example.com"), fields, 2},
		{"two, the second unreadable", from(" b@example.com", " b@"), fields, 2},
		{"two, the second without an address", from(" b@example.com", ""), fields, 2},
		{"two, the second too long", from(" b@example.com", strings.Repeat(" ", maxFromLen)), fields, 2},
		{"one cut", cut, fields, 1},
		{"all cut", only, bad, 0},
		{"others cut", other, "example.com", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ParseAuthor(c.h)
			check(t, a, c.want)
			if a.Fields != c.fields {
				t.Errorf("%d fields, want %d", a.Fields, c.fields)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		if a := ParseAuthor(from()); !errors.Is(a.Err, ErrNoFrom) || a.Domains != nil {
			t.Errorf("got %+v", a)
		}
	})
}

func TestParseAuthorDomains(t *testing.T) {
	a := ParseAuthor(from(" a@one.example, b@Two.example, c@one.example"))
	var got []string
	for _, d := range a.Domains {
		got = append(got, d.String())
	}
	if want := []string{"one.example", "two.example"}; !slices.Equal(got, want) {
		t.Errorf("domains %v, want %v", got, want)
	}
	for name, c := range map[string]struct {
		h    *Header
		want string
	}{
		"several fields of a domain":    {from(" a@one.example", " b@one.example"), "[one.example]"},
		"several fields":                {from(" a@one.example", " b@two.example"), "[one.example two.example]"},
		"several fields, one malformed": {from(" a@one.example", " Ann: b@two.example, <c@three.example>"), "[one.example three.example two.example]"},
		"several fields, one empty":     {from(" a@one.example", ""), "[]"},
		"malformed":                     {from(" a@one.example <b@two.example>"), "[two.example one.example]"},
		"malformed, encoded":            {from(" =?utf-8?q?a=40one.example?=, <b@two.example>"), "[two.example one.example]"},
		"malformed, unreadable name":    {from(" a@one.example% <b@two.example>"), "[]"},
	} {
		if got := fmt.Sprint(ParseAuthor(c.h).Domains); got != c.want {
			t.Errorf("%s: domains %s, want %s", name, got, c.want)
		}
	}
	if a := ParseAuthor(from(manyDomains(maxAuthorDomains))); len(a.Domains) != maxAuthorDomains {
		t.Errorf("%d domains at the limit, want %d", len(a.Domains), maxAuthorDomains)
	}
}

func TestParseAuthorLocal(t *testing.T) {
	for in, want := range map[string]string{
		" Ann <ann.b@example.com>":          "ann.b",
		" ann@example.com (Ann)":            "ann",
		` "Ann B"@example.com`:              `"Ann B"`,
		" a@example.com, b@example.com":     "a",
		" <@relay.example:ann@example.com>": "ann",
	} {
		if got := ParseAuthor(from(in)).Local; got != want {
			t.Errorf("%q: local part %q, want %q", in, got, want)
		}
	}
}

// FuzzAuthor holds a From with a single domain to what it must be for anyone who
// reads it, and to what the standard library makes of it.
func FuzzAuthor(f *testing.F) {
	for _, s := range []string{
		` "a@bank.example" <x@example.com>`, " a@bank.example (c), Team: b@b.example;", " <@a,@b:c@d>",
		" =?utf-8?q?a@b?= <a@b>", " Doe, John <a@b . c>", "(((", `"\"`, " a@b\r\n c", " <ü@bücher.example>",
		" a@b <a@b>", " a@b. c", " [a] <a@b>", " ,,;", " a@EXAMPLE", " a@ｂ.example", "<a@0.@0>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := ParseAuthor(from(s))
		checkAuthor(t, a)
		if a.Err != nil {
			return
		}
		domain := a.Domain.String()
		if plain := bareText(s); isASCII(s) && grammatical(s) {
			if !strings.Contains(plain, "@"+domain) {
				t.Errorf("%q: domain %q does not stand in %q", s, domain, plain)
			}
			for _, after := range strings.Split(plain, "@")[1:] {
				if !strings.HasPrefix(after, domain) && !strings.Contains(plain, "<@") && !strings.Contains(plain, "<,") {
					t.Errorf("%q: domain %q, but an unquoted @ stands before %q", s, domain, after)
				}
			}
		}
		list, err := mail.ParseAddressList(s)
		if err != nil {
			return
		}
		for _, addr := range list {
			theirs := addr.Address[strings.LastIndexByte(addr.Address, '@')+1:]
			if !grammatical(s) && !nameAfterAt.MatchString("@"+theirs) {
				continue // a single word after the at sign, or an invalid name, is no address to a reader
			}
			theirs = strings.TrimRight(theirs, "'?=") // in no DNS name, though the grammar has them
			if isASCII(theirs) && strings.ToLower(theirs) != domain {
				t.Errorf("%q: domain %q, net/mail reads %q", s, domain, addr.Address)
			}
		}
	})
}

// grammatical reports whether RFC 5322 allows the field.
func grammatical(s string) bool {
	p := addressParser{s: []byte(s), author: new(Author)}
	return p.list() == nil && p.found > 0
}

// bareText is s in lower case without comments, quoted strings and white space.
func bareText(s string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quoted:
			quoted = c != '"'
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '"':
			quoted = true
		default:
			b.WriteByte(c)
		}
	}
	return strings.ToLower(b.String())
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

func BenchmarkParseAuthor(b *testing.B) {
	for name, in := range map[string]string{
		"ordinary": ` "Ann Example, Sales" <ann.example@mail.example.com>`,
		"group":    " Team: a@example.com, Ann <b@example.com>;",
		"folded":   " =?utf-8?q?Ann_Ex=C3=A4mple?=\r\n <ann@example.com>",
	} {
		h := from(in)
		for range 24 { // an ordinary header has 26 fields
			h.Fields = append(h.Fields, Field{Name: "Received", Raw: []byte("Received: x\r\n")})
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a := ParseAuthor(h); a.Err != nil {
					b.Fatal(a.Err)
				}
			}
		})
	}
	worst := from(strings.Repeat("a@b.c,", maxFromLen/6-1))
	b.Run("longest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ParseAuthor(worst)
		}
	})
}
