package spf_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// walkLines has a step on each line, indented by its depth.
func walkLines(r spf.Result) (out []string) {
	for _, s := range r.Walk {
		line := strings.Repeat(" ", s.Depth) + s.Domain.String() + " " + s.Term + ": " + string(s.Outcome)
		if s.Result != "" {
			line += " (" + string(s.Result) + ")"
		}
		if !s.Target.IsZero() {
			line += " at " + s.Target.String()
		}
		if s.LocalPart {
			line += " personal"
		}
		out = append(out, line)
	}
	return out
}

func TestWalk(t *testing.T) {
	const zone = `
example.com     TXT "v=spf1 ip4:198.51.100.0/24 include:a.example ~include:b.example redirect=c.example"
a.example       TXT "v=spf1 ip4:192.0.2.1 -all"
b.example       TXT "v=spf1 A:host.b.example/31 MX -all"
b.example       MX 10 mail.b.example.
mail.b.example  A 192.0.2.4
host.b.example  A 192.0.2.30
c.example       TXT "v=spf1 ?ip4:192.0.2.5 exists:%{o}.nx.example -all exp=why.%{d}"
why.c.example   TXT "%{i} is not one of us"
neutral.example TXT "v=spf1 ip4:192.0.2.1"
bad.example     TXT "v=spf1 include:mid.example -all"
mid.example     TXT "v=spf1 ip4:192.0.2.77 moo"
none.example    TXT "v=spf1 include:x.nx.example -all"
u.example       TXT "v=spf1 exists:%{l}.u.example exists:%{L1r+}.u.example include:%{l}.inc.u.example include:plain.u.example -all"
me.inc.u.example TXT "v=spf1 a a:x.%{d} a:y.%{o} include:plain.u.example -all"
plain.u.example TXT "v=spf1 a:%{d} -all"
non.example     TXT "v=spf1 exists:%{l}.x.example -all"
`
	cases := []struct {
		name, ip, local, host string
		want                  []string
	}{
		{"the first term", "198.51.100.7", "u", "example.com", []string{"example.com ip4:198.51.100.0/24: match"}},
		{"by an include", "192.0.2.4", "u", "example.com", []string{
			"example.com ip4:198.51.100.0/24: no match",
			"example.com include:a.example: no match (fail) at a.example",
			" a.example ip4:192.0.2.1: no match",
			" a.example -all: match",
			"example.com ~include:b.example: match (pass) at b.example",
			" b.example A:host.b.example/31: no match at host.b.example",
			" b.example MX: match at b.example",
		}},
		{"by a redirect, with an explanation", "192.0.2.9", "u", "example.com", []string{
			"example.com ip4:198.51.100.0/24: no match",
			"example.com include:a.example: no match (fail) at a.example",
			" a.example ip4:192.0.2.1: no match",
			" a.example -all: match",
			"example.com ~include:b.example: no match (fail) at b.example",
			" b.example A:host.b.example/31: no match at host.b.example",
			" b.example MX: no match at b.example",
			" b.example -all: match",
			"example.com redirect=c.example: match (fail) at c.example",
			" c.example ?ip4:192.0.2.5: no match",
			" c.example exists:%{o}.nx.example: no match at example.com.nx.example",
			" c.example -all: match",
			" c.example exp=why.%{d}: match at why.c.example",
		}},
		{"by default", "192.0.2.9", "u", "neutral.example", []string{"neutral.example ip4:192.0.2.1: no match"}},
		{"a syntax error further down", "192.0.2.9", "u", "bad.example", []string{
			"bad.example include:mid.example: error at mid.example",
			" mid.example moo: error",
		}},
		{"an include of nothing", "192.0.2.9", "u", "none.example", []string{"none.example include:x.nx.example: error (none) at x.nx.example"}},
		{"no record", "192.0.2.9", "u", "x.nx.example", nil},
		{"a local part that no macro takes", "192.0.2.9", "ü", "non.example", []string{
			"non.example exists:%{l}.x.example: no match",
			"non.example -all: match",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _ := check(t, zone, from(c.ip, c.local, c.host))
			if lines := walkLines(got); !slices.Equal(lines, c.want) || got.WalkCut {
				t.Errorf("%s, %v\ngot  %s\nwant %s", got.Status, got.Err, strings.Join(lines, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

func TestWalkIsCut(t *testing.T) {
	zone := "long.example TXT \"v=spf1" + strings.Repeat(" ip4:192.0.2.1", 90) + " include:more.example -all\"\n" +
		"more.example TXT \"v=spf1" + strings.Repeat(" ip4:192.0.2.1", 60) + " ?all\"\n"
	got, _ := check(t, zone, from("203.0.113.1", "u", "long.example"))
	if len(got.Walk) != 100 || !got.WalkCut || got.Mechanism != "-all" {
		t.Fatalf("%d steps, cut %v, by %s", len(got.Walk), got.WalkCut, got.Mechanism)
	}
	if s := got.Walk[90]; s.Term != "include:more.example" || s.Outcome != spf.NoMatch || s.Result != spf.Neutral || s.Target.String() != "more.example" {
		t.Errorf("the include: %+v", s)
	}
	for i, s := range got.Walk {
		if s.Outcome == "" {
			t.Errorf("step %d has no outcome: %+v", i, s)
		}
	}
}

// TestRedacted takes the local part out of results: no name and no text of them
// holds it any more.
func TestRedacted(t *testing.T) {
	const secret = "ann.smith"
	const zone = `
plain.example    TXT "v=spf1 a:%{d} a:%{o} a:%{i}.x.example -all exp=why.plain.example"
plain.example    A 198.51.100.1
why.plain.example TXT "%{s} may not"
l.example        TXT "v=spf1 exists:%{l}.x.example exists:%{l1r-}.y.example -all exp=%{S}.z.example"
inc.example      TXT "v=spf1 include:%{l}.sub.example -all"
ann.smith.sub.example TXT "v=spf1 a a:x.%{d} include:%{d2}.deeper.example moo:%{d} -all"
redirect.example TXT "v=spf1 redirect=%{l}.ok.example"
ann.smith.ok.example TXT "v=spf1 a exists:%{d}.d.example ?all"
ann.smith.ok.example A 198.51.100.1
ann.smith.ok.example.d.example A 198.51.100.1
none.example     TXT "v=spf1 include:%{l}.nowhere.example -all"
temp.example     TXT "v=spf1 exists:%{l}.temp.example -all"
ann.smith.temp.example FAULT servfail
`
	cases := []struct {
		host      string
		localPart int
		status    spf.Status
		is        error
	}{
		{"plain.example", 0, spf.Fail, nil},
		{"l.example", 3, spf.Fail, nil},
		{"inc.example", 1, spf.PermError, spf.ErrSyntax},
		{"redirect.example", 2, spf.Pass, nil},
		{"none.example", 1, spf.PermError, spf.ErrNoRecord},
		{"temp.example", 1, spf.TempError, dns.ErrTemporary},
	}
	for _, c := range cases {
		t.Run(c.host, func(t *testing.T) {
			got, _ := check(t, zone, from("192.0.2.1", secret, c.host))
			if got.Status != c.status || len(got.LocalPart) != c.localPart {
				t.Errorf("%s (%v) with personal names %v; want %s and %d\n%s", got.Status, got.Err, got.LocalPart, c.status, c.localPart, strings.Join(walkLines(got), "\n"))
			}
			before := fmt.Sprintf("%+v", got)
			clean := got.Redacted()
			if text := fmt.Sprintf("%+v %v", clean, clean.Err); strings.Contains(text, "smith") {
				t.Errorf("left in it: %s", text)
			}
			if after := fmt.Sprintf("%+v", got); after != before {
				t.Errorf("the result itself changed:\n%s\n%s", before, after)
			}
			if (clean.Err == nil) != (c.is == nil) || !errors.Is(clean.Err, c.is) {
				t.Errorf("error %v, want %v", clean.Err, c.is)
			}
			if clean.Status != got.Status || clean.Mechanism != got.Mechanism || len(clean.Chain) != len(got.Chain) || len(clean.Walk) != len(got.Walk) {
				t.Errorf("more than names changed: %+v", clean)
			}
		})
	}
}
