package store

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
	"dmarcd/internal/report/outgoing"
)

// TestStoresOfEarlierBuilds opens databases that the daemon of an earlier build filled
// with mail and reports, and compares all that they give with what that build itself
// read from them. The files never change.
func TestStoresOfEarlierBuilds(t *testing.T) {
	for _, build := range []string{"8f6c5f3"} {
		t.Run(build, func(t *testing.T) {
			eachDialect(t, func(t *testing.T, db database) {
				restore(t, db, build)
				s := db.open(t)
				want := string(unzipped(t, build, db.kind+".txt"))
				for range 2 { // opened for the first time, and once it is brought up to date
					got := kept(t, s, want)
					if got != want {
						t.Fatalf("got\n%s\nwant\n%s", got, want)
					}
					if n := s.Undecodable(); n != 0 {
						t.Errorf("%d could not be read", n)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = db.open(t)
				}
				// It is written to as before.
				load(t, s, "new", newTraffic(1, 3).batch(20, epoch0, time.Hour))
				if n, err := s.Count(t.Context(), time.Time{}, time.Time{}); err != nil || n != 128 {
					t.Errorf("%d messages with 20 new ones, %v", n, err)
				}
			})
		})
	}
}

// restore puts what an earlier build left into an empty database.
func restore(t *testing.T, db database, build string) {
	t.Helper()
	if db.kind == "sqlite" {
		if err := os.WriteFile(filepath.Join(db.dir, "test.db"), unzipped(t, build, "dmarcd.db"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	var script strings.Builder
	for line := range strings.Lines(string(unzipped(t, build, "postgres.sql"))) {
		if !strings.HasPrefix(line, `\`) && !strings.Contains(line, "set_config('search_path'") { // words of psql; the schema is the test's
			script.WriteString(strings.ReplaceAll(line, "public.", ""))
		}
	}
	rawExec(t, db.url, script.String())
}

func unzipped(t *testing.T, build, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", build, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kept asks a store for all that it has: the messages named in want, and the rest.
func kept(t *testing.T, s *Store, want string) string {
	t.Helper()
	var b strings.Builder
	seen := 0
	for line := range strings.Lines(want) {
		id, named := strings.CutPrefix(strings.TrimSpace(line), "message ")
		if !named {
			continue
		}
		found := must(s.Find(t.Context(), id, 5))
		for i := range found {
			seen++
			fmt.Fprintf(&b, "message %s\n", id)
			for _, line := range memorytest.Dump(&found[i]) {
				b.WriteString("  " + line + "\n")
			}
		}
	}
	fmt.Fprintf(&b, "count %d found %d\n", must(s.Count(t.Context(), time.Time{}, time.Time{})), seen)
	tellSearches(t, s, &b)
	tellReports(t, s, &b)
	return b.String()
}

func tellSearches(t *testing.T, s *Store, b *strings.Builder) {
	t.Helper()
	for _, c := range []struct {
		name  string
		query memory.Query
	}{
		{"quarantined", memory.Query{Action: "quarantine"}},
		{"rejected", memory.Query{Action: "reject"}},
		{"failed", memory.Query{Result: "fail"}},
		{"domain", memory.Query{Domain: dns.MustParse("bad.example")}},
		{"client", memory.Query{Client: netip.MustParsePrefix("2001:db8::/32")}},
		{"rcpt", memory.Query{Recipients: []dns.Name{dns.MustParse("example.net")}}},
		{"none", memory.Query{Result: "-"}},
	} {
		c.query.Limit = 1000
		fmt.Fprintf(b, "search %s", c.name)
		for _, f := range must(s.Search(t.Context(), c.query)).Found {
			b.WriteString(" " + f.Record.QueueID)
		}
		b.WriteString("\n")
	}
}

func tellReports(t *testing.T, s *Store, b *strings.Builder) {
	t.Helper()
	r, ctx := s.Reports(), t.Context()
	for _, day := range aggregateDays(t, s) {
		for _, d := range must(r.Domains(ctx, day, dns.Name{}, 100)) {
			fmt.Fprintf(b, "tallies %s %s messages %d failed %d reported %v\n", day, d.Domain, d.Messages, d.Failed, d.Reported)
			for _, row := range must(r.Rows(ctx, day, d.Domain, false, 0, 1000)) {
				fmt.Fprintf(b, "  row %d %x\n", row.Messages, row.Key)
			}
			policies, _, err := r.Policies(ctx, day, d.Domain, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range policies {
				fmt.Fprintf(b, "  policy %s psl %v last %d\n", p.Record, p.PSL, p.Last.Unix())
			}
		}
	}
	for _, x := range must(r.List(ctx, outgoing.Filter{Limit: 100})) {
		x := must(r.Report(ctx, x.ID))
		fmt.Fprintf(b, "report %d %s %s %s %q %q %q %q %q made %d messages %d rows %d octets %d stored %v note %q problem %q\n",
			x.ID, x.Kind, x.Domain, x.Day, x.ReportID, x.FileName, x.Subject, x.OrgName, x.Email,
			x.Made.UnixMilli(), x.Messages, x.Rows, x.Octets, x.Stored, x.Note, x.Problem)
		for _, d := range x.Delivered {
			fmt.Fprintf(b, "  delivery %d %q %s cause %q error %q attempts %d due %d expires %d sent %d id %q verified %v record %q\n",
				d.ID, d.To, d.State, d.Cause, d.Error, d.Attempts, d.Due.UnixMilli(), d.Expires.UnixMilli(), d.Sent.UnixMilli(), d.MessageID, d.Verified, d.Record)
		}
		file, err := r.File(ctx, x.ID)
		fmt.Fprintf(b, "  file %q %v\n", file, err)
	}
	for _, x := range must(r.Suppressions(ctx, time.Now(), outgoing.SuppressionsRequest{All: true, Limit: 100})) {
		fmt.Fprintf(b, "suppression %s %q byhand %v until %d\n", x.Target, x.Reason, x.ByHand, x.Until.Unix())
	}
	fmt.Fprintf(b, "secret %x\n", must(r.Secret(ctx)))
}
