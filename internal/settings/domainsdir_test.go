package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// folder writes files below a new folder and gives its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
	}
	return dir
}

func TestDomainsDir(t *testing.T) {
	dir := folder(t, map[string]string{
		"policy.yaml":          "default: {dmarc: {criteria: hes, exceptions: [192.0.2.1]}}\ndomains_dir: customers\ndomains:\n  own.example: {inherit: default}\n",
		"customers/a.yaml":     "domains:\n  a.example:\n    inherit: default\n    dmarc: {actions: {none: quarantine}, senders: [file:list.txt]}\n  same.example: {dmarc: {criteria: hes}}\n",
		"customers/b.yaml":     "# nothing yet\n",
		"customers/c.yaml":     "domains: {c.example: {mode: monitor}, twin.example: {dmarc: {criteria: hes}}}\n",
		"customers/list.txt":   "bank.example\n",
		"customers/.#c.yaml":   "[",
		"customers/c.yaml.bak": "[",
	})
	path := filepath.Join(dir, "policy.yaml")
	p, _, err := LoadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	rules := func(name string) *policy.Rules {
		r, ours := p.RulesFor(dns.MustParse(name))
		if !ours || p.Domains[dns.MustParse(name)] == nil {
			t.Errorf("%s has no entry", name)
		}
		return r
	}
	if r := rules("a.example"); r.DMARC.Criteria != policy.CriteriaHES || r.DMARC.Exceptions.Empty() || !r.DMARC.Senders.Match(dns.MustParse("bank.example")) {
		t.Errorf("a.example: %+v", r)
	}
	if rules("c.example").Mode != policy.Monitor || rules("own.example").DMARC.Criteria != policy.CriteriaHES {
		t.Error("c.example or own.example has other rules")
	}
	if rules("same.example") != rules("twin.example") {
		t.Error("equal rules of two files are not one")
	}

	at := func(name string) string { return filepath.Join(dir, "customers", name) }
	domain := dns.MustParse("a.example")
	if got := p.RulePlace(domain, policy.RuleActionNone); got != (Place{File: at("a.yaml"), Line: 4}) {
		t.Errorf("the rule stands at %s", got)
	}
	if got := p.RulePlace(domain, policy.RuleExceptions); got != (Place{File: path, Line: 1}) {
		t.Errorf("what is inherited stands at %s", got)
	}
	again, _, err := ReadTexts(p.Texts)
	if err != nil || again.ID != p.ID {
		t.Fatalf("read again: %v", err)
	}
	trace := again.EffectiveRules(domain)
	if trace.At != (Place{File: at("a.yaml"), Line: 2}) || len(trace.Entries(policy.RuleSenders)) != 1 || trace.Entries(policy.RuleSenders)[0].At.File != at("list.txt") {
		t.Errorf("traced: %+v, %+v", trace, trace.Entries(policy.RuleSenders))
	}
	want := []string{at(""), at("a.yaml"), at("b.yaml"), at("c.yaml"), at("list.txt")}
	for i := range want {
		want[i] = filepath.Clean(want[i])
	}
	if got := p.Files(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("files %q, want %q", got, want)
	}
	write(t, at("d.yaml"), "domains: {d.example: }\n")
	if more, _, err := LoadPolicy(path); err != nil || more.ID == p.ID || len(more.Domains) != len(p.Domains)+1 {
		t.Errorf("with a further file: %v", err)
	}
}

func TestDomainsDirFaults(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string // parts of the faults, in order
	}{
		"no folder":        {map[string]string{"policy.yaml": "domains_dir: x\n"}, []string{"policy.yaml:1:14: domains_dir: ", "/x: there is no such file"}},
		"a file":           {map[string]string{"policy.yaml": "domains_dir: x\n", "x": ""}, []string{"policy.yaml:1:14: domains_dir: ", "/x: cannot be read: not a directory"}},
		"twice in files":   {map[string]string{"policy.yaml": "domains_dir: x\n", "x/a.yaml": "domains: {a.example: }\n", "x/b.yaml": "domains:\n  A.example: {}\n"}, []string{"x/b.yaml:2:3: domains.A.example: duplicate domain a.example; the first is at ", "x/a.yaml:1"}},
		"in policy.yaml":   {map[string]string{"policy.yaml": "domains: {a.example: }\ndomains_dir: x\n", "x/a.yaml": "domains: {a.example: }\n"}, []string{"x/a.yaml:1:11: domains.a.example: duplicate domain a.example; the first is at ", "policy.yaml:1"}},
		"another key":      {map[string]string{"policy.yaml": "domains_dir: x\n", "x/a.yaml": "mode: monitor\n"}, []string{"x/a.yaml:1:1: mode: unknown key; it belongs in policy.yaml"}},
		"a misspelt key":   {map[string]string{"policy.yaml": "domains_dir: x\n", "x/a.yaml": "domain: {}\n"}, []string{"x/a.yaml:1:1: domain: unknown key; did you mean \"domains\"?"}},
		"not YAML":         {map[string]string{"policy.yaml": "domains_dir: x\n", "x/a.yaml": "domains: [\n"}, []string{"x/a.yaml:"}},
		"a fault and more": {map[string]string{"policy.yaml": "mode: x\ndomains_dir: x\n", "x/a.yaml": "domains: {a.example: {mode: x}}\n", "x/b.yaml": "domains: {b.example: {mode: y}}\n"}, []string{"policy.yaml:1:7: mode: ", "x/a.yaml:1:29: domains.a.example.mode: ", "x/b.yaml:1:29: domains.b.example.mode: "}},
		"a missing list":   {map[string]string{"policy.yaml": "domains_dir: x\n", "x/a.yaml": "domains: {a.example: {dmarc: {exceptions: ['file:none.txt']}}}\n"}, []string{"x/a.yaml:1:44: domains.a.example.dmarc.exceptions[0]: ", "x/none.txt: there is no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			_, _, err := LoadPolicy(filepath.Join(dir, "policy.yaml"))
			rest := ""
			if err != nil {
				rest = err.Error()
			}
			for _, want := range c.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("%v\nwant %q", err, c.want)
				}
				rest = after
			}
		})
	}
	if _, _, err := ParsePolicy("policy.yaml", "", []byte("domains_dir: x\n")); err == nil || !strings.Contains(err.Error(), "no folder can be named here") {
		t.Errorf("without a folder: %v", err)
	}
}
