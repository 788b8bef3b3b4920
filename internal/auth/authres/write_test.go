package authres

import (
	"net/netip"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/authres"
)

func TestResultsValue(t *testing.T) {
	tests := map[string]struct {
		r    Results
		want []string // physical lines
	}{
		"everything passes": {
			Results{
				AuthServID: "mx.example.org",
				SPF:        &SPF{Result: "pass", MailFrom: "example.com"},
				DKIM:       []DKIM{{Result: "pass", Domain: "example.com", Selector: "s1", Algorithm: "rsa-sha256", B: "dzdVyOfA"}},
				DMARC:      &DMARC{Result: "pass", From: "example.com", Policy: "reject"},
			},
			[]string{
				" mx.example.org;",
				" spf=pass smtp.mailfrom=example.com;",
				" dkim=pass header.d=example.com header.s=s1 header.a=rsa-sha256 header.b=dzdVyOfA;",
				" dmarc=pass header.from=example.com policy.dmarc=reject",
			},
		},
		"null sender, unsigned, no record": {
			Results{
				AuthServID: "mx.example.org",
				SPF:        &SPF{Result: "none", Helo: "mail.example.com"},
				Unsigned:   true,
				DMARC:      &DMARC{Result: "none", From: "example.com"},
			},
			[]string{
				" mx.example.org;",
				" spf=none smtp.helo=mail.example.com;",
				" dkim=none;",
				" dmarc=none header.from=example.com",
			},
		},
		"two signatures and ARC between DKIM and DMARC": {
			Results{
				AuthServID: "mx.example.org",
				SPF:        &SPF{Result: "softfail", MailFrom: "example.com", Helo: "not.printed.example"},
				DKIM: []DKIM{
					{Result: "fail", Domain: "example.com", Selector: "s1", Algorithm: "rsa-sha256", B: "ab/d+fgh", Reason: "body hash did not verify"},
					{Result: "permerror"},
				},
				Unsigned: true,
				ARC:      &ARC{Result: "pass", RemoteIP: netip.MustParseAddr("2001:DB8::1")},
				DMARC:    &DMARC{Result: "fail", From: "example.com", Policy: "quarantine"},
			},
			[]string{
				" mx.example.org;",
				" spf=softfail smtp.mailfrom=example.com;",
				` dkim=fail reason="body hash did not verify" header.d=example.com header.s=s1 header.a=rsa-sha256 header.b="ab/d+fgh";`,
				" dkim=permerror;",
				` arc=pass smtp.remote-ip="2001:db8::1" header.oldest-pass=0;`,
				" dmarc=fail header.from=example.com policy.dmarc=quarantine",
			},
		},
		"ARC failed, mapped address": {
			Results{AuthServID: "mx.example.org", ARC: &ARC{Result: "fail", RemoteIP: netip.MustParseAddr("::ffff:192.0.2.1"), OldestPass: 2}},
			[]string{" mx.example.org;", " arc=fail smtp.remote-ip=192.0.2.1"},
		},
		"ARC without an address": {
			Results{AuthServID: "mx.example.org", ARC: &ARC{Result: "pass", OldestPass: 3}},
			[]string{" mx.example.org;", " arc=pass header.oldest-pass=3"},
		},
		"DMARC did not run": {
			Results{AuthServID: "mx.example.org", SPF: &SPF{Result: "pass", MailFrom: "example.com"}, Unsigned: true},
			[]string{" mx.example.org;", " spf=pass smtp.mailfrom=example.com;", " dkim=none"},
		},
		"nothing checked":           {Results{AuthServID: "mx.example.org"}, []string{" mx.example.org; none"}},
		"no domain":                 {Results{AuthServID: "mx", SPF: &SPF{Result: "permerror"}}, []string{" mx;", " spf=permerror"}},
		"no result":                 {Results{AuthServID: "mx", SPF: &SPF{}}, []string{" mx;", " spf=none"}},
		"a result that is no word":  {Results{AuthServID: "mx", SPF: &SPF{Result: "pass; dkim=pass"}}, []string{" mx;", " spf=none"}},
		"an id that is no token":    {Results{AuthServID: `Example "MX"\1`}, []string{` "Example \"MX\"\\1"; none`}},
		"an id with a line end":     {Results{AuthServID: "mx\r\nX: y"}, []string{` "mx??X: y"; none`}},
		"an id with U-labels":       {Results{AuthServID: "mx.bücher.example"}, []string{" mx.xn--bcher-kva.example; none"}},
		"no id":                     {Results{}, []string{` ""; none`}},
		"an address literal":        {Results{AuthServID: "mx", SPF: &SPF{Result: "none", Helo: "[192.0.2.1]"}}, []string{" mx;", ` spf=none smtp.helo="[192.0.2.1]"`}},
		"underscores in a selector": {Results{AuthServID: "mx", DKIM: []DKIM{{Result: "pass", Domain: "a_b.example", Selector: "_s.k1"}}}, []string{" mx;", " dkim=pass header.d=a_b.example header.s=_s.k1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, want := tt.r.Value(), strings.Join(tt.want, "\r\n"); got != want {
				t.Errorf("got\n%q, want\n%q", got, want)
			}
		})
	}
}

