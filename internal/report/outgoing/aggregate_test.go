package outgoing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/destination"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

const reject = "v=DMARC1; p=reject; rua=mailto:rua@sender.example"

// TestNight makes and sends a report, and reads it back.
func TestNight(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		full := report.Row{
			Count: 7, SourceIP: netip.MustParseAddr("2001:db8::1"), DKIM: report.DMARCPass, Disposition: report.DispositionPass,
			HeaderFrom: "news.sender.example", EnvelopeFrom: "bounce.sender.example",
			AuthDKIM: []report.DKIMResult{{Domain: "sender.example", Selector: "s1", Result: report.ResultPass}},
			AuthSPF:  &report.SPFResult{Domain: "bounce.sender.example", Scope: report.ScopeMFrom, Result: report.ResultSoftfail},
		}
		r.load(aggregate(yesterday, "sender.example", reject, full), aggregate(yesterday, "sender.example", reject, failed(3)),
			aggregate("2026-11-25", "sender.example", reject, failed(100)), aggregate("2026-11-23", "sender.example", reject, failed(50)))
		r.load(aggregate(yesterday, "sender.example", reject, failed(2)))
		r.night()
		mails := r.server.got("")
		if len(mails) != 1 {
			t.Fatalf("%d mails, want 1: %v", len(mails), r.states())
		}
		m := mails[0]
		if m.from != "dmarc@receiver.example" || m.to != "rua@sender.example" {
			t.Errorf("envelope %q %q", m.from, m.to)
		}
		got := m.report(t)
		if got.Metadata.OrgName != "Receiver Example" || got.Metadata.ExtraContact == "" || got.Metadata.Generator != "dmarcd/test" {
			t.Errorf("metadata %+v", got.Metadata)
		}
		if got.Policy.Domain != "sender.example" || got.Policy.P != report.PolicyReject || got.Policy.Discovery != report.DiscoveryTreeWalk {
			t.Errorf("policy %+v", got.Policy)
		}
		counts := map[string]int64{}
		for _, row := range got.Rows {
			counts[row.HeaderFrom+" "+row.SourceIP.String()] += row.Count
		}
		want := map[string]int64{"news.sender.example 2001:db8::1": 7, "sender.example 192.0.2.1": 5}
		if !maps.Equal(counts, want) {
			t.Errorf("rows %v, want %v", counts, want)
		}
		stored := r.reports(outgoing.Filter{})
		if len(stored) != 1 || stored[0].Messages != 12 || stored[0].Rows != 2 || stored[0].ReportID != got.Metadata.ReportID {
			t.Errorf("stored %+v", stored)
		}
		name, _ := m.file(t)
		begin := stored[0].Day.Begin().Unix()
		if want := fmt.Sprintf("receiver.example!sender.example!%d!%d!%s.xml.gz", begin, begin+86399, stored[0].ReportID); name != want {
			t.Errorf("file name %q, want %q", name, want)
		}
		msg := m.message(t)
		if s := msg.Header.Get("Subject"); s != stored[0].Subject {
			t.Errorf("subject %q, want %q", s, stored[0].Subject)
		}
		if id := msg.Header.Get("Message-ID"); id != "<"+stored[0].Delivered[0].MessageID+">" {
			t.Errorf("message-id %q", id)
		}
		r.night() // nothing more
		if n := len(r.server.got("")); n != 1 {
			t.Errorf("%d mails after another night", n)
		}
	})
}

