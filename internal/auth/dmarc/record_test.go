package dmarc

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// plain is a record with defaults and a p tag.
func plain(change func(*Record)) *Record {
	r := &Record{P: PolicyReject, ADKIM: Relaxed, ASPF: Relaxed, PSD: PSDUnknown, FO: "0"}
	if change != nil {
		change(r)
	}
	return r
}

// stripped returns a record without the fields that String omits.
func stripped(r *Record) Record {
	out := *r
	out.Text, out.Warnings = "", nil
	return out
}

func TestParseRecord(t *testing.T) {
	mail := func(address string) URI {
		return URI{Text: "mailto:" + address, Scheme: "mailto", Address: address, Host: name(address[strings.IndexByte(address, '@')+1:])}
	}
	voided := func(uris ...URI) *Record {
		return plain(func(r *Record) { r.P, r.Voided, r.RUA = PolicyNone, true, uris })
	}
	unusable := plain(func(r *Record) { r.P, r.Unusable = PolicyNone, true })
	d := mail("d@example.com")
	cases := []struct {
		name, in string
		want     *Record // nil: not a DMARC record
		warnings int
	}{
		{"simple", "v=DMARC1; p=reject", plain(nil), 0},
		{"no spaces", "v=DMARC1;p=reject", plain(nil), 0},
		{"final semicolon", "v=DMARC1; p=reject;", plain(nil), 0},
		{"several semicolons", "v=DMARC1;; ;p=reject;;", plain(nil), 0},
		{"blanks round equals", "v = DMARC1 ; p\t=\treject ", plain(nil), 0},
		{"leading blank", "  v=DMARC1; p=reject", plain(nil), 0},
		{"upper-case value", "v=DMARC1; p=REJECT; ADKIM=s", plain(nil), 1},
		{"everything", "v=DMARC1; p=none; sp=quarantine; np=reject; adkim=s; aspf=S; psd=N; t=Y; fo=s:d:1; rua=mailto:d@example.com, mailto:e@example.com!10m; ruf=mailto:f@example.com",
			&Record{P: PolicyNone, SP: PolicyQuarantine, NP: PolicyReject, ADKIM: Strict, ASPF: Strict, PSD: PSDNo, Testing: true, FO: "1:d:s",
				RUA: []URI{d, mail("e@example.com")}, RUF: []URI{mail("f@example.com")}}, 0},
		{"order after v is free", "v=DMARC1; sp=none; p=reject", plain(func(r *Record) { r.SP = PolicyNone }), 0},

		{"nothing", "", nil, 0},
		{"version alone", "v=DMARC1", unusable, 2},
		{"other version", "v=DMARC2; p=reject", nil, 0},
		{"version in lower case", "v=dmarc1; p=reject", nil, 0},
		{"name of v in upper case", "V=DMARC1; p=reject", plain(nil), 1},
		{"name of v in upper case, with blanks", " V = DMARC1 ; p=reject", plain(nil), 1},
		{"name and version in other letters", "V=Dmarc1; p=reject", nil, 0},
		{"longer version", "v=DMARC10; p=reject", nil, 0},
		{"v not first", "p=reject; v=DMARC1", nil, 0},
		{"semicolon first", "; v=DMARC1; p=reject", nil, 0},
		{"missing semicolon", "v=DMARC1 p=reject", nil, 0},
		{"no semicolon at all", "v=DMARC1p=reject", nil, 0},
		{"line feed", "v=DMARC1\n; p=reject", plain(nil), 1},
		{"line ends everywhere", "\r\nv\n=\rDMARC1\r\n;\n p\r\n=\nreject\r\n;\n", plain(nil), 1},
		{"line ends in a list", "v=DMARC1; p=reject;\r\n fo=1:\nd;\r\n rua=mailto:d@example.com,\r\n mailto:e@example.com\n",
			plain(func(r *Record) { r.FO, r.RUA = "1:d", []URI{d, mail("e@example.com")} }), 1},
		{"line end in place of a semicolon", "v=DMARC1\np=reject", nil, 0},
		{"line end within a value", "v=DMARC1; p=rej\nect; rua=mailto:d@example.com", voided(d), 3},
		{"encoded comma", "v=DMARC1; p=reject; rua=mailto:a%2Cb@example.com", plain(func(r *Record) {
			r.RUA = []URI{{Text: "mailto:a%2Cb@example.com", Scheme: "mailto", Address: `"a,b"@example.com`, Host: name("example.com")}}
		}), 0},
		{"p invalid, rua with an encoded comma", "v=DMARC1; p=bogus; rua=mailto:a%2cb@example.com",
			voided(URI{Text: "mailto:a%2cb@example.com", Scheme: "mailto", Address: `"a,b"@example.com`, Host: name("example.com")}), 2},
		{"SPF", "v=spf1 -all", nil, 0},

		{"p missing, rua", "v=DMARC1; rua=mailto:d@example.com", voided(d), 2},
		{"p invalid, rua", "v=DMARC1; p=bogus; rua=mailto:d@example.com", voided(d), 2},
		{"p empty, rua", "v=DMARC1; p=; rua=mailto:d@example.com", voided(d), 2},
		{"p in the wrong case, rua", "v=DMARC1; P=reject; rua=mailto:d@example.com", voided(d), 3},
		{"p cut short", "v=DMARC1; p; rua=mailto:d@example.com", voided(d), 3},
		{"sp invalid, rua", "v=DMARC1; p=reject; sp=bogus; rua=mailto:d@example.com", voided(d), 2},
		{"np invalid, rua", "v=DMARC1; p=reject; np=bogus; sp=reject; rua=mailto:d@example.com", voided(d), 2},
		{"p invalid, rua of another scheme", "v=DMARC1; p=bogus; rua=https://example.com/x",
			voided(URI{Text: "https://example.com/x", Scheme: "https"}), 2},
		{"p invalid, no rua", "v=DMARC1; p=bogus", unusable, 2},
		{"p invalid, rua invalid", "v=DMARC1; p=bogus; rua=not-a-uri", unusable, 4},
		{"p invalid, ruf alone", "v=DMARC1; p=bogus; ruf=mailto:d@example.com",
			plain(func(r *Record) { r.P, r.Unusable, r.RUF = PolicyNone, true, []URI{d} }), 2},
		{"sp empty, no rua", "v=DMARC1; p=reject; sp=", unusable, 2},

		{"invalid adkim and aspf", "v=DMARC1; p=reject; adkim=x; aspf=strict", plain(nil), 2},
		{"invalid psd", "v=DMARC1; p=reject; psd=maybe", plain(nil), 1},
		{"invalid t", "v=DMARC1; p=reject; t=yes", plain(nil), 1},
		{"first of two p", "v=DMARC1; p=reject; p=none", plain(nil), 1},
		{"first of two p, invalid", "v=DMARC1; p=bogus; p=none; rua=mailto:d@example.com", voided(d), 3},
		{"v again", "v=DMARC1; p=reject; v=DMARC2", plain(nil), 1},
		{"historic tags", "v=DMARC1; p=reject; pct=0; rf=iodef; ri=60", plain(nil), 1},
		{"pct without effect either way", "v=DMARC1; p=reject; pct=100", plain(nil), 0},
		{"unknown tag", "v=DMARC1; p=reject; foo=bar", plain(nil), 1},
		{"text that is no tag", "v=DMARC1; p=reject; hello", plain(nil), 1},
		{"equals in a value", "v=DMARC1; p=reject; rua=mailto:d@example.com?subject=x",
			plain(func(r *Record) {
				u := d
				u.Text += "?subject=x"
				r.RUA = []URI{u}
			}), 0},
		{"bad URI among good ones", "v=DMARC1; p=reject; rua=d@example.com,,mailto:d@example.com",
			plain(func(r *Record) { r.RUA = []URI{d} }), 1},

		{"fo of one", "v=DMARC1; p=reject; fo=d", plain(func(r *Record) { r.FO = "d" }), 0},
		{"fo with blanks", "v=DMARC1; p=reject; fo=1 : S", plain(func(r *Record) { r.FO = "1:s" }), 0},
		{"fo 0 and 1", "v=DMARC1; p=reject; fo=0:1", plain(nil), 1},
		{"fo twice", "v=DMARC1; p=reject; fo=1:1", plain(nil), 1},
		{"fo unknown", "v=DMARC1; p=reject; fo=1:x", plain(nil), 1},
		{"fo empty", "v=DMARC1; p=reject; fo=", plain(nil), 1},
		{"fo with an empty option", "v=DMARC1; p=reject; fo=1:", plain(nil), 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRecord(c.in)
			if c.want == nil {
				if !errors.Is(err, ErrNotDMARC) || r != nil {
					t.Errorf("got %+v, %v, want ErrNotDMARC", r, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Text != c.in {
				t.Errorf("text %q", r.Text)
			}
			if len(r.Warnings) != c.warnings {
				t.Errorf("warnings %q, want %d", r.Warnings, c.warnings)
			}
			if got, want := stripped(r), stripped(c.want); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			roundTrip(t, r)
		})
	}
}

// roundTrip checks that a printed record parses to the same record.
func roundTrip(t *testing.T, r *Record) {
	t.Helper()
	again, err := ParseRecord(r.String())
	if err != nil || !reflect.DeepEqual(stripped(again), stripped(r)) {
		t.Errorf("%q\nprints as  %q\nwhich reads %+v, %v\nnot         %+v", r.Text, r, again, err, r)
	}
}

func TestRecordString(t *testing.T) {
	for in, want := range map[string]string{
		"v=DMARC1;p=REJECT;adkim=r":                               "v=DMARC1; p=reject",
		"v=DMARC1;p=none;rua=mailto:a@b.example!5k,https://x/y":   "v=DMARC1; p=none; rua=mailto:a@b.example,https://x/y",
		"v=DMARC1;p=x;sp=none;t=y;rua=mailto:a@b.example;psd=y":   "v=DMARC1; psd=y; t=y; rua=mailto:a@b.example",
		"v=DMARC1;np=none;sp=quarantine;p=reject;fo=d:0;aspf=s ;": "v=DMARC1; p=reject; sp=quarantine; np=none; aspf=s; fo=0:d",
	} {
		r, err := ParseRecord(in)
		if err != nil || r.String() != want {
			t.Errorf("%q prints as %q, %v, want %q", in, r, err, want)
		}
	}
}

func TestParseRecordLimits(t *testing.T) {
	var uris []string
	for i := range maxURIs + 5 {
		uris = append(uris, fmt.Sprintf("mailto:a%d@example.com", i))
	}
	r, err := ParseRecord("v=DMARC1; p=reject; rua=" + strings.Join(uris, ","))
	if err != nil || len(r.RUA) != maxURIs || len(r.Warnings) != 1 {
		t.Errorf("%d URIs, warnings %q, %v", len(r.RUA), r.Warnings, err)
	}
	r, err = ParseRecord("v=DMARC1" + strings.Repeat(";x=y", maxTags) + "; p=reject")
	if err != nil || !r.Unusable || len(r.Warnings) != maxWarnings {
		t.Errorf("a tag beyond the limit counts: %+v, %v", r, err)
	}
	if r, err = ParseRecord("v=DMARC1; p=" + strings.Repeat("x", 65000)); err != nil || len(r.Warnings[0]) > 200 {
		t.Errorf("warning of %d octets, %v", len(r.Warnings[0]), err)
	}
}

func TestParseURI(t *testing.T) {
	cases := []struct{ name, in, text, address, host string }{
		{"mailto", "mailto:d@example.com", "mailto:d@example.com", "d@example.com", "example.com"},
		{"upper case", "MAILTO:D@Example.COM", "MAILTO:D@Example.COM", "D@Example.COM", "example.com"},
		{"size", "mailto:d@example.com!10m", "mailto:d@example.com", "d@example.com", "example.com"},
		{"size in bytes", "mailto:d@example.com!100000", "mailto:d@example.com", "d@example.com", "example.com"},
		{"header fields", "mailto:d@example.com?subject=a", "mailto:d@example.com?subject=a", "d@example.com", "example.com"},
		{"encoded", "mailto:d%2Bx@example.com", "mailto:d%2Bx@example.com", "d+x@example.com", "example.com"},
		{"encoded exclamation point", "mailto:a%21b@example.com", "mailto:a%21b@example.com", "a!b@example.com", "example.com"},
		{"encoded U-label", "mailto:d@b%C3%BCcher.example", "mailto:d@b%C3%BCcher.example", "d@bücher.example", "xn--bcher-kva.example"},
		{"another scheme", "https://example.com/report?x=1", "https://example.com/report?x=1", "", ""},
		{"scheme with digits", "x-1+a.b:c", "x-1+a.b:c", "", ""},

		{"no scheme", "d@example.com", "", "", ""},
		{"scheme that begins with a digit", "1a:b", "", "", ""},
		{"empty scheme", ":d@example.com", "", "", ""},
		{"nothing after the scheme", "mailto:", "", "", ""},
		{"no @", "mailto:0", "", "", ""},
		{"no local part", "mailto:@example.com", "", "", ""},
		{"no host", "mailto:d@", "", "", ""},
		{"address literal", "mailto:d@[192.0.2.1]", "", "", ""},
		{"two addresses", "mailto:a@example.com%2Cb@example.com", "", "", ""},
		{"encoded line end", "mailto:d%0D%0ARCPT%20TO:x@example.com", "", "", ""},
		{"encoded angle", "mailto:d%3E@example.com", "", "", ""},
		{"encoded NUL", "mailto:d%00@example.com", "", "", ""},
		{"encoded octets that are no UTF-8", "mailto:d%FF@example.com", "", "", ""},
		{"dots at odd places", "mailto:.d@example.com", "", "", ""},
		{"encoded line end in the host", "mailto:d@example.com%0A", "", "", ""},
		{"bad percent", "mailto:d%2@example.com", "", "", ""},
		{"percent at the end", "mailto:d@example.com%", "", "", ""},
		{"space", "mailto:d@example.com mailto:e@example.com", "", "", ""},
		{"raw 8-bit", "mailto:d@bücher.example", "", "", ""},
		{"bad size", "mailto:d@example.com!10x", "", "", ""},
		{"two units", "mailto:d@example.com!10mm", "", "", ""},
		{"size without digits", "mailto:d@example.com!m", "", "", ""},
		{"raw exclamation point", "mailto:a!b@example.com", "", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u, err := parseURI(c.in)
			if (err == nil) != (c.text != "") {
				t.Fatalf("parseURI(%q): %+v, %v", c.in, u, err)
			}
			if u.Text != c.text || u.Address != c.address || u.Host.String() != c.host {
				t.Errorf("parseURI(%q) = %+v", c.in, u)
			}
		})
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=DMARC1; p=reject", " v = DMARC1 ; p = bogus ;; rua = mailto:a@b!5k , x:y", "v=DMARC1;sp=;np=none;t=y;psd=y;fo=1:d:s;adkim=s",
		"v=DMARC1; p=none; ruf=mailto:%41%2c@b%C3%BC.c?d#e", "v=DMARC1;p=x;p=y;pct=5", "v=spf1 -all", "v=DMARC1;rua=!,:,::,a:b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err != nil {
			if !errors.Is(err, ErrNotDMARC) || r != nil {
				t.Errorf("ParseRecord(%q) = %v, %v", s, r, err)
			}
			return
		}
		if r.Voided && r.Unusable || r.P == "" || r.Voided && len(r.RUA) == 0 || len(r.Warnings) > maxWarnings {
			t.Errorf("ParseRecord(%q) = %+v", s, r)
		}
		for _, u := range append(r.RUA, r.RUF...) {
			if (u.Scheme == "mailto") == (u.Address == "") || strings.ContainsAny(u.Address, "\r\n\x00<> ") {
				t.Errorf("ParseRecord(%q): URI %+v", s, u)
			}
		}
		roundTrip(t, r)
	})
}

func BenchmarkParseRecord(b *testing.B) {
	for name, in := range map[string]string{
		"short":    "v=DMARC1; p=reject",
		"ordinary": "v=DMARC1; p=reject; sp=quarantine; pct=100; adkim=r; aspf=r; fo=1; rua=mailto:dmarc@example.com,mailto:reports@provider.example; ruf=mailto:dmarc@example.com",
		"longest":  "v=DMARC1; p=reject; rua=" + strings.Repeat("mailto:a@b.c,", 5000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRecord(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