// hostile are texts that no field of ours may let act.
var hostile = []string{
	`x"; dkim=pass header.d=bank.example; x="`,
	`x\"; dkim=pass header.d=bank.example; x="`,
	`x\`, `"`, `\`, `\\"`, `"x"`, `x" `,
	"x\r\nAuthentication-Results: mx.example.org; dmarc=pass",
	"x\r\n\tdkim=pass", "x\n y", "x\ry", "x\x00y", "x\x7fy", "x\ty",
	"x; dkim=pass header.d=bank.example", ";", ";;;", "x;",
	"x (", ")", "(((", "x) dkim=pass (", "(x)",
	"<x>", "x dkim=pass", " ", "=", "dkim=pass", "a=b",
	"bücher.example", "b\xfccher.example", "\xff", "\u2028x",
	"=?utf-8?q?x?=", "[192.0.2.1]", "x,y", "x@y", "a/b", "a:b", "?", "none",
	strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a.", 5000),
	strings.Repeat(`"`, 300), strings.Repeat("é", 300),
	strings.Repeat("a", 255) + `"; dkim=pass`,
}

// sanitized computes the expected form of hostile text, without the code under test.
func sanitized(s string, most int, keep string) string {
	plain := len(s) <= most && s != "" && strings.Trim(s, tokenChars) == ""
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && i < most; i++ {
		if strings.IndexByte(keep, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			b.WriteByte('?')
		}
	}
	if len(s) > most {
		b.WriteByte('?')
	}
	return b.String()
}