// TestScopes chooses what is reported.
func TestScopes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*outgoing.Config)
		want   map[string]int64 // messages reported, by domain
	}{
		{"all", func(*outgoing.Config) {}, map[string]int64{"good.example": 5, "mixed.example": 9, "bad.example": 2}},
		{"failure days", func(c *outgoing.Config) { c.Scope = settings.ScopeFailureDays }, map[string]int64{"mixed.example": 9, "bad.example": 2}},
		{"failures", func(c *outgoing.Config) { c.Scope = settings.ScopeFailures }, map[string]int64{"mixed.example": 1, "bad.example": 2}},
		{"min_messages", func(c *outgoing.Config) { c.MinMessages = 5 }, map[string]int64{"good.example": 5, "mixed.example": 9}},
		{"exclude", func(c *outgoing.Config) { c.Exclude.Add(dns.MustParse("good.example"), false) }, map[string]int64{"mixed.example": 9, "bad.example": 2}},
		{"off", func(c *outgoing.Config) { c.Enabled = false }, map[string]int64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				record := func(d string) string { return "v=DMARC1; p=reject; rua=mailto:rua@" + d }
				r.load(
					aggregate(yesterday, "good.example", record("good.example"), passed(5)),
					aggregate(yesterday, "mixed.example", record("mixed.example"), passed(8)), aggregate(yesterday, "mixed.example", record("mixed.example"), failed(1)),
					aggregate(yesterday, "bad.example", record("bad.example"), failed(2)),
				)
				r.change(c.change)
				r.night()
				got := map[string]int64{}
				for _, m := range r.server.got("") {
					report := m.report(t)
					for _, row := range report.Rows {
						got[report.Policy.Domain] += row.Count
					}
				}
				if !maps.Equal(got, c.want) {
					t.Errorf("reported %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestPolicyChange reports on the record seen last, and joins rows that are the same.
func TestPolicyChange(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		old := aggregate(yesterday, "sender.example", "v=DMARC1; p=none; rua=mailto:old@sender.example", failed(3))
		late := aggregate(yesterday, "sender.example", "v=DMARC1; p=quarantine; sp=reject; t=y; adkim=s; fo=1; ruf=mailto:f@sender.example; rua=mailto:new@sender.example", failed(4))
		late.Last += 3600
		r.load(old, late)
		r.night()
		mails := r.server.got("new@sender.example")
		if len(mails) != 1 || len(r.server.got("")) != 1 {
			t.Fatalf("mails: %v", r.states())
		}
		got := mails[0].report(t)
		want := report.Published{Domain: "sender.example", Discovery: report.DiscoveryTreeWalk, P: report.PolicyQuarantine, SP: report.PolicyReject,
			ADKIM: report.ModeStrict, ASPF: report.ModeRelaxed, FO: "1", Testing: true}
		if got.Policy != want {
			t.Errorf("policy %+v", got.Policy)
		}
		if len(got.Rows) != 1 || got.Rows[0].Count != 7 {
			t.Errorf("rows %+v", got.Rows)
		}
		if !strings.Contains(got.Metadata.Error, "changed") {
			t.Errorf("error %q", got.Metadata.Error)
		}
	})
}

// TestVoidedRecord is reported as p=none.
func TestVoidedRecord(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", "v=DMARC1; p=rejct; rua=mailto:rua@sender.example", failed(1)))
		r.night()
		mails := r.server.got("")
		if len(mails) != 1 {
			t.Fatal(r.states())
		}
		got := mails[0].report(t)
		if got.Policy.P != report.PolicyNone || !strings.Contains(got.Metadata.Error, "p=none") {
			t.Errorf("policy %+v, error %q", got.Policy, got.Metadata.Error)
		}
	})
}

// TestLate counts what comes after the closing into the next report.
func TestLate(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.night()
		r.loadFrom("other", aggregate(yesterday, "sender.example", reject, failed(10)), aggregate("2026-11-20", "sender.example", reject, failed(200)),
			aggregate("2026-11-25", "sender.example", reject, failed(3000)), aggregate("2026-11-26", "sender.example", reject, failed(1)))
		r.night()
		if n := len(r.server.got("")); n != 1 {
			t.Fatalf("%d mails before the next day", n)
		}
		r.clock.add(24 * time.Hour)
		r.night()
		mails := r.server.got("")
		if len(mails) != 2 {
			t.Fatalf("%d mails", len(mails))
		}
		got := mails[1].report(t)
		if len(got.Rows) != 1 || got.Rows[0].Count != 3210 {
			t.Errorf("rows %+v", got.Rows)
		}
	})
}

