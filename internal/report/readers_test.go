package report

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manyRows is a report of plain rows that differ in what readers show.
func manyRows() *Report {
	r := fullReport()
	r.Rows = nil
	words := []Disposition{DispositionNone, DispositionPass, DispositionQuarantine, DispositionReject}
	for i := range 60 {
		row := Row{
			SourceIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Count: int64(1 + i*i*1000), HeaderFrom: fmt.Sprintf("h%d.example.com", i%7),
			Disposition: words[i%len(words)], DKIM: DMARCPass, SPF: DMARCFail,
			AuthDKIM: []DKIMResult{{Domain: "example.com", Selector: "s1", Result: ResultPass}},
			AuthSPF:  &SPFResult{Domain: "spf.example.net", Scope: ScopeMFrom, Result: ResultSoftfail},
		}
		if i%2 == 1 {
			row.SourceIP = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
			row.AuthDKIM[0].Result = ResultTemperror
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

// dmarcCat is the command that runs dmarc-cat with its own libraries.
func dmarcCat(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", "..", "build", "readers"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "usr", "bin", "dmarc-cat")
	loaders, _ := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-*", "ld-linux*.so.*"))
	if _, err := os.Stat(program); err != nil || len(loaders) == 0 {
		t.Skip("dmarc-cat is not in build/readers (scripts/fetch-readers fetches it); no foreign reader judges")
	}
	return []string{loaders[0], "--library-path", filepath.Dir(loaders[0]), program, "-N", "-j", "1"} // two jobs mix rows up now and then
}

// TestDmarcCat passes what we write to a reader that is not ours and compares
// sources, counts, domains and results.
func TestDmarcCat(t *testing.T) {
	command := dmarcCat(t)
	r := manyRows()
	var want []string
	for _, row := range r.Rows {
		want = append(want, fmt.Sprint(row.SourceIP, row.Count, row.HeaderFrom, row.AuthDKIM[0].Domain, row.AuthDKIM[0].Result, row.AuthSPF.Result))
	}
	slices.Sort(want)
	name := FileName(receiver, domain, r.Metadata.Begin, r.Metadata.End, "")
	path := filepath.Join(t.TempDir(), name)
	var z bytes.Buffer
	if err := r.WriteGzip(&z); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, z.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], append(command[1:], path)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := string(out)
	for _, line := range []string{
		"Reporting by: Receiver & Example — dmarc-reports@receiver.example\n", "Domain: example.com\n", "Reports(60):\n",
		"From 2026-06-01 00:00:00 +0000 UTC to 2026-06-01 23:59:59 +0000 UTC\n", "Policy: p=reject; dkim=r; spf=s\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("it does not say %q", line)
		}
	}
	_, table, _ := strings.Cut(text, "RSPF")
	var got []string
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) == 6 {
			count, _ := strconv.ParseInt(f[1], 10, 64)
			got = append(got, fmt.Sprint(netip.MustParseAddr(f[0]), count, f[2], f[3], Result(f[4]), Result(f[5])))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("it reads\n%s", text)
	}
}

// TestXPath counts with another tool, dispositions among it, which dmarc-cat
// does not show.
func TestXPath(t *testing.T) {
	schemas(t)
	r := manyRows()
	path := filepath.Join(t.TempDir(), "report.xml")
	if err := os.WriteFile(path, xmlOf(t, r), 0o644); err != nil {
		t.Fatal(err)
	}
	sums := map[Disposition]int64{}
	for _, row := range r.Rows {
		sums[row.Disposition] += row.Count
	}
	for word, want := range sums {
		query := fmt.Sprintf(`string(sum(//*[local-name()="row"][*/*[local-name()="disposition"]=%q]/*[local-name()="count"]))`, word)
		out, err := exec.Command("xmllint", "--nonet", "--xpath", query, path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := strings.TrimSpace(string(out)); got != strconv.FormatInt(want, 10) {
			t.Errorf("%s: %s messages, want %d", word, got, want)
		}
	}
}
