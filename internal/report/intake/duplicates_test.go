package intake

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
	"dmarcd/internal/store"
)

// taken puts mails into a real store at once, so that they are stored together, and
// gives what became of the report of each.
func taken(t *testing.T, s Store, mails []string, origin Origin) []analysis.Status {
	t.Helper()
	config := settings.Default("mx.example.org")
	config.Analysis.Domains = names("example.com")
	p := NewPath(Config{Store: s, Settings: func() *settings.Settings { return config }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	out := make([]analysis.Status, len(mails))
	for i, mail := range mails {
		must(t, p.Put(t.Context(), Entry{
			Input: Input{Feed: "f", Mail: true, At: time.Unix(1780400000, 0), Bytes: int64(len(mail)), Body: []byte(mail)}, Origin: origin,
			Done: func(o ItemResult) {
				if o.Err != nil || len(o.Settled) != 1 {
					t.Errorf("mail %d: %v, %d reports", i, o.Err, len(o.Settled))
					return
				}
				out[i] = o.Settled[0].Status
			},
		}))
	}
	p.Close()
	p.Run(context.Background())
	return out
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:test.db", Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.Ready(t.Context()))
	return s
}

// TestDuplicates delivers reports again, in one batch and later.
func TestDuplicates(t *testing.T) {
	whole := feedback()
	mailOf := func(changes ...string) string {
		return attached("application/gzip", "x", gz(t, strings.NewReplacer(changes...).Replace(whole)))
	}
	same, differs := mailOf(), mailOf("<count>3<", "<count>5<")
	otherID := mailOf("id-1@", "id-2@", "<p>reject", "<p>none") // a policy change within the day
	otherReporter, otherDay := mailOf("Reporter</org_name>", "Another</org_name>"), mailOf("1780272000", "1780358400", "1780358399", "1780444799")
	for name, c := range map[string]struct {
		mails []string
		want  []analysis.Status
	}{
		"02 same id, other records":        {[]string{same, differs}, []analysis.Status{analysis.StatusStored, analysis.StatusDiffers}},
		"03 two reports for one period":    {[]string{same, otherID}, []analysis.Status{analysis.StatusStored, analysis.StatusStored}},
		"04 twice in one batch":            {[]string{same, same, same}, []analysis.Status{analysis.StatusStored, analysis.StatusDuplicate, analysis.StatusDuplicate}},
		"05 id shared by reporters":        {[]string{same, otherReporter}, []analysis.Status{analysis.StatusStored, analysis.StatusStored}},
		"05 id shared by consecutive days": {[]string{same, otherDay}, []analysis.Status{analysis.StatusStored, analysis.StatusStored}},
	} {
		t.Run(name, func(t *testing.T) {
			got := taken(t, openStore(t), c.mails, Origin{Admin: true})
			for i := range c.want {
				if got[i] != c.want[i] {
					t.Errorf("mail %d is %s, want %s", i+1, got[i], c.want[i])
				}
			}
		})
	}
	t.Run("an authenticated report takes the place of one that is not", func(t *testing.T) {
		s := openStore(t)
		got := taken(t, s, []string{differs}, Origin{})
		got = append(got, taken(t, s, []string{same}, Origin{Trust: spool.Authenticated, Author: "reporter.example"})...)
		got = append(got, taken(t, s, []string{differs}, Origin{})...)
		page, err := s.Overview(t.Context(), analysis.Query{Filter: analysis.Filter{All: true}})
		must(t, err)
		if got[0] != analysis.StatusStored || got[1] != analysis.StatusReplaced || got[2] != analysis.StatusDiffers || len(page.Rows) != 1 || page.Rows[0].Messages != 7 {
			t.Errorf("%v, %+v", got, page.Rows)
		}
	})
}

// deadDNS answers nothing.
type deadDNS struct{}

func (deadDNS) LookupTXT(context.Context, dns.Name) ([]string, error) {
	return nil, errors.New("no server answers")
}

// TestDeadDNS takes reports while nothing can be looked up.
func TestDeadDNS(t *testing.T) {
	mail, _ := signed(t, attached("application/gzip", reportName, gz(t, feedback())), "reporter.example")
	store := newMemoryStore()
	s := settings.Default("mx.example.org")
	s.Analysis.Domains = names("example.com")
	p := NewPath(Config{Store: store, Settings: func() *settings.Settings { return s }, Keys: deadDNS{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	must(t, p.Put(t.Context(), Entry{Input: Input{Feed: "f", Mail: true, At: time.Now(), Bytes: int64(len(mail)), Body: []byte(mail)}, Done: func(ItemResult) {}}))
	p.Close()
	p.Run(context.Background())
	if r := store.wait(t, 1)[0].Reports[0]; r.Status != analysis.StatusStored || r.Trust != analysis.TrustUnknown {
		t.Errorf("it is %s, %s", r.Status, r.Trust)
	}
}