// TestClosingWhileLoading closes days while several daemons load: every message is in
// one report, and in one only.
func TestClosingWhileLoading(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const loaders, batches = 4, 40
		stores := make([]*store.Store, loaders)
		for i := range stores {
			stores[i] = r.open()
		}
		var loading, begun sync.WaitGroup // begun: a quarter is loaded
		begun.Add(loaders)
		for i, s := range stores {
			loading.Go(func() {
				begin := sync.OnceFunc(begun.Done)
				defer begin()
				for n := range int64(batches) {
					if n == batches/4 {
						begin()
					}
					from := memory.Position{Segment: uint64(min(n, 1)), Offset: n}
					err := s.Load(t.Context(), memory.Batch{
						Journal: fmt.Sprint(i), From: from, To: memory.Position{Segment: 1, Offset: n + 1},
						Aggregates: []memory.Aggregate{aggregate(yesterday, "sender.example", reject, failed(1)), aggregate(yesterday, "sender.example", reject, passed(1))},
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		begun.Wait()
		r.plan()
		loading.Wait()
		r.clock.add(24 * time.Hour)
		r.plan()
		var counts []int64
		all := int64(0)
		for _, report := range r.reports(outgoing.Filter{}) {
			counts = append(counts, report.Messages)
			all += report.Messages
		}
		if all != loaders*batches*2 {
			t.Errorf("%v messages reported, %d in all, want %d", counts, all, loaders*batches*2)
		}
		t.Logf("reported %v", counts)
	})
}

// TestHour waits for reports.at.
func TestHour(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.clock.add(-40 * time.Minute) // 00:20
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		if n := len(r.reports(outgoing.Filter{})); n != 0 {
			t.Errorf("%d reports before their time", n)
		}
		r.clock.add(10 * time.Minute)
		r.plan()
		if n := len(r.reports(outgoing.Filter{})); n != 1 {
			t.Errorf("%d reports at their time", n)
		}
	})
}

// TestCatchUp makes up for days on which nothing ran.
func TestCatchUp(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		r.clock.add(10 * 24 * time.Hour) // to the 5th of December
		for day := 25; day <= 30; day++ {
			r.load(aggregate(fmt.Sprintf("2026-11-%d", day), "sender.example", reject, failed(int64(day))))
		}
		r.load(aggregate("2026-12-04", "sender.example", reject, failed(4)))
		r.plan()
		var days []string
		for _, report := range r.reports(outgoing.Filter{}) {
			days = append(days, report.Day.String())
		}
		slices.Reverse(days)
		want := []string{yesterday, "2026-11-28", "2026-11-29", "2026-11-30", "2026-12-04"}
		if !slices.Equal(days, want) {
			t.Errorf("days %v, want %v, the oldest first", days, want)
		}
	})
}

// TestClock sets the clock about: no day is reported twice, and none is lost.
func TestClock(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.night()
		r.load(aggregate("2026-11-25", "sender.example", reject, failed(5)))
		r.clock.add(-72 * time.Hour)
		r.night()
		if n := len(r.server.got("")); n != 1 {
			t.Fatalf("%d mails after the clock was set back", n)
		}
		r.clock.add(72 * time.Hour)
		r.clock.add(3650 * 24 * time.Hour)
		r.plan() // closes days of ten years on
		r.clock.add(-3650 * 24 * time.Hour)
		r.plan()
		r.load(aggregate("2026-11-25", "sender.example", reject, failed(7)))
		r.clock.add(24 * time.Hour)
		r.night()
		mails := r.server.got("")
		if len(mails) != 2 {
			t.Fatalf("%d mails", len(mails))
		}
		if got := mails[1].report(t); got.Rows[0].Count != 12 || got.Metadata.Begin.Format(time.DateOnly) != "2026-11-25" {
			t.Errorf("report %+v %+v", got.Metadata, got.Rows)
		}
	})
}

