package authres

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dmarcd/internal/message"
)

var ours = []string{"mx.example.org", "MX2.Example.org.", "mx.bücher.example", "Example Gateway"}

// TestClaimed takes each spelling of an id that a reader may take for ours, and
// each that only looks a bit like it.
func TestClaimed(t *testing.T) {
	const rest = "; dmarc=pass header.from=bank.example"
	claimed := map[string]string{
		"plain":                         " mx.example.org" + rest,
		"no blank":                      "mx.example.org" + rest,
		"the second id":                 " mx2.example.org" + rest,
		"upper case":                    " MX.EXAMPLE.ORG" + rest,
		"trailing dot":                  " mx.example.org." + rest,
		"several trailing dots":         " mx.example.org.." + rest,
		"version":                       " mx.example.org 1" + rest,
		"version above 1":               " mx.example.org 99" + rest,
		"huge version":                  " mx.example.org " + strings.Repeat("9", 1000) + rest,
		"no results":                    " mx.example.org",
		"no results, line end":          " mx.example.org\r\n",
		"no semicolon":                  " mx.example.org dmarc=pass",
		"blank before the semicolon":    " mx.example.org \t;dmarc=pass",
		"folded":                        "\r\n\tmx.example.org\r\n ;\r\n dmarc=pass",
		"bare line ends":                "\nmx.example.org\n;dmarc=pass",
		"far away":                      strings.Repeat("\r\n ", 10000) + "mx.example.org" + rest,
		"over 4 KiB":                    " mx.example.org" + strings.Repeat(";\r\n dmarc=pass", 1000),
		"quoted":                        ` "mx.example.org"` + rest,
		"quoted with version":           ` "mx.example.org" 1` + rest,
		"quoted, glued version":         ` "mx.example.org"1` + rest,
		"quoted pairs":                  ` "\m\x.example\.org"` + rest,
		"quoted in part":                ` mx."example".org` + rest,
		"quotes around a letter":        ` "m"x.example.org` + rest,
		"empty quotes before":           ` ""mx.example.org` + rest,
		"blanks in quotes":              ` " mx.example.org "` + rest,
		"folded in quotes":              " \"mx.\r\n example.org\"" + rest,
		"more words in quotes":          ` "mx.example.org dmarc=pass"` + rest,
		"semicolon in quotes":           ` "mx.example.org; dmarc=pass"`,
		"unclosed quotes":               ` "mx.example.org` + rest,
		"backslashes without quotes":    ` mx\.example\.org` + rest,
		"escaped semicolon":             ` mx.example.org\;x` + rest,
		"comment before":                ` (hello) mx.example.org` + rest,
		"comment after":                 ` mx.example.org(hello)` + rest,
		"comment within":                ` mx.(hello)example.org` + rest,
		"comments nested":               ` (a(b(c)d)e)mx.example.org` + rest,
		"comment with quoted pairs":     ` (a\)b\(c)mx.example.org` + rest,
		"comment with semicolons":       ` (;;)mx.example.org` + rest,
		"comment with quotes":           ` (")mx.example.org` + rest,
		"comment and version":           ` mx.example.org (v) 1 (w)` + rest,
		"version glued to a comment":    ` mx.example.org(v)1` + rest,
		"unclosed comment":              ` (mx.example.org` + rest,
		"comment unclosed when nested":  ` (a(b) mx.example.org` + rest,
		"comment, unclosed, after":      ` mx.example.org (` + rest,
		"long comment":                  ` (` + strings.Repeat("x", 1<<20) + `) mx.example.org` + rest,
		"deep comment":                  strings.Repeat("(", 1<<20) + "mx.example.org" + rest,
		"RFC 822 blanks around dots":    " mx . example\r\n .org 1" + rest,
		"leading semicolon":             " ; mx.example.org" + rest,
		"leading comma":                 " , mx.example.org" + rest,
		"glued comma":                   " mx.example.org, x" + rest,
		"angle brackets":                " <mx.example.org>" + rest,
		"square brackets":               " [mx.example.org]" + rest,
		"a port":                        " mx.example.org:25" + rest,
		"a slash":                       " mx.example.org/1" + rest,
		"an address":                    " postmaster@mx.example.org" + rest,
		"id as a method":                " mx.example.org=pass" + rest,
		"ARC instance before":           " i=1; mx.example.org" + rest,
		"ARC instance, quoted":          ` I = 2 ; "mx.example.org"` + rest,
		"U-label":                       " mx.bücher.example" + rest,
		"A-label":                       " mx.xn--bcher-kva.example" + rest,
		"A-label in upper case":         " MX.XN--BCHER-KVA.EXAMPLE." + rest,
		"U-label in upper case":         " MX.BÜCHER.EXAMPLE" + rest,
		"U-label quoted":                ` "mx.bücher.example"` + rest,
		"U-label with comment":          " mx.(x)bücher.example" + rest,
		"full-width letters":            " ｍｘ．example。org" + rest,
		"soft hyphen":                   " m\u00adx.example.org" + rest,
		"zero-width space":              " \u200bmx.example.org" + rest,
		"byte order mark":               "\ufeffmx.example.org" + rest,
		"what IDNA forbids":             " mx.example.org\u2028" + rest,
		"invalid UTF-8":                 " mx\xff.example.org" + rest,
		"latin-1":                       " mx.b\xfccher.example" + rest,
		"NUL after":                     " mx.example.org\x00" + rest,
		"NUL within":                    " mx\x00.example.org" + rest,
		"DEL within":                    " mx\x7f.example.org" + rest,
		"vertical tab":                  "\vmx.example.org\f" + rest,
		"encoded-word":                  " =?utf-8?q?mx=2Eexample=2Eorg?=" + rest,
		"encoded-word in part":          " mx=?utf-8?q?=2Eexample=2Eorg?=" + rest,
		"id of several words":           ` "Example Gateway"` + rest,
		"id of several words, spelling": ` "example  GATEWAY"` + rest,
		"id of several words, bare":     ` Example Gateway 1` + rest,
		"a part":                        " mx.example.net; mx.example.org" + rest,
		"a part, no id":                 " spf=none; mx.example.org" + rest,
		"a part, no id, i is a method":  " ix=1; mx.example.org" + rest,
		"a part, last":                  " mx.example.net; spf=none; mx.example.org",
		"a part, folded":                " mx.example.net;\r\n\tMX.Example.Org.\r\n 1" + rest,
		"a part, then words":            " mx.example.net; mx.example.org dmarc=pass",
		"a part, quoted":                ` mx.example.net; "mx.example.org"` + rest,
		"a part, quoted in part":        ` mx.example.net; "mx".example\.org` + rest,
		"a part, comment before":        " mx.example.net; (x) mx.example.org" + rest,
		"a part, comment within":        " mx.example.net; mx(x).example.org" + rest,
		"a part in quotes":              ` mx.example.net; x="; mx.example.org; dmarc=pass"`,
		"a part in a comment":           " mx.example.net (; mx.example.org; dmarc=pass)",
		"a part behind an open comment": " mx.example.net (x; mx.example.org" + rest,
		"a part behind a comma":         " mx.example.net, mx.example.org, dmarc=pass",
		"a part with a sign":            " mx.example.net; mx.example.org*" + rest,
		"a part in single quotes":       " mx.example.net; 'mx.example.org'" + rest,
		"a part, U-label":               " mx.example.net; mx.bücher.example" + rest,
		"a part, the second id":         " mx.example.net; mx2.example.org" + rest,
		"a part as a method":            " mx.example.net; mx.example.org=pass" + rest,
		"single quotes":                 " 'mx.example.org'" + rest,
		"single quotes and version":     " 'MX.example.org' 1" + rest,
		"back quotes":                   " `mx.example.org`" + rest,
		"braces":                        " {mx.example.org}" + rest,
		"asterisk":                      " mx.example.org*" + rest,
		"asterisk and number":           " mx.example.org*1" + rest,
		"exclamation mark":              " mx.example.org!" + rest,
		"plus":                          " mx.example.org+x" + rest,
		"at sign behind":                " mx.example.org@evil.example" + rest,
		"percent":                       " mx.example.org%20" + rest,
		"tilde, quoted":                 ` "mx.example.org~"` + rest,
		"asterisk before":               " *mx.example.org" + rest,
		"key":                           " authserv-id=mx.example.org" + rest,
		"key, other letters":            " AuthServ-ID = mx.example.org" + rest,
		"key, colon":                    " authserv-id: mx.example.org" + rest,
		"key, underscore":               " authserv_id=mx.example.org" + rest,
		"key, quoted":                   ` authserv-id="mx.example.org"` + rest,
		"key, single quotes":            " authserv-id='mx.example.org'" + rest,
		"key behind another id":         " mx.example.net; authserv-id=mx.example.org" + rest,
		"key behind a result":           " mx.example.net; spf=none authserv-id=mx.example.org" + rest,
		"key in a comment":              " mx.example.net (authserv-id=mx.example.org)" + rest,
		"over-long id":                  " " + strings.Repeat("a", maxHead+1) + rest,
		"over-long foreign comment":     " (" + strings.Repeat("a", maxHead+1) + ") mx.example.net" + rest,
	}
	foreign := map[string]string{
		"parenthesis in quotes, long":   ` "mx(net"` + strings.Repeat(";\r\n dmarc=pass", 10000),
		"plain":                         " mx.example.net" + rest,
		"ours as a suffix":              " evil.mx.example.org" + rest,
		"ours as a suffix without dot":  " xmx.example.org" + rest,
		"ours as a prefix":              " mx.example.org.evil.example" + rest,
		"ours as a prefix without dot":  " mx.example.orgx" + rest,
		"digits behind":                 " mx.example.org1" + rest,
		"digits behind, with comment":   " (x) mx.example.org1" + rest,
		"digits behind, and version":    " mx.example.org1 1" + rest,
		"parent":                        " example.org" + rest,
		"quoted":                        ` "mx.example.net"` + rest,
		"quoted prefix":                 ` "mx.example.org.evil.example"` + rest,
		"commented":                     ` (mx.example.org) mx.example.net (mx.example.org)` + rest,
		"ours in a comment, then words": " mx.example.net(mx.example.org) 1" + rest,
		"version":                       " mx.example.net 1" + rest,
		"version 2":                     " mx.example.net 2" + rest,
		"ours as a value":               " mx.example.net; x=mx.example.org" + rest,
		"ours in a property":            " mx.example.net; spf=pass smtp.helo=mx.example.org",
		"no semicolon":                  " mx.example.net dkim=pass header.d=mx.example.org",
		"no id":                         " spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=mx.example.org; dkim=none (mx.example.org) header.d=mx.example.org",
		"no id, ours as a result":       " id=mx.example.org" + rest,
		"no id, latin-1":                " spf=pass smtp.mailfrom=b\xfccher.example",
		"ours in a part, another name":  " mx.example.net; xmx.example.org; mx.example.org.evil.example; mx.example.org-2; mx.example.org_x; mx.example.orgx" + rest,
		"ours in an address":            " mx.example.net; spf=pass smtp.mailfrom=root@mx.example.org" + rest,
		"an address as a part":          " mx.example.net; root@mx.example.org" + rest,
		"ours in a comment of a part":   " mx.example.net; (mx.example.org) spf=pass (mx.example.org)" + rest,
		"ours quoted in a property":     ` mx.example.net; spf=pass smtp.helo="mx.example.org"` + rest,
		"ours in single quotes in one":  " mx.example.net; spf=pass smtp.helo='mx.example.org'" + rest,
		"ours behind words":             " mx.example.net; spf=pass by mx.example.org" + rest,
		"another id behind the key":     " mx.example.net; spf=pass authserv-id=mx.example.net" + rest,
		"ours behind another key":       " mx.example.net; x-authserv-id=mx.example.org" + rest,
		"U-label":                       " mx.müller.example" + rest,
		"8-bit after the id":            " (b\xfccher) mx.example.net (\xff); x=\"\xff\"",
		"underscore and slash":          " mx_1.example.net/25" + rest,
		"empty":                         "",
		"blank":                         " \r\n",
		"only results":                  "; dmarc=pass",
		"folded":                        "\r\n mx.example.net\r\n 1\r\n ;\r\n dmarc=pass\r\n",
		"far away":                      strings.Repeat("\r\n ", 10000) + "mx.example.net" + rest,
		"long list of results":          " mx.example.net (x)" + strings.Repeat(";\r\n dmarc=pass", 10000),
	}
	ids := NewIDs(ours...)
	for name, v := range claimed {
		t.Run("claimed "+name, func(t *testing.T) {
			if !ids.claimedBy([]byte(v)) {
				t.Errorf("left in place: %.200q", v)
			}
		})
	}
	for name, v := range foreign {
		t.Run("foreign "+name, func(t *testing.T) {
			if ids.claimedBy([]byte(v)) {
				t.Errorf("removed: %.200q", v)
			}
		})
	}
}

