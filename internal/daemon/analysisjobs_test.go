package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
	"dmarcd/internal/settings"
)

type ttlZone struct{ *dnstest.Zone }

func (z ttlZone) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	texts, err := z.LookupTXT(ctx, name)
	return texts, time.Minute, err
}

// TestIdentifier names sources once, and again only when that is due; trouble takes no
// name away.
func TestIdentifier(t *testing.T) {
	store := analysistest.New()
	domain := dns.MustParse("a.example")
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	r := analysis.Report{Domain: domain, Status: analysis.StatusStored, Trust: analysis.TrustUnknown, Metadata: report.Metadata{Begin: noon.Add(-24 * time.Hour), End: noon}}
	for n := range 300 {
		r.Rows = append(r.Rows, analysis.Row{Number: n + 1, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}).Next(), Count: 1, Auth: &analysis.AuthSet{}})
	}
	if _, err := store.Ingest(t.Context(), &analysis.Batch{Items: []analysis.Item{{Reports: []analysis.Report{r}}}}); err != nil {
		t.Fatal(err)
	}
	zone := dnstest.MustZone("1.2.0.192.in-addr.arpa PTR mx.mailer.example\nmx.mailer.example A 192.0.2.1")
	now := noon
	config := settings.Default("mx.example.org")
	i := &identifier{
		settings: func() *settings.Settings { return config }, store: store, figures: store, names: zone, spf: zone, log: slog.New(slog.DiscardHandler),
		now: func() time.Time { return now },
	}
	i.services = newServices(i.settings, i.log).get
	i.network = (&networks{settings: i.settings, log: i.log}).look
	for _, want := range []int{256, 0} { // so many are different
		if n, err := i.batch(t.Context()); err != nil || n != want {
			t.Fatalf("looked %d up, want %d, %v", n, want, err)
		}
	}
	hosts := func() map[string]string {
		page, err := store.Sources(t.Context(), analysis.Query{Filter: analysis.Filter{All: true}}, analysis.LevelIP)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, s := range page.Rows {
			out[s.IP] = s.Host + " " + s.Service
		}
		return out
	}
	if got := hosts(); got["192.0.2.1"] != "mx.mailer.example mailer.example" || got["192.0.2.2"] != " unknown" {
		t.Errorf("got %q, %q", got["192.0.2.1"], got["192.0.2.2"])
	}
	zone.Remove(dns.MustParse("mx.mailer.example"))
	if err := zone.Add("mx.mailer.example FAULT servfail"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(8 * 24 * time.Hour)
	if n, err := i.batch(t.Context()); err != nil || n != 256 {
		t.Fatalf("looked %d up after a week, %v", n, err)
	}
	if got := hosts()["192.0.2.1"]; got != "mx.mailer.example mailer.example" {
		t.Errorf("after trouble it is called %q", got)
	}
	if i.counts.named != 1 || i.counts.trouble != 1 || i.counts.none != 510 {
		t.Errorf("counted %d named, %d none, %d trouble", i.counts.named, i.counts.none, i.counts.trouble)
	}
}

// TestRecordPoll keeps what the DNS says of each managed domain, and nothing where it
// says nothing.
func TestRecordPoll(t *testing.T) {
	store := analysistest.New()
	zone := dnstest.MustZone(`
_dmarc.a.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@a.example"
_dmarc.b.example TXT "v=DMARC1; p=none"
_dmarc.c.example FAULT servfail
a.example TXT "v=spf1 -all"
c.example FAULT servfail
s1._domainkey.a.example TXT "v=DKIM1; p=AAAA"
s2._domainkey.a.example TXT "v=DKIM1; p="
s4._domainkey.a.example FAULT servfail
`)
	keys := analysis.Report{
		Domain: dns.MustParse("a.example"), Status: analysis.StatusStored, Trust: analysis.TrustAuthenticated,
		Metadata: report.Metadata{Begin: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 3, 3, 23, 59, 59, 0, time.UTC)},
	}
	for i := range 4 {
		keys.Rows = append(keys.Rows, analysis.Row{Number: i, Count: 1, Auth: &analysis.AuthSet{DKIM: []analysis.DKIMResult{{Domain: "a.example", Selector: fmt.Sprint("s", i+1)}}}})
	}
	if _, err := store.Ingest(t.Context(), &analysis.Batch{Items: []analysis.Item{{Reports: []analysis.Report{keys}}}}); err != nil {
		t.Fatal(err)
	}
	config := settings.Default("mx.example.org")
	config.Analysis.Domains = []dns.Name{dns.MustParse("a.example"), dns.MustParse("b.example"), dns.MustParse("c.example")}
	config.Analysis.Addresses = []settings.ReportAddress{{Address: "dmarc@a.example"}}
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	p := &recordPoll{
		settings: func() *settings.Settings { return config }, store: store, resolver: ttlZone{zone},
		log: slog.New(slog.DiscardHandler), now: func() time.Time { return now },
	}
	p.round(t.Context(), config)
	words := func() map[string]analysis.Word {
		list, err := store.Snapshots(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]analysis.Word{}
		for _, n := range list {
			if n.Kind == analysis.SnapshotDMARC {
				out[n.Domain.String()] = n.Word
			} else {
				out[string(n.Kind)+" "+n.Name] = n.Word
			}
		}
		return out
	}
	want := map[string]analysis.Word{
		"a.example": analysis.WordInEffect, "b.example": analysis.WordMissing, "spf a.example": analysis.WordInEffect, "spf b.example": analysis.WordMissing,
		"dkim s1._domainkey.a.example": analysis.WordInEffect, "dkim s2._domainkey.a.example": analysis.WordBroken, "dkim s3._domainkey.a.example": analysis.WordMissing,
	}
	if got := words(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	zone.Remove(dns.MustParse("_dmarc.a.example"))
	now = now.Add(6 * time.Hour)
	p.round(t.Context(), config)
	if got := words(); got["a.example"] != analysis.WordMissing {
		t.Errorf("once the record is gone: %v", got)
	}
	history, err := store.History(t.Context(), dns.MustParse("a.example"), analysis.SnapshotDMARC, 10)
	if err != nil || len(history) != 2 || !history[0].First.Equal(now) || history[1].Value == "" {
		t.Errorf("history %+v, %v", history, err)
	}
	counted := map[analysis.Word]int{}
	p.states.each(func(w analysis.Word, n int) { counted[w] = n })
	if counted[analysis.WordMissing] != 2 || counted[analysis.WordUnknown] != 1 || counted[analysis.WordInEffect] != 0 {
		t.Errorf("counted %v", counted)
	}
}

func TestJitter(t *testing.T) {
	for range 1000 {
		if d := jittered(6 * time.Hour); d < 54*6*time.Minute || d > 66*6*time.Minute {
			t.Fatalf("%s", d)
		}
	}
}