// TestCrashWhileMaking ends a day's work in the middle.
func TestCrashWhileMaking(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for i := range 200 {
			domain := fmt.Sprintf("d%03d.example", i)
			r.load(aggregate(yesterday, domain, "v=DMARC1; p=reject; rua=mailto:rua@"+domain, failed(1)))
		}
		ctx, cancel := context.WithCancel(r.Context())
		go func() {
			for ctx.Err() == nil {
				if n, err := r.store.Reports().Gauges(ctx, r.clock.now(), []outgoing.State{outgoing.StateQueued}); err == nil && n.Deliveries[outgoing.StateQueued] > 0 {
					cancel()
				}
			}
		}()
		_ = r.store.Lead(ctx, "test", r.p.Plan)
		before := map[string]string{}
		for _, report := range r.reports(outgoing.Filter{Limit: 1000}) {
			before[report.Domain] = report.ReportID + report.Delivered[0].MessageID
		}
		r.p = r.pipeline()
		r.plan()
		after := r.reports(outgoing.Filter{Limit: 1000})
		if len(after) != 200 {
			t.Errorf("%d reports, want 200", len(after))
		}
		for _, report := range after {
			if id, made := before[report.Domain]; made && id != report.ReportID+report.Delivered[0].MessageID {
				t.Errorf("%s was made twice", report.Domain)
			}
		}
		t.Logf("interrupted after %d", len(before))
	})
}

// TestDestinations takes the addresses of a record in order, each once, some at most.
func TestDestinations(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		var uris []string
		for i := range 14 {
			uris = append(uris, fmt.Sprintf("mailto:rua%d@sender.example!10m", i))
		}
		record := "v=DMARC1; p=none; rua=https://sender.example/x,mailto:Rua0@SENDER.example," + strings.Join(uris, ",")
		r.load(aggregate(yesterday, "sender.example", record, failed(1)))
		r.plan()
		var got []string
		for _, d := range r.reports(outgoing.Filter{})[0].Delivered {
			got = append(got, d.To)
		}
		want := []string{"Rua0@sender.example"}
		for i := 1; i < destination.MaxAddresses; i++ {
			want = append(want, fmt.Sprintf("rua%d@sender.example", i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("destinations %v, want %v", got, want)
		}
	})
}

// TestBadRow leaves out what no report can hold.
func TestBadRow(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		bad := aggregate(yesterday, "sender.example", reject, failed(1))
		bad.Row = "nonsense"
		helo := failed(2)
		helo.AuthSPF = &report.SPFResult{Domain: "x.example", Scope: report.ScopeHelo, Result: report.ResultPass}
		r.load(bad, aggregate(yesterday, "sender.example", reject, helo), aggregate(yesterday, "sender.example", reject, passed(4)))
		only := aggregate(yesterday, "other.example", "v=DMARC1; p=none; rua=mailto:x@other.example", failed(1))
		only.Row = "nonsense"
		r.load(only)
		r.night()
		mails := r.server.got("")
		if len(mails) != 1 {
			t.Fatal(r.states())
		}
		if got := mails[0].report(t); len(got.Rows) != 1 || got.Rows[0].Count != 4 {
			t.Errorf("rows %+v", got.Rows)
		}
		if list := r.reports(outgoing.Filter{Domain: "other.example"}); len(list) != 1 || list[0].Problem == "" || list[0].Stored {
			t.Errorf("a report that cannot be made: %+v", list)
		}
	})
}

