package authres

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	prop := func(ptype, name, value string) Property { return Property{Type: ptype, Name: name, Value: value} }
	tests := map[string]struct {
		in   string
		want Field
	}{
		"as we write it": {
			" mx.example.org;\r\n spf=pass smtp.mailfrom=example.com;\r\n dmarc=pass header.from=example.com policy.dmarc=reject\r\n",
			Field{AuthServID: "mx.example.org", Version: 1, Items: []Item{
				{Method: "spf", Version: 1, Result: "pass", Properties: []Property{prop("smtp", "mailfrom", "example.com")}},
				{Method: "dmarc", Version: 1, Result: "pass", Properties: []Property{prop("header", "from", "example.com"), prop("policy", "dmarc", "reject")}},
			}},
		},
		"no results":              {" example.org 1; none", Field{AuthServID: "example.org", Version: 1}},
		"the id alone":            {" example.org", Field{AuthServID: "example.org", Version: 1}},
		"a version":               {" example.org 2 ; none", Field{AuthServID: "example.org", Version: 2}},
		"an id in quotes":         {` "Example \"MX\"" ; none`, Field{AuthServID: `Example "MX"`, Version: 1}},
		"an id folded in quotes":  {" \"a\r\n b\"; none", Field{AuthServID: "a b", Version: 1}},
		"semicolons without need": {";; ;mx;", Field{Version: 1, Skipped: 1}},
		"comments everywhere": {
			" (a;(b\\)\")) foo.example (c) 1 (d);(e)dkim(f)/(g)1(h)=(i)pass(j)reason(k)=(l)\"r;(x)\" (m)header(n).(o)d(p)=(q)example.com(r);(s)",
			Field{AuthServID: "foo.example", Version: 1, Items: []Item{
				{Method: "dkim", Version: 1, Result: "pass", Reason: "r;(x)", Properties: []Property{prop("header", "d", "example.com")}},
			}},
		},
		"letter case": {
			"MX.Example.ORG; DKIM=Pass Header.D=Example.COM",
			Field{AuthServID: "MX.Example.ORG", Version: 1, Items: []Item{
				{Method: "dkim", Version: 1, Result: "pass", Properties: []Property{prop("header", "d", "Example.COM")}},
			}},
		},
		"a comment with a semicolon before the property": {
			"mx; dkim=pass (2048-bit; key) header.d=example.com",
			Field{AuthServID: "mx", Version: 1, Items: []Item{
				{Method: "dkim", Version: 1, Result: "pass", Properties: []Property{prop("header", "d", "example.com")}},
			}},
		},
		"bare values that need quotes": {
			"mx; dkim=pass header.i=@example.com header.b=ab/d+f=; arc=pass smtp.remote-ip=2001:db8::1",
			Field{AuthServID: "mx", Version: 1, Items: []Item{
				{Method: "dkim", Version: 1, Result: "pass", Properties: []Property{prop("header", "i", "@example.com"), prop("header", "b", "ab/d+f=")}},
				{Method: "arc", Version: 1, Result: "pass", Properties: []Property{prop("smtp", "remote-ip", "2001:db8::1")}},
			}},
		},
		"a quoted local part": {
			`mx; spf=pass smtp.mailfrom="john \"x\" doe"@example.com smtp.helo=h`,
			Field{AuthServID: "mx", Version: 1, Items: []Item{
				{Method: "spf", Version: 1, Result: "pass", Properties: []Property{prop("smtp", "mailfrom", `john "x" doe@example.com`), prop("smtp", "helo", "h")}},
			}},
		},
		"an empty quoted value": {
			`mx; spf=pass smtp.mailfrom="" smtp.helo=h`,
			Field{AuthServID: "mx", Version: 1, Items: []Item{
				{Method: "spf", Version: 1, Result: "pass", Properties: []Property{prop("smtp", "mailfrom", ""), prop("smtp", "helo", "h")}},
			}},
		},
		"no id at all, and properties without a type": {
			" spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dmarc=pass action=none header.from=example.com;compauth=pass reason=100",
			Field{Version: 1, Items: []Item{
				{Method: "spf", Version: 1, Result: "pass", Properties: []Property{prop("smtp", "mailfrom", "example.com")}},
				{Method: "dmarc", Version: 1, Result: "pass", Properties: []Property{prop("", "action", "none"), prop("header", "from", "example.com")}},
				{Method: "compauth", Version: 1, Result: "pass", Reason: "100"},
			}},
		},
		"words among the properties": {
			"mx; dkim=pass really header.d=example.com !!",
			Field{AuthServID: "mx", Version: 1, Items: []Item{
				{Method: "dkim", Version: 1, Result: "pass", Properties: []Property{prop("header", "d", "example.com")}},
			}},
		},
		"items that are none": {
			"mx; dkim; =pass; spf=; <x>; dkim/x=pass; none=; spf=pass",
			Field{AuthServID: "mx", Version: 1, Skipped: 6, Items: []Item{{Method: "spf", Version: 1, Result: "pass"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%+v, %v, want\n%+v", got, err, tt.want)
			}
		})
	}
}

func TestParseMalformed(t *testing.T) {
	tests := map[string]struct {
		in    string
		items int // read before the fault
	}{
		"empty":              {"", 0},
		"blank":              {" \r\n ", 0},
		"a comment":          {" (mx; dkim=pass)", 0},
		"unclosed comment":   {"mx; dkim=pass; spf=pass (", 2},
		"unclosed, nested":   {"mx; dkim=pass; (a(b) spf=pass", 1},
		"unclosed quotes":    {`mx; dkim=pass; spf=pass smtp.mailfrom="x`, 2},
		"unclosed id":        {`"mx; dkim=pass`, 0},
		"a final backslash":  {`mx; dkim=pass reason="\`, 1},
		"too many results":   {"mx" + strings.Repeat(";a=b", maxItems+1), maxItems},
		"a value over limit": {"mx; dkim=pass reason=" + strings.Repeat("x", maxParse), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(tt.in)
			if !errors.Is(err, ErrMalformed) || len(f.Items) != tt.items {
				t.Errorf("got %d items, %v; want %d", len(f.Items), err, tt.items)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	f, err := Parse("mx; a=b" + strings.Repeat(" c.d=e", maxProps+1) + "; f=g")
	if err != nil || len(f.Items) != 2 || len(f.Items[0].Properties) != maxProps {
		t.Errorf("got %d items, %v", len(f.Items), err)
	}
}

// TestParseLinear gives each loop of the reader its worst text. What was
// quadratic would take minutes.
func TestParseLinear(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{"(", "()", `"`, `""`, `"a"`, "\\", ";", "a=b;", "a ", ".", "a.", ". ", "=", "a=b c=", "/", "a=b \"", "a=b (", "i=1;", "é"} {
		for _, head := range []string{"", "mx;", "mx;a=b ", "mx;a=b c.d="} {
			text := head + strings.Repeat(unit, (maxParse-len(head))/len(unit))
			Parse(text)
			NewIDs("mx.example.org").claimedBy([]byte(text))
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}
