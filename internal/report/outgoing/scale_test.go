package outgoing_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/outgoing"
)

// scaleEnv makes TestScale run: it loads a few hundred thousand rows.
const scaleEnv = "DMARCD_TEST_SCALE"

// TestScale makes the reports of a day of 100,000 rows on 2,000 domains, and one on a
// domain with 200,000 rows, and logs the time and the peak of memory. It fails where they
// are more than a minute or 200 MB.
func TestScale(t *testing.T) {
	if os.Getenv(scaleEnv) == "" {
		t.Skipf("%s is not set", scaleEnv)
	}
	each(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			name          string
			domains, rows int // of each
			records       int // policy records that the domain had
			day           int
		}{
			{"2,000 domains of 50 rows", 2000, 50, 1, 24},
			{"a domain of 200,000 rows", 1, 200_000, 1, 25},
			{"a domain of 100,000 rows and 3 records", 1, 100_000, 3, 26},
		} {
			day := fmt.Sprintf("2026-11-%d", c.day)
			loadMany(r, day, c.domains, c.rows, c.records)
			resetPeak(t)
			before := peak(t, "VmRSS")
			began := time.Now()
			r.lead(r.p.Plan)
			took, most := time.Since(began), peak(t, "VmHWM")
			list, err := r.p.Service().State(t.Context(), outgoing.StateRequest{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %v, peak %d MB resident (%d MB before), %v", c.name, took.Round(time.Millisecond), most>>20, before>>20, list.Deliveries)
			if took > time.Minute || most > 200_000_000 {
				t.Errorf("%s: more than a minute or 200 MB", c.name)
			}
			r.clock.add(24 * time.Hour)
		}
		reports := r.reports(outgoing.Filter{Limit: 2})
		if len(reports) != 2 || reports[0].Rows != 100_000 || reports[1].Rows != 200_000 {
			t.Errorf("reports of %d and %d rows", reports[0].Rows, reports[1].Rows)
		}
		shown, err := r.p.Service().Show(t.Context(), outgoing.ShowRequest{ID: reports[0].ID, Content: true})
		if err != nil {
			t.Fatal(err)
		}
		xml := unzip(t, shown.File)
		if got := parse(t, xml); len(got.Rows) != 100_000 {
			t.Errorf("%d rows read back", len(got.Rows))
		}
		t.Logf("its file: %d octets, of %d of XML", len(shown.File), len(xml))
		took := time.Now()
		r.clock.add(time.Hour)
		r.lead(func(ctx context.Context, epoch int64) error {
			n, err := r.p.DrainNow(ctx, epoch)
			t.Logf("%d mails handed over in %v", n, time.Since(took).Round(time.Millisecond))
			return err
		})
	})
}

// loadMany counts mail of many sources.
func loadMany(r *rig, day string, domains, rows, records int) {
	r.Helper()
	var batch []memory.Aggregate
	for d := range domains {
		domain := fmt.Sprintf("sender%04d.example", d)
		for i := range rows {
			n := d*rows + i
			row := report.Row{
				Count: 1, SourceIP: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), DKIM: report.DMARCPass, Disposition: report.DispositionPass,
				HeaderFrom: domain, EnvelopeFrom: "bounce." + domain,
				AuthDKIM: []report.DKIMResult{{Domain: domain, Selector: "s2026", Result: report.ResultPass}, {Domain: "esp.example", Selector: "k1", Result: report.ResultPass}},
				AuthSPF:  &report.SPFResult{Domain: "bounce." + domain, Scope: report.ScopeMFrom, Result: report.ResultFail},
			}
			record := fmt.Sprintf("v=DMARC1; p=reject; rua=mailto:rua@%s; x=%d", domain, i%records)
			y := aggregate(day, domain, record, row)
			y.Last += int64(i % records)
			if batch = append(batch, y); len(batch) == 5000 {
				r.load(batch...)
				batch = batch[:0]
			}
		}
	}
	r.load(batch...)
}

// resetPeak begins a new peak of resident memory.
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Logf("the peak of memory is that of the whole test: %v", err)
	}
}

// peak is a line of /proc/self/status, in octets; 0 where there is none.
func peak(t *testing.T, name string) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	return 0
}