// TestService sends, sends again, shows, retries and prunes by hand.
func TestService(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Enabled, c.MinMessages = false, 100 })
		r.load(aggregate(yesterday, "sender.example", reject, failed(3)), aggregate("2026-11-25", "sender.example", reject, failed(1)))
		service, ctx := r.p.Service(), r.Context()
		now := memory.DayOf(r.clock.now())
		if _, err := service.Send(ctx, outgoing.SendRequest{Domain: "sender.example", Day: &now}); !errors.Is(err, outgoing.ErrRequest) {
			t.Errorf("a day that is not over: %v", err)
		}
		if _, err := service.Send(ctx, outgoing.SendRequest{Domain: "unknown.example"}); !errors.Is(err, outgoing.ErrNothing) {
			t.Errorf("a domain without mail: %v", err)
		}
		sent, err := service.Send(ctx, outgoing.SendRequest{Domain: "sender.example"})
		if err != nil || sent.Again || sent.Queued != 1 {
			t.Fatalf("send: %+v, %v", sent, err)
		}
		r.drain()
		again, err := service.Send(ctx, outgoing.SendRequest{Domain: "sender.example"})
		if err != nil || !again.Again || again.Queued != 1 || again.Report.ReportID != sent.Report.ReportID {
			t.Fatalf("send again: %+v, %v", again, err)
		}
		r.drain()
		mails := r.server.got("")
		if len(mails) != 2 || mails[0].data != mails[1].data {
			t.Errorf("%d mails, the same: %t", len(mails), len(mails) == 2 && mails[0].data == mails[1].data)
		}
		shown, err := service.Show(ctx, outgoing.ShowRequest{ReportID: sent.Report.ReportID, Content: true})
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if err := shown.Content(&content); err != nil || parse(t, content.Bytes()).Rows[0].Count != 3 {
			t.Errorf("show: %v", err)
		}
		if _, err := service.Show(ctx, outgoing.ShowRequest{ID: 999}); !errors.Is(err, outgoing.ErrNotFound) {
			t.Errorf("show nothing: %v", err)
		}
		if _, err := service.List(ctx, outgoing.Filter{State: "lost"}); !errors.Is(err, outgoing.ErrRequest) {
			t.Errorf("list: %v", err)
		}
		prune := func() {
			t.Helper()
			if _, err := r.store.Prune(ctx, store.Retention{RawReports: 24 * time.Hour, Aggregates: 72 * time.Hour}, r.clock.now()); err != nil {
				t.Fatal(err)
			}
		}
		r.clock.add(48 * time.Hour)
		prune()
		if list := r.reports(outgoing.Filter{}); len(list) != 1 || list[0].Stored {
			t.Errorf("after two days %+v", list)
		}
		if _, err := service.Send(ctx, outgoing.SendRequest{Domain: "sender.example", Day: &sent.Report.Day}); !errors.Is(err, outgoing.ErrRequest) {
			t.Errorf("send what is not kept: %v", err)
		}
		r.clock.add(48 * time.Hour)
		prune()
		if list := r.reports(outgoing.Filter{}); len(list) != 0 {
			t.Errorf("after four days %+v", list)
		}
	})
}

// noSecret is a store that cannot be read just then.
type noSecret struct{ outgoing.Store }

var errNoSecret = errors.New("out of reach")

// Secret is the store's.
func (noSecret) Secret(context.Context) ([]byte, error) { return nil, errNoSecret }

// TestSendTellsTroubleFromMistakes: only what the settings lack is the asker's to mend.
func TestSendTellsTroubleFromMistakes(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*outgoing.Config)
		store   func(outgoing.Store) outgoing.Store
		request bool
	}{
		{"no name", func(c *outgoing.Config) { c.OrgName = "" }, nil, true},
		{"no address", func(c *outgoing.Config) { c.Email = "" }, nil, true},
		{"no store", nil, func(s outgoing.Store) outgoing.Store { return noSecret{s} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "sqlite:test.db")
			r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
			if c.change != nil {
				c.change(&r.config)
			}
			o := outgoing.Options{Store: r.store.Reports(), Resolver: r.zone, Log: slog.New(slog.DiscardHandler), Now: r.clock.now}
			if c.store != nil {
				o.Store = c.store(o.Store)
			}
			_, err := outgoing.New(o, r.config).Service().Send(t.Context(), outgoing.SendRequest{Domain: "sender.example"})
			if err == nil || errors.Is(err, outgoing.ErrRequest) != c.request || errors.Is(err, errNoSecret) == c.request {
				t.Errorf("%v", err)
			}
		})
	}
}
