package report

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// schemas are our own and, where the folder of standards stands beside the
// project, the one of RFC 9990 appendix A.
func schemas(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Skip("xmllint is not here (Debian: libxml2-utils); nothing validates the files")
	}
	list := []string{filepath.Join("testdata", "aggregate.xsd")}
	theirs := filepath.Join("..", "..", "..", "shared", "standards", "rfc9990.xsd")
	if _, err := os.Stat(theirs); err != nil {
		t.Logf("the schema of the RFC is not beside the project (%s); only our own judges", theirs)
		return list
	}
	return append(list, theirs)
}

// validate runs files by a schema and gives what xmllint says of those it refuses.
func validate(t *testing.T, schema string, files []string) string {
	t.Helper()
	out, err := exec.Command("xmllint", append([]string{"--nonet", "--noout", "--schema", schema}, files...)...).CombinedOutput()
	if err == nil {
		return ""
	}
	var bad []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasSuffix(line, " validates\n") {
			bad = append(bad, line)
		}
	}
	return strings.Join(bad, "")
}

// TestSchema writes reports of every kind, with hostile text, and validates them.
func TestSchema(t *testing.T) {
	list := schemas(t)
	dir := t.TempDir()
	var files []string
	add := func(r *Report) {
		path := filepath.Join(dir, strconv.Itoa(len(files))+".xml")
		if err := os.WriteFile(path, xmlOf(t, r), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	add(fullReport())
	least := fullReport()
	least.Metadata.ExtraContact, least.Metadata.Error, least.Metadata.Generator = "", "", ""
	least.Policy = Published{Domain: "example.com", P: PolicyNone}
	least.Rows = least.Rows[1:]
	add(least)
	many := fullReport()
	for range 200 {
		many.Rows[0].AuthDKIM = append(many.Rows[0].AuthDKIM, DKIMResult{Result: ResultPermerror})
		many.Rows[0].Reasons = append(many.Rows[0].Reasons, Reason{Type: ReasonTrustedForwarder})
	}
	add(many)
	rng := rand.New(rand.NewPCG(9, 90))
	for range 300 {
		add(randomReport(rng))
	}
	for _, schema := range list {
		if bad := validate(t, schema, files); bad != "" {
			t.Errorf("by %s:\n%s", schema, bad)
		}
	}
}

// TestOurSchemaIsStrict breaks a good file in the ways that people break it.
func TestOurSchemaIsStrict(t *testing.T) {
	list := schemas(t)
	good := string(xmlOf(t, fullReport()))
	for name, c := range map[string]struct{ old, new string }{
		"namespace":       {` xmlns="urn:ietf:params:xml:ns:dmarc-2.0"`, ""},
		"no selector":     {"        <selector>s1</selector>\n", ""},
		"two spf":         {"    </auth_results>", "<spf><domain>x.example</domain><result>pass</result></spf></auth_results>"},
		"spf before dkim": {"    <auth_results>", "<auth_results><spf><domain>x.example</domain><result>pass</result></spf>"},
		"scope":           {"<scope>mfrom<", "<scope>helo<"},
		"pct":             {"    <fo>", "<pct>100</pct><fo>"},
		"reason":          {"<type>other<", "<type>forwarded<"},
		"two errors":      {"    <generator>", "<error>second</error><generator>"},
		"hardfail":        {"<result>softfail<", "<result>hardfail<"},
		"count":           {"<count>2<", "<count>two<"},
		"order":           {"<dkim>fail</dkim>\n        <spf>pass</spf>", "<spf>pass</spf><dkim>fail</dkim>"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the file has no %s", c.old)
			}
			path := filepath.Join(t.TempDir(), "bad.xml")
			if err := os.WriteFile(path, []byte(strings.Replace(good, c.old, c.new, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, schema := range list {
				if validate(t, schema, []string{path}) == "" {
					t.Errorf("%s takes it", schema)
				}
			}
		})
	}
}