const (
	tokenChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`{|}~"
	nameChars  = tokenChars + "@:/[]?"
	addrChars  = nameChars + "="
)

// TestInjection puts hostile text into each property in turn: what is read back
// is the same items, and that text with its teeth drawn.
func TestInjection(t *testing.T) {
	type place struct {
		set         func(*Results, string)
		item        int
		ptype, name string
		most        int
	}
	places := map[string]place{
		"smtp.mailfrom": {func(r *Results, s string) { r.SPF.MailFrom = s }, 0, "smtp", "mailfrom", 255},
		"smtp.helo":     {func(r *Results, s string) { r.SPF.MailFrom, r.SPF.Helo = "", s }, 0, "smtp", "helo", 255},
		"header.d":      {func(r *Results, s string) { r.DKIM[0].Domain = s }, 1, "header", "d", 255},
		"header.s":      {func(r *Results, s string) { r.DKIM[0].Selector = s }, 1, "header", "s", 255},
		"header.a":      {func(r *Results, s string) { r.DKIM[0].Algorithm = s }, 1, "header", "a", 64},
		"header.b":      {func(r *Results, s string) { r.DKIM[0].B = s }, 1, "header", "b", 64},
		"header.from":   {func(r *Results, s string) { r.DMARC.From = s }, 2, "header", "from", 255},
	}
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			for _, text := range hostile {
				r := sample()
				p.set(&r, text)
				v := r.Value()
				checkLines(t, FieldName, v)
				f, err := Parse(v)
				if err != nil || f.AuthServID != "mx.example.org" || len(f.Items) != 3 || f.Skipped != 0 {
					t.Fatalf("%q gives\n%s\nread as %+v, %v", text, v, f, err)
				}
				if got, want := f.Items[p.item].Get(p.ptype, p.name), sanitized(text, p.most, nameChars); got != want {
					t.Errorf("%q: got %q, want %q", text, got, want)
				}
				if n := strings.Count(v, ";"); n != 3 {
					t.Errorf("%q: %d semicolons in\n%s", text, n, v)
				}
				if strings.Count(v, "dkim=") != 1 {
					t.Errorf("%q: the word dkim= twice in\n%s", text, v)
				}
			}
		})
	}
	for _, text := range hostile {
		r := sample()
		r.SPF.Reason, r.DKIM[0].Reason, r.DMARC.Reason = text, text, text
		r.DMARC.Policy, r.SPF.Result = text, text
		f, err := Parse(r.Value())
		if err != nil || len(f.Items) != 3 || strings.Count(r.Value(), ";") != 3 {
			t.Errorf("reason %q gives\n%s\nread as %+v, %v", text, r.Value(), f, err)
		}
		checkLines(t, FieldName, r.Value())
	}
}

func sample() Results {
	return Results{
		AuthServID: "mx.example.org",
		SPF:        &SPF{Result: "pass", MailFrom: "example.com"},
		DKIM:       []DKIM{{Result: "pass", Domain: "example.com", Selector: "s1", Algorithm: "rsa-sha256", B: "dzdVyOfA"}},
		DMARC:      &DMARC{Result: "pass", From: "example.com", Policy: "reject"},
	}
}

// checkLines fails on a line end that is no fold, a byte that no field may
// hold, and a line of over 998 octets (RFC 5322 section 2.1.1).
func checkLines(t *testing.T, name, value string) {
	t.Helper()
	for i, line := range strings.Split(name+":"+value, "\r\n") {
		if i > 0 && (!strings.HasPrefix(line, " ") || strings.TrimSpace(line) == "") {
			t.Errorf("line %q goes on no field", line)
		}
		if len(line) > 998 {
			t.Errorf("line of %d octets", len(line))
		}
		for j := 0; j < len(line); j++ {
			if line[j] < ' ' || line[j] >= 0x7f {
				t.Errorf("octet %#x in %q", line[j], line)
			}
		}
	}
}

// TestLineLength fills everything to the brim.
func TestLineLength(t *testing.T) {
	long := strings.Repeat("x@", 5000)
	word := strings.Repeat("w", 64)
	r := Results{
		AuthServID: long,
		SPF:        &SPF{Result: word, MailFrom: long, Reason: long},
		DKIM:       []DKIM{{Result: word, Domain: long, Selector: long, Algorithm: long, B: long, Reason: long}},
		ARC:        &ARC{Result: word, Reason: long, RemoteIP: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")},
		DMARC:      &DMARC{Result: word, From: long, Policy: word, Reason: long},
	}
	checkLines(t, FieldName, r.Value())
	tm := TMResult{SPF: word, ClientIP: r.ARC.RemoteIP, MailFrom: long, DKIM: word, HeaderD: long, DMARC: word, Action: word, HeaderFrom: long}
	checkLines(t, TMFieldName, tm.Value())
	checkLines(t, TMFieldName, TMDKIM{Outcome: VerifiedSig, HeaderD: long, HeaderS: long, HeaderI: long}.Value())
	for _, result := range []string{"pass", "fail", "softfail", "neutral", "none", "permerror", "temperror", ""} {
		checkLines(t, ReceivedSPFName, ReceivedSPF{Result: result, ClientIP: r.ARC.RemoteIP, EnvelopeFrom: long, Helo: long}.Value())
		checkLines(t, ReceivedSPFName, ReceivedSPF{Result: result, Helo: long}.Value())
	}
}

// TestNaiveReader asks a reader that splits at every ";": it must see the same
// number of results whatever the network put in.
func TestNaiveReader(t *testing.T) {
	for _, text := range hostile {
		r := sample()
		r.SPF.MailFrom, r.DKIM[0].Domain, r.DKIM[0].Selector, r.DMARC.From = text, text, text, text
		id, results, err := msgauth.Parse(r.Value())
		if err != nil || id != "mx.example.org" || len(results) != 3 {
			t.Errorf("%q gives\n%s\nread as %q, %d results, %v", text, r.Value(), id, len(results), err)
		}
	}
}
