package dmarc

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestGolden runs every case below testdata: a zone, a message and what must come
// of it. "walks" and "vectors" were worked out by hand from the text of RFC
// 9989; "cases" are what came up besides. Adding a case needs no Go.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".txtar")
		t.Run(name, func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zone, msg, want := section(t, archive, "zone"), section(t, archive, "message"), section(t, archive, "want")
	m := parseMessage(t, string(msg.Data))

	cold, err := dnstest.ParseZone(string(zone.Data))
	if err != nil {
		t.Fatal(err)
	}
	got := m.evaluate(t, cold) + asked(t, cold)
	if *update {
		want.Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(want.Data, []byte(got)) {
		t.Errorf("%s\n%s", strings.TrimSpace(string(archive.Comment)), diff.Diff("want", want.Data, "got", []byte(got)))
	}

	warm := warmZone{dnstest.MustZone(string(zone.Data))}
	if again := m.evaluate(t, warm) + asked(t, warm.Zone); again != got {
		t.Errorf("with a warm cache:\n%s", diff.Diff("cold", []byte(got), "warm", []byte(again)))
	}
}

// section returns a file of the archive; it creates a missing one.
func section(t *testing.T, a *txtar.Archive, name string) *txtar.File {
	t.Helper()
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	if name != "want" || !*update {
		t.Fatalf("no section %q", name)
	}
	a.Files = append(a.Files, txtar.File{Name: name})
	return &a.Files[len(a.Files)-1]
}

// warmZone is a zone that has everything in its cache.
type warmZone struct{ *dnstest.Zone }

func (z warmZone) Cached(name dns.Name) ([]string, error, bool) {
	texts, err := z.Zone.LookupTXT(context.Background(), name)
	return texts, err, true
}

func (z warmZone) LookupTXT(context.Context, dns.Name) ([]string, error) {
	panic("a warm name is looked up")
}

// message is the input of a case.
type message struct {
	from dns.Name
	ids  []Identifier
	psl  bool
}

func parseMessage(t *testing.T, text string) message {
	t.Helper()
	var m message
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("message line %q", line)
		}
		switch words := strings.Fields(value); key {
		case "from":
			m.from = dns.MustParse(value)
		case "discovery":
			m.psl = value == "psl"
		case "spf", "dkim":
			id := Identifier{Method: Method(key)}
			if words[0] != "-" {
				id.Domain = dns.MustParse(words[0])
			}
			switch words[1] {
			case "pass":
				id.State = Passed
			case "temperror":
				id.State = Undecided
			}
			m.ids = append(m.ids, id)
		default:
			t.Fatalf("message line %q", line)
		}
	}
	return m
}

// evaluate runs the case and prints the result.
func (m message) evaluate(t *testing.T, r Resolver) string {
	t.Helper()
	d := (&Discoverer{Resolver: r, PSL: m.psl}).Begin(context.Background(), m.from, domains(m.ids)...)
	defer d.Close()
	d.Wait()
	return printResult(d.Evaluate(m.ids), m.ids)
}

func domains(ids []Identifier) []dns.Name {
	var out []dns.Name
	for _, id := range ids {
		out = append(out, id.Domain)
	}
	return out
}

func printResult(r Result, ids []Identifier) string {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		value := fmt.Sprintf(format, args...)
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	line("result", "%s", r.Status)
	policy := string(r.Requested)
	if r.Policy != r.Requested {
		policy += " -> " + string(r.Policy)
	}
	line("policy", "%s", policy)
	line("tag", "%s", r.Source)
	line("org", "%s", r.OrgDomain)
	line("policy domain", "%s", r.PolicyDomain)
	var steps []string
	for _, s := range r.Walk {
		steps = append(steps, s.Name.String())
	}
	line("walk", "%s", strings.Join(steps, " "))
	for i, id := range ids {
		line(string(id.Method), "%s %s", id.Domain, r.Alignments[i])
	}
	if r.NonExistent {
		line("exists", "no")
	}
	if r.Err != nil {
		line("error", "%v", r.Err)
	}
	return b.String()
}

// asked lists the queries, and holds them to one for each name.
func asked(t *testing.T, z *dnstest.Zone) string {
	t.Helper()
	all := z.Asked()
	if n := z.Queries(dns.Name{}, ""); n != len(all) {
		t.Errorf("%d queries for %d names", n, len(all))
	}
	for i, q := range all {
		all[i] = strings.TrimPrefix(q, "TXT ")
	}
	slices.Sort(all)
	return "asked: " + strings.Join(all, " ") + "\n"
}
