package authres

import (
	"net/netip"
	"strings"
	"testing"
)

// lenientIDs are the ids that sloppy readers see: one takes comments, quotes and
// backslashes away and then the first word, one knows nothing of them and takes what
// stands before the first ";", one takes the first word of each part with all signs
// round it taken away, one looks for "authserv-id=".
func lenientIDs(v string) []string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' {
			if i++; i == len(v) {
				break
			}
			c = v[i]
			if depth > 0 || c == '"' || c == '(' || c == ')' || c == '\\' {
				continue
			}
		} else if c == '"' && depth == 0 {
			quoted = !quoted
			continue
		} else if c == '(' && !quoted {
			depth++
			continue
		} else if c == ')' && depth > 0 {
			depth--
			continue
		}
		if depth == 0 {
			b.WriteByte(c)
		}
	}
	ids := []string{}
	words := strings.FieldsFunc(b.String(), func(r rune) bool { return r <= ' ' || r == ';' || r == 0x7f })
	if len(words) > 0 {
		ids = append(ids, words[0])
	}
	naive, _, _ := strings.Cut(v, ";")
	for part := range strings.SplitSeq(v, ";") {
		if words := strings.Fields(part); len(words) > 0 {
			ids = append(ids, strings.Trim(words[0], "'\"*!`<>[]{}"))
		}
	}
	if _, after, ok := strings.Cut(strings.ToLower(v), " authserv-id="); ok {
		value, _, _ := strings.Cut(after, ";")
		ids = append(ids, strings.Trim(value, "'\" "))
	}
	return append(ids, strings.Trim(naive, "\" \t\r\n"))
}

func FuzzForged(f *testing.F) {
	for _, v := range []string{
		" mx.example.org; dmarc=pass", ` (a(b)\)) "mx.ex\ample.org" 1 ; none`, " mx.example.net; spf=pass",
		"\r\n\tmx.example.org\r\n", " mx.(x)example.org\\;", ` "mx.example.org;x"`, "i=1; mx.example.org", " mx.bücher.example;",
		" (mx.example.org", "=?utf-8?q?mx?=", " spf=pass smtp.helo=mx.example.org",
		" mx.example.net; 'mx.example.org'", " mx.example.org*; none", " authserv-id=mx.example.org; none", " a; (x) \"mx\".example.org",
	} {
		f.Add("Authentication-Results", v)
		f.Add("authentication-results \t", v)
		f.Add("ARC-Authentication-Results", v)
	}
	f.Add("X-TM-Quarantine", "x")
	f.Add("x-tm-received-spf ", "x")
	ids := NewIDs("mx.example.org", "mx.bücher.example")
	f.Fuzz(func(t *testing.T, name, value string) {
		fd := NewFinder(ids)
		fd.Add(name, []byte(value))
		refs := fd.Refs()
		if len(refs) != fd.Found() {
			t.Fatalf("%d refs, found %d", len(refs), fd.Found())
		}
		switch bare := strings.ToLower(strings.TrimRight(name, " \t")); bare {
		case "x-tm-authentication-results", "x-tm-received-spf", "x-tm-quarantine":
			if len(refs) != 1 || !strings.EqualFold(refs[0].Name, bare) || refs[0].Index != 1 {
				t.Errorf("%q: got %v", name, refs)
			}
		case "authentication-results":
			for _, id := range lenientIDs(value) {
				if strings.EqualFold(strings.TrimSuffix(id, "."), "mx.example.org") && len(refs) != 1 {
					t.Errorf("left in place: %q", value)
				}
			}
		default:
			if strings.HasPrefix(bare, "arc-") && refs != nil {
				t.Errorf("%q: got %v", name, refs)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, v := range []string{
		" mx.example.org;\r\n spf=pass smtp.mailfrom=example.com;\r\n dkim=none",
		` (a;(b\)")) foo (c) 1 (d);(e)dkim(f)/(g)1(h)=(i)pass(j)reason(k)="r;(x)" (m)header(n).(o)d(p)=(q)e.com(r);(s)`,
		"spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=e.com; dmarc=pass action=none", `mx; a=b c.d="x"@"y"z`, "mx;none", "mx; a/=b; =; a=; \"",
	} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		got, _ := Parse(v)
		if len(got.Items)+got.Skipped > maxItems {
			t.Errorf("%d items", len(got.Items))
		}
		for _, it := range got.Items {
			if it.Method == "" || it.Result == "" || strings.ContainsAny(it.Method+it.Result, " \r\n;()\"=") || len(it.Properties) > maxProps {
				t.Errorf("item %+v", it)
			}
			for _, p := range it.Properties {
				if strings.ContainsAny(p.Type+p.Name, " \r\n;()\"=") {
					t.Errorf("property %+v", p)
				}
			}
		}
	})
}

// FuzzWrite fills every place with hostile text. What is read back has the
// items that were written, no more, and each property in its place.
func FuzzWrite(f *testing.F) {
	for _, s := range hostile {
		f.Add("pass", s, "example.com", s, "s1")
		f.Add(s, "example.com", s, "", s)
	}
	f.Fuzz(func(t *testing.T, word, from, d, s, reason string) {
		r := Results{
			AuthServID: "mx.example.org",
			SPF:        &SPF{Result: word, MailFrom: from, Helo: d, Reason: reason},
			DKIM: []DKIM{
				{Result: word, Domain: d, Selector: s, Algorithm: from, B: s, Reason: reason},
				{Result: word, Domain: from},
			},
			ARC:   &ARC{Result: word, RemoteIP: netip.IPv6Loopback(), Reason: reason},
			DMARC: &DMARC{Result: word, From: from, Policy: word, Reason: reason},
		}
		v := r.Value()
		checkLines(t, FieldName, v)
		got, err := Parse(v)
		if err != nil || got.AuthServID != r.AuthServID || len(got.Items) != 5 || got.Skipped != 0 || strings.Count(v, ";") != 5 {
			t.Fatalf("gives\n%s\nread as %+v, %v", v, got, err)
		}
		for i, method := range []string{"spf", "dkim", "dkim", "arc", "dmarc"} {
			if got.Items[i].Method != method {
				t.Errorf("item %d is %s in\n%s", i, got.Items[i].Method, v)
			}
		}
		if have, want := got.Items[1].Get("header", "d"), sanitized(d, 255, nameChars); have != want {
			t.Errorf("header.d: got %q, want %q", have, want)
		}
		if have, want := got.Items[4].Get("header", "from"), sanitized(from, 255, nameChars); have != want {
			t.Errorf("header.from: got %q, want %q", have, want)
		}
		tm := TMResult{SPF: word, MailFrom: from, DKIM: word, Reason: Reason(reason), HeaderD: d, DMARC: word, Action: word, HeaderFrom: s}.Value()
		checkLines(t, TMFieldName, tm)
		if strings.Count(tm, ";") != 3 || strings.Count(tm, "=") != 7 || strings.Count(tm, "(") != 2 {
			t.Errorf("gives\n%s", tm)
		}
		checkLines(t, TMFieldName, TMDKIM{Outcome: VerifiedSig, HeaderD: d, HeaderS: s, HeaderI: from}.Value())
		rs := ReceivedSPF{Result: word, EnvelopeFrom: from, Helo: s}.Value()
		checkLines(t, ReceivedSPFName, rs)
		if strings.Count(rs, ";") != 2 || strings.Count(rs, "(") != 1 || strings.Count(rs, ")") != 1 {
			t.Errorf("gives\n%s", rs)
		}
	})
}