// TestOwnFieldIsFound feeds back our own fields.
func TestOwnFieldIsFound(t *testing.T) {
	for _, id := range append(ours, `a "b" c\d`, "mx;1", "(mx)", "a=b", strings.Repeat("x", 200), "mx/1", "1") {
		r := sample()
		r.AuthServID = id
		if !NewIDs(id).claimedBy([]byte(r.Value())) {
			t.Errorf("id %q is not found in\n%s", id, r.Value())
		}
	}
}

func header(t *testing.T, lines ...string) *message.Header {
	t.Helper()
	h := &message.Header{}
	for _, l := range lines {
		name, _, ok := strings.Cut(l, ":")
		if !ok {
			t.Fatalf("no colon in %q", l)
		}
		h.Fields = append(h.Fields, message.Field{Name: strings.TrimRight(name, " \t"), Raw: []byte(l + "\r\n")})
	}
	return h
}

func TestForged(t *testing.T) {
	h := header(t,
		"Received: from x",
		"X-TM-Authentication-Results: spf=pass",
		"Authentication-Results: foreign.example; spf=pass", // 1
		"x-tm-authentication-results:dkim=pass; x",
		"AUTHENTICATION-RESULTS: mx.example.org; spf=pass",  // 2
		"Authentication-Results : mx.example.org; spf=pass", // 3
		"ARC-Authentication-Results: i=1; mx.example.org; spf=pass",
		"X-Authentication-Results: mx.example.org; spf=pass",
		"Authentication-Results-X: mx.example.org; spf=pass",
		"Original-Authentication-Results: mx.example.org; spf=pass",
		"X-TM-Quarantine: dmarc",
		"X-TM-Received-SPF : Pass",
		"X-TM-Received-SPG: Pass",
		"X-TM-Quarantin\x45: dmarc",
		"x-tm-original-recipients: <a@example.org>",
		"X-TM-Original-Recipient: <a@example.org>",
		"X-TM_Quarantine: dmarc",
		"X\rTM\rQuarantine: dmarc",
		"Received-SPF: Pass",
		"From: a@bank.example",
		"Authentication-Results: foreign.example; spf=pass",              // 4
		"Authentication-Results:\r\n (c) \"MX.example.org\" 1; spf=pass", // 5
		"X-TM-Received-SPF\t:",
	)
	want := []Ref{
		{FieldName, 5}, {FieldName, 3}, {FieldName, 2},
		{TMFieldName, 2}, {TMFieldName, 1},
		{ReceivedSPFName, 2}, {ReceivedSPFName, 1},
		{QuarantineName, 2}, {QuarantineName, 1},
		{OriginalRecipientsName, 1},
	}
	if got := Forged(h, []string{"mx.example.org"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Carried out one after the other as an MTA does, they leave the rest.
	left := h.Fields
	for _, r := range want {
		left = deleteField(t, left, r)
	}
	if len(left) != len(h.Fields)-len(want) {
		t.Errorf("%d fields left of %d", len(left), len(h.Fields))
	}
	if again := Forged(&message.Header{Fields: left}, []string{"mx.example.org"}); again != nil {
		t.Errorf("left behind: %v", again)
	}
}

// deleteField does as Postfix and Sendmail do: it counts the fields of that
// name from the top, letter case aside.
func deleteField(t *testing.T, fields []message.Field, r Ref) []message.Field {
	t.Helper()
	n := 0
	for i, f := range fields {
		if strings.EqualFold(f.Name, r.Name) {
			if n++; n == r.Index {
				return append(append([]message.Field{}, fields[:i]...), fields[i+1:]...)
			}
		}
	}
	t.Fatalf("no field %v", r)
	return nil
}

func TestFinderWithoutIDs(t *testing.T) {
	h := header(t, "Authentication-Results: mx.example.org; none", "Authentication-Results:", "X-TM-Quarantine: x")
	for name, f := range map[string]*Finder{"zero": {}, "empty set": NewFinder(NewIDs()), "empty id": NewFinder(NewIDs("", " ", "."))} {
		for _, field := range h.Fields {
			f.Add(field.Name, field.Value())
		}
		if got, want := f.Refs(), []Ref{{QuarantineName, 1}}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestFinderDepth sums the positions of the fields that an MTA must delete.
func TestFinderDepth(t *testing.T) {
	f := NewFinder(NewIDs("mx.example.org"))
	for i := range 100 {
		switch {
		case i%10 == 0:
			f.Add("X-TM-Quarantine", []byte(" x"))
		case i%10 == 5:
			f.Add("Authentication-Results", []byte(" mx.example.org; none"))
		default:
			f.Add("Authentication-Results", []byte(" elsewhere.example; none"))
		}
	}
	if want := int64(10*1 + 450 + 10*6 + 450); f.Depth() != want || f.Found() != 20 {
		t.Errorf("depth %d of %d fields, want %d of 20", f.Depth(), f.Found(), want)
	}
	if f.Reset(); f.Depth() != 0 {
		t.Errorf("depth %d after Reset", f.Depth())
	}
}

func TestFinderReset(t *testing.T) {
	f := NewFinder(NewIDs("mx"))
	f.Add("Authentication-Results", []byte(" other; none"))
	f.Add("Authentication-Results", []byte(" mx; none"))
	f.Add("X-TM-Quarantine", nil)
	if f.Found() != 2 {
		t.Errorf("found %d, want 2", f.Found())
	}
	f.Reset()
	if f.Found() != 0 || f.Refs() != nil {
		t.Errorf("after Reset: %d, %v", f.Found(), f.Refs())
	}
	f.Add("Authentication-Results", []byte(" mx; none"))
	if got, want := f.Refs(), []Ref{{FieldName, 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestFinderMany alternates foreign and forged fields far beyond any limit on
// the fields that are kept.
func TestFinderMany(t *testing.T) {
	f := NewFinder(NewIDs("mx"))
	const n = 200_000
	for i := 0; i < n; i++ {
		f.Add("Authentication-Results", []byte(" mx; none"))
		f.Add("Authentication-Results", []byte(" foreign; none"))
	}
	refs := f.Refs()
	if len(refs) != n || f.Found() != n || cap(f.forged) > 2*n {
		t.Fatalf("%d refs, found %d, %d words", len(refs), f.Found(), cap(f.forged))
	}
	for i, r := range refs {
		if want := 2*(n-i) - 1; r.Index != want {
			t.Fatalf("ref %d is %d, want %d", i, r.Index, want)
		}
	}
}

// TestFinderBeyondTracking exceeds the number of tracked fields.
func TestFinderBeyondTracking(t *testing.T) {
	f := NewFinder(NewIDs("mx"))
	f.counts[authenticationResults] = maxTracked - 1
	f.Add("Authentication-Results", []byte(" foreign; none"))
	f.Add("Authentication-Results", []byte(" foreign; none"))
	f.Add("Authentication-Results", []byte(" mx; none"))
	want := []Ref{{FieldName, maxTracked + 2}, {FieldName, maxTracked + 1}}
	if got := f.Refs(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(f.forged) != 0 || f.Found() != len(want) {
		t.Errorf("%d words of bits, found %d", len(f.forged), f.Found())
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	f := NewFinder(NewIDs("mx.example.org"))
	v := []byte(" foreign.example;\r\n spf=pass smtp.mailfrom=example.com")
	if n := testing.AllocsPerRun(100, func() {
		f.Add("Received", v)
		f.Add("Authentication-Results", v)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleFinder() {
	ours := NewIDs("mx.example.org") // once for each configuration
	f := NewFinder(ours)             // once for each message
	f.Add("Authentication-Results", []byte(" mx.example.net; spf=pass"))
	f.Add("Authentication-Results", []byte(" (x) mx.example.org; dmarc=pass"))
	fmt.Println(f.Refs())
	// Output: [{Authentication-Results 2}]
}

// TestClaimedCombinations puts every spelling behind every beginning and before
// every end, for our id and for another's.
func TestClaimedCombinations(t *testing.T) {
	heads := []string{"", " ", "\r\n\t", "(c)", " (a(b)\\)) ", "(;)\r\n ", "()()", "\x00", "i=1;", "I(x) = (;) 7 (x); "}
	spell := []func(label, rest string) string{
		func(l, r string) string { return l + r },
		func(l, r string) string { return strings.ToUpper(l + r) },
		func(l, r string) string { return l + r + "." },
		func(l, r string) string { return `"` + l + r + `"` },
		func(l, r string) string { return `"\` + l + `\` + r + `."` },
		func(l, r string) string { return `"` + l + `"` + r },
		func(l, r string) string { return l + `"` + r + `"` },
		func(l, r string) string { return l + "(x(y);\\))" + r },
		func(l, r string) string { return "\"\r\n " + l + "\r\n " + r + " \"" },
		func(l, r string) string { return l + "\u200b" + r },
	}
	tails := []string{"", ";x=y", " 1;", "(v) 2 ;x", "\r\n ;", " (", " junk;", "\x00;", "\r\n", ` "x";`, "\t(x)\t12345678901234567890 ; dmarc=pass"}
	ids := NewIDs("mx.example.org")
	for _, head := range heads {
		for _, f := range spell {
			for _, tail := range tails {
				if v := head + f("mx", ".example.org") + tail; !ids.claimedBy([]byte(v)) {
					t.Errorf("left in place: %q", v)
				}
				if v := head + f("mx", ".example.net") + tail; ids.claimedBy([]byte(v)) && isASCII(v) {
					t.Errorf("removed: %q", v)
				}
			}
		}
	}
}
