package intake

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// rereadSite is a store and a service that reads again what is in it.
type rereadSite struct {
	*testing.T
	store   *store.Store
	config  *settings.Settings
	service *Service
}

func newRereadSite(t *testing.T, managed ...string) *rereadSite {
	s := &rereadSite{T: t, store: openStore(t), config: settings.Default("mx.example.org")}
	s.config.Analysis.Domains = names(managed...)
	s.service = &Service{Store: s.store, Settings: func() *settings.Settings { return s.config }, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	return s
}

// old stores what a reader before the first has made of a mail or file.
func (s *rereadSite) old(content string, isMail bool, origin analysis.Origin, change func(*analysis.Item)) {
	s.Helper()
	item := read(s, content, isMail)
	from := sender{admin: origin.Admin, failed: origin.Failed, domain: origin.Auth}
	newCompleterFor(s.config).complete(item, &Origin{Addresses: origin.Addresses}, from)
	item.Origin = origin
	if change != nil {
		change(item)
	}
	must(s, second(s.store.Ingest(s.Context(), &analysis.Batch{Items: []analysis.Item{*item}})))
}

func newCompleterFor(config *settings.Settings) *completer {
	c := newCompleter(config, nil)
	c.accepted = func(dns.Name, dns.Name) bool { return false }
	return c
}

// again reads everything again, and compares what was done.
func (s *rereadSite) again(want api.Reprocessed) {
	s.Helper()
	var sum api.Reprocessed
	for {
		got, err := s.service.Reprocess(s.Context(), sum.After)
		must(s, err)
		sum.Read, sum.Changed, sum.Failed, sum.After = sum.Read+got.Read, sum.Changed+got.Changed, sum.Failed+got.Failed, got.After
		if sum.After == 0 {
			break
		}
	}
	if sum != want {
		s.Errorf("reprocess did %+v, want %+v", sum, want)
	}
}

// listed are the reports and items, the first first.
func (s *rereadSite) listed() []analysis.Listed {
	s.Helper()
	page, err := s.store.ListReports(s.Context(), analysis.ReportsQuery{Query: analysis.Query{Filter: analysis.Filter{All: true, IncludeFailed: true}}})
	must(s, err)
	return page.Rows
}

// messages are those that count.
func (s *rereadSite) messages() int64 {
	s.Helper()
	totals, err := s.store.Totals(s.Context(), analysis.Query{Filter: analysis.Filter{All: true}})
	must(s, err)
	return totals.Messages
}

// refuse makes of a report what a reader makes of it that cannot read it.
func refuse(item *analysis.Item) {
	r := &item.Reports[0]
	r.Status, r.Why, r.Rows, r.Digest = analysis.StatusRefused, "an old reader", nil, analysis.DigestRows(nil)
}

// keptWhole makes of a mail what a reader makes of it that finds no report in it.
func keptWhole(t *testing.T, content string) func(*analysis.Item) {
	return func(item *analysis.Item) {
		raw, err := compress([]byte(content), nil)
		must(t, err)
		item.Kind, item.Why, item.Raw, item.Reports = analysis.KindUnreadable, "an old reader", raw, nil
	}
}

func TestReprocess(t *testing.T) {
	mail := attached("application/gzip", reportName, gz(t, feedback()))
	t.Run("a report that was refused", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old(mail, true, analysis.Origin{Auth: dns.MustParse("reporter.example")}, refuse)
		s.again(api.Reprocessed{Read: 1, Changed: 1})
		if one := s.listed()[0]; one.Status != analysis.StatusStored || one.Why != "" || one.Auth.String() != "reporter.example" || one.Trust != analysis.TrustAuthenticated || s.messages() != 7 {
			t.Errorf("%+v, %d messages", one, s.messages())
		}
		s.again(api.Reprocessed{})
	})
	t.Run("one that another has told meanwhile", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old(mail, true, analysis.Origin{}, refuse)
		s.old(mail, true, analysis.Origin{}, nil)
		s.again(api.Reprocessed{Read: 2, Changed: 1})
		if s.messages() != 7 {
			t.Errorf("%d messages count: %+v", s.messages(), s.listed())
		}
	})
	t.Run("a report that is read as before", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old(mail, true, analysis.Origin{Auth: dns.MustParse("reporter.example"), Addresses: []string{"dmarc@example.com"}}, func(item *analysis.Item) {
			item.Reports[0].Recipient = "dmarc@example.com"
		})
		before := s.listed()[0]
		s.config.Analysis.Domains = names("other.example") // what was taken in stays
		s.again(api.Reprocessed{Read: 1})
		raw, err := s.store.RawReport(t.Context(), before.ID)
		must(t, err)
		if after := s.listed()[0]; after.Status != analysis.StatusStored || after.Auth != before.Auth || after.Domain != before.Domain || raw.Recipient != "dmarc@example.com" || s.messages() != 7 {
			t.Errorf("%+v was %+v, to %s", after, before, raw.Recipient)
		}
	})
	t.Run("a mail that was kept whole", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old(mail, true, analysis.Origin{Mail: true, Auth: dns.MustParse("reporter.example")}, keptWhole(t, mail))
		s.again(api.Reprocessed{Read: 1, Changed: 1})
		one := s.listed()[0]
		if one.Status != analysis.StatusStored || one.Trust != analysis.TrustAuthenticated || !one.Raw || s.messages() != 7 {
			t.Errorf("%+v, %d messages", one, s.messages())
		}
		s.again(api.Reprocessed{})
	})
	t.Run("a mail that failed authentication does not count then either", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old(mail, true, analysis.Origin{Mail: true, Failed: true}, keptWhole(t, mail))
		s.again(api.Reprocessed{Read: 1, Changed: 1})
		if one := s.listed()[0]; one.Trust != analysis.TrustFailed || s.messages() != 0 {
			t.Errorf("%+v, %d messages", one, s.messages())
		}
	})
	t.Run("a mail at a customer's address about somebody else", func(t *testing.T) {
		s := newRereadSite(t, "example.com", "acme.example")
		s.config.Analysis.Addresses = []settings.ReportAddress{{Address: "*@rua.example.org", DomainsByLocalPart: customers("acme", "acme.example")}}
		s.old(mail, true, analysis.Origin{Mail: true, Addresses: []string{"acme@rua.example.org"}}, keptWhole(t, mail))
		s.again(api.Reprocessed{Read: 1, Changed: 1})
		if one := s.listed()[0]; one.Status != analysis.StatusAside || !strings.Contains(one.Why, "acme@rua.example.org") {
			t.Errorf("%+v", one)
		}
		s.again(api.Reprocessed{})
	})
	t.Run("what cannot be read now either", func(t *testing.T) {
		s := newRereadSite(t, "example.com")
		s.old("no report at all", false, analysis.Origin{Admin: true}, keptWhole(t, "no report at all"))
		s.again(api.Reprocessed{Read: 1})
		s.again(api.Reprocessed{})
	})
	t.Run("a domain that is managed by now", func(t *testing.T) {
		s := newRereadSite(t, "other.example")
		s.old(mail, true, analysis.Origin{}, nil)
		s.old(strings.ReplaceAll(mail, reportName, "x.xml"), true, analysis.Origin{Failed: true}, nil)
		s.again(api.Reprocessed{Read: 2}) // by an earlier reader
		s.again(api.Reprocessed{})
		s.config.Analysis.Domains = names("example.com")
		s.again(api.Reprocessed{Read: 2, Changed: 2})
		if s.messages() != 7 {
			t.Errorf("%d messages count: %+v", s.messages(), s.listed())
		}
		s.again(api.Reprocessed{})
	})
}
