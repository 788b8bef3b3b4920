package spftest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns/dnstest"
)

const suite = `
description: First
tests:
  zulu:
    description: |
      Text.
    spec: [4.3/1, 5/2]
    helo: h.example
    host: 192.0.2.1
    mailfrom: '"a@b"@c.example'
    result: pass
  alpha:
    spec: 4.4
    helo: h.example
    host: "2001:DB8::1"
    mailfrom: ""
    result: [fail, permerror]
    explanation: DEFAULT
zonedata:
  A.Example:
    - SPF: [ "v=spf1 ", "-all" ]
    - SPF: [ ]
    - MX: [10, b.example]
    - MX: [0, ""]
    - A: 192.0.2.1
  txt.example:
    - SPF: ignored
    - TXT: "\xEF \"\\ \x0d"
    - TIMEOUT
  none.example:
    - SPF: ignored
    - TXT: NONE
  "b c;d.example":
    - CNAME: c.example.
---
description: Second
tests: {}
zonedata: {}
`

func load(t *testing.T, text string) ([]Suite, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "suite.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestLoad(t *testing.T) {
	suites, err := load(t, suite)
	if err != nil || len(suites) != 2 || len(suites[0].Tests) != 2 || suites[1].Description != "Second" {
		t.Fatalf("%+v, %v", suites, err)
	}
	zulu, alpha := suites[0].Tests[0], suites[0].Tests[1]
	if zulu.Name != "zulu" || zulu.Description != "Text." || zulu.Spec != "4.3/1, 5/2" || !slices.Equal(zulu.Results, []string{"pass"}) {
		t.Errorf("%+v", zulu)
	}
	if local, host := zulu.Sender(); local != `"a@b"` || host != "c.example" {
		t.Errorf("sender %q, %q", local, host)
	}
	if local, host := alpha.Sender(); local+host != "" || alpha.Explanation != Default || !slices.Equal(alpha.Results, []string{"fail", "permerror"}) {
		t.Errorf("%+v", alpha)
	}
}

func TestMasterFile(t *testing.T) {
	suites, err := load(t, suite)
	if err != nil {
		t.Fatal(err)
	}
	got := suites[0].Zone.MasterFile()
	want := `a.example. MX 0 b.example.
a.example. MX 1 .
a.example. A 192.0.2.1
a.example. TXT "v=spf1 -all"
b\032c\;d.example. CNAME c.example.
txt.example. TXT "\239 \"\\ \013"
txt.example. FAULT timeout A
txt.example. FAULT timeout AAAA
txt.example. FAULT timeout MX
txt.example. FAULT timeout PTR
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := dnstest.ParseZone(got); err != nil {
		t.Error(err)
	}
	long := Zone{"a.example": {{Type: "TXT", Value: strings.Repeat("x", 600)}, {Type: "TXT"}}}
	if got := long.MasterFile(); strings.Count(got, `"`) != 8 {
		t.Errorf("a text of 600 octets and one of none are written as\n%s", got)
	}
}

func TestLoadErrors(t *testing.T) {
	for text, want := range map[string]string{
		"tests: [":                                 "yaml",
		"zonedata: {a.example: [{A: []}]}":         "empty A record",
		"zonedata: {a.example: [SERVFAIL]}":        "zone a.example: neither a record nor TIMEOUT",
		"zonedata: {a.example: [{LOC: here}]}":     `unknown record type "LOC"`,
		"zonedata: {a.example: [{A: 1, AAAA: 2}]}": "neither a record nor TIMEOUT",
		"tests: {a: {helo: [x]}}":                  "a: yaml",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.yml")); err == nil {
		t.Error("no error for a file that is not there")
	}
}

func TestFind(t *testing.T) {
	if path, err := Find("no-such-suite.yml"); err == nil {
		t.Errorf("found %s", path)
	}
	if paths := Copies(RFC7208); len(paths) == 0 {
		t.Skip("no copy of the suite")
	}
	if _, err := Find(RFC7208); err != nil {
		t.Error(err)
	}
}
