package spf

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns"
)

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1", "v=spf1 -all", "v=spf1 a/24//64 mx:%{d2r-}/0 ptr include:%{ir}.%{v}.example ip4:192.0.2.0/24 ip6:::1/128 ~all",
		"v=spf1 redirect=%{d}.example exp=%{l}.example x=%{c}%%%_%-", "v=spf1 a:x/24.b.example/16//", "v=spf1 =%{}:/", "V=SPF1 a\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, txt string) {
		if !isRecord(txt) {
			return
		}
		rec, at, err := parseRecord(txt)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrRecordSize) || at != "" && !strings.Contains(txt, at) {
				t.Fatalf("at %q: %v", at, err)
			}
			return
		}
		// What was read says the same when it is written down again.
		words := []string{version}
		for _, m := range rec.mechanisms {
			words = append(words, m.text)
			if m.bits4 > 32 || m.bits6 > 128 || (m.kind == kindIP4 || m.kind == kindIP6) != m.net.IsValid() {
				t.Fatalf("%q is read as %+v", m.text, m)
			}
		}
		for _, m := range []term{rec.redirect, rec.exp} {
			if m.text != "" {
				words = append(words, m.text)
			}
		}
		again, _, err := parseRecord(strings.Join(words, " "))
		if err != nil || !slices.Equal(again.mechanisms, rec.mechanisms) || again.redirect != rec.redirect || again.exp != rec.exp {
			t.Fatalf("%q is read as %+v, and again as %+v, %v", txt, rec, again, err)
		}
	})
}

// FuzzMacro holds the expansion to a plain reading of RFC 7208 section 7.3.
func FuzzMacro(f *testing.F) {
	f.Add("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "strong-bad", "192.0.2.3")
	f.Add("%{S}%%%_%-%{h2r.+-}%{o1}", "~a b", "2001:db8::cb01")
	f.Add(strings.Repeat("%{s}.", 100)+"example", "x.y", "192.0.2.3")
	f.Add("%{l127r=_/,+-.}", "a=b_c/d,e+f-g.h", "::")
	f.Fuzz(func(t *testing.T, spec, local, ip string) {
		addr, err := netip.ParseAddr(ip)
		if err != nil || strings.Contains(spec, "%{p") || strings.Contains(spec, "%{P") || checkDomainSpec(spec) != nil {
			return
		}
		e := &evaluation{
			checker: &Checker{}, ip: addr.Unmap().WithZone(""), sender: dns.MustParse("email.example.com"),
			local: local, localOK: true, helo: "mail.example.com", heloOK: true,
		}
		out, ok, fault := e.expand(nil, &term{spec: spec}, e.sender)
		if !ok || fault != nil {
			t.Fatalf("%q: %v, %v", spec, ok, fault)
		}
		want := plainExpand(t, e, spec)
		if queryName(string(out)) != queryName(want) {
			t.Fatalf("%q expands to %q, want the end of %q", spec, out, want)
		}
		e.target(&term{spec: spec}, e.sender)
	})
}

func plainExpand(t *testing.T, e *evaluation, spec string) string {
	var out strings.Builder
	for spec != "" {
		p, rest, err := nextPiece(spec, inTarget)
		if err != nil {
			t.Fatal(err)
		}
		spec = rest
		if p.letter == 0 {
			out.WriteString(p.literal)
			continue
		}
		value, _, _ := e.value(p.letter, &term{}, e.sender)
		delims := p.delims
		if delims == "" {
			delims = "."
		}
		for _, d := range delims {
			value = strings.ReplaceAll(value, string(d), "\x00")
		}
		parts := strings.Split(value, "\x00")
		if strings.Contains(e.local, "\x00") {
			t.Skip("the mark of this function stands in the value")
		}
		if p.reverse {
			slices.Reverse(parts)
		}
		if p.keep > 0 && p.keep < len(parts) {
			parts = parts[len(parts)-p.keep:]
		}
		value = strings.Join(parts, ".")
		if p.escape {
			value = string(appendEscaped(nil, value))
		}
		out.WriteString(value)
	}
	return out.String()
}
