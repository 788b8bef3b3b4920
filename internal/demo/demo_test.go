package demo_test

import (
	"bytes"
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/demo"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
)

var last = memory.DayOf(time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC))

// end is when all reports have arrived.
var end = last.Begin().Add(30 * 24 * time.Hour)

func TestFilesAreDeterministicAndValid(t *testing.T) {
	files := demo.New(1, last).Files(end)
	if len(files) < 2000 {
		t.Errorf("%d reports", len(files))
	}
	if !reflect.DeepEqual(files, demo.New(1, last).Files(end)) {
		t.Error("the same seed gives other reports")
	}
	if reflect.DeepEqual(demo.Sums(files), demo.Sums(demo.New(2, last).Files(end))) {
		t.Error("another seed gives the same reports")
	}
	for i, f := range files {
		if i > 0 && f.At.Before(files[i-1].At) {
			t.Fatalf("%s arrives before the one in front of it", f.Name)
		}
		if f.At.Before(f.Report.Metadata.End) {
			t.Errorf("%s arrives before its period ends", f.Name)
		}
	}
	for _, f := range files[:200] { // written and read again
		var xml bytes.Buffer
		if err := f.Report.WriteXML(&xml); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		rows := 0
		got, err := report.Parse(&xml, report.Limits{}, func(*report.Received, *report.Record) error {
			rows++
			return nil
		})
		if err != nil || rows != len(f.Report.Rows) || len(got.Notes) > 0 || got.Quarantined > 0 {
			t.Fatalf("%s: %d rows, %v, notes %v", f.Name, rows, err, got.Notes)
		}
	}
}

// TestHabits: each reporter does what it is known for.
func TestHabits(t *testing.T) {
	w := demo.New(1, last)
	of := map[string][]demo.File{}
	for _, f := range w.Files(end) {
		if f.Report.Policy.Domain == demo.Acme {
			of[f.From] = append(of[f.From], f)
		}
	}
	if len(of) != 12 {
		t.Errorf("%d reporters", len(of))
	}
	if n := len(of["bigmail.example"]); n != demo.Days {
		t.Errorf("bigmail.example sent %d reports", n)
	}
	if n := len(of["postbox.example"]); n != 2*demo.Days {
		t.Errorf("postbox.example, which reports twice a day, sent %d", n)
	}
	if n := len(of["telco.example"]); n != 13 {
		t.Errorf("telco.example, which reports each week, sent %d", n)
	}
	if n := len(of["gapmail.example"]); n != demo.Days-demo.Days/5 {
		t.Errorf("gapmail.example, which leaves days out, sent %d", n)
	}
	again, ids := 0, map[string]bool{}
	for _, f := range of["repeats.example"] {
		ids[f.Report.Metadata.ReportID] = true
		if f.Again {
			again++
		}
	}
	if again != demo.Days || len(ids) > 14 {
		t.Errorf("repeats.example sent %d reports again, under %d ids", again, len(ids))
	}
	for _, f := range of["slowpost.example"] {
		if f.At.Sub(f.Report.Metadata.End) < 4*24*time.Hour {
			t.Fatalf("%s came early", f.Name)
		}
	}
}

// TestEvents: what was planted is there, on its days and no others.
func TestEvents(t *testing.T) {
	w := demo.New(1, last)
	broken, forged := map[memory.Day]int64{}, map[memory.Day]int64{}
	for _, f := range w.Files(end) {
		day := memory.DayOf(f.Report.Metadata.Begin)
		if f.From != "bigmail.example" || f.Again {
			continue
		}
		if f.Report.Policy.Domain == demo.Initech {
			weak := day >= w.Day(60) && day <= w.Day(63)
			if (f.Report.Policy.P == report.PolicyNone) != weak {
				t.Errorf("on %v initech publishes %s", day, f.Report.Policy.P)
			}
		}
		for _, r := range f.Report.Rows {
			if r.DKIM == report.DMARCPass || r.SPF == report.DMARCPass {
				continue
			}
			if r.EnvelopeFrom == "em.sendgrid.net" {
				broken[day] += r.Count
			} else {
				forged[day] += r.Count
			}
		}
	}
	for n := 1; n <= demo.Days; n++ {
		if got := broken[w.Day(n)] > 0; got != (n >= 20 && n <= 30) {
			t.Errorf("day %d: %d messages of the service failed", n, broken[w.Day(n)])
		}
		if got := forged[w.Day(n)] > 0; got != (n >= 45 && n <= 48) {
			t.Errorf("day %d: %d forged messages", n, forged[w.Day(n)])
		}
	}
}

// TestIdentified: every service, own server and forwarder is named rightly, with
// evidence; forgeries have no name.
func TestIdentified(t *testing.T) {
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	w := demo.New(1, last)
	names := w.Names(1)
	observed := map[netip.Addr]*analysis.Observed{}
	for _, f := range w.Files(end) {
		for i := range f.Report.Rows {
			r := &f.Report.Rows[i]
			o := observed[r.SourceIP]
			if o == nil {
				o = &analysis.Observed{Source: r.SourceIP}
				observed[r.SourceIP] = o
			}
			set := analysis.AuthSet{SPF: []analysis.SPFResult{analysis.SPFResult(*r.AuthSPF)}}
			for _, d := range r.AuthDKIM {
				set.DKIM = append(set.DKIM, analysis.DKIMResult(d))
			}
			for _, reason := range r.Reasons {
				set.Reasons = append(set.Reasons, analysis.Reason(reason))
			}
			o.Add(&analysis.Record{
				Domain: dns.MustParse(f.Report.Policy.Domain), Reporter: f.From, HeaderFrom: r.HeaderFrom, EnvelopeFrom: r.EnvelopeFrom, Messages: r.Count,
				SPF: r.SPF, DKIM: r.DKIM, Auth: &set,
			})
		}
	}
	for _, h := range demo.Hosts() {
		o := observed[h.Addr]
		if o == nil {
			t.Errorf("%s (%s) sent nothing", h.Addr, h.Name)
			continue
		}
		id := identify(t, m, names, o)
		if id.Service.String() != h.Service || (id.Kind == source.KindOwn) != h.Own {
			t.Errorf("%s (%s) is %s %s, by %v; want %s", h.Addr, h.Name, id.Service, id.Kind, id.Evidence, h.Service)
		}
		if (h.Service == "") != (len(id.Evidence) == 0) {
			t.Errorf("%s: evidence %v", h.Addr, id.Evidence)
		}
		if got, why := source.Forwards(&id, &o.Traffic); (got == source.Forwarder) != h.Forwarder {
			t.Errorf("%s (%s): forwarding %q by %v; %+v", h.Addr, h.Name, got, why, o.Traffic)
		}
	}
}

func identify(t *testing.T, m *source.Map, names demo.Names, o *analysis.Observed) source.Identification {
	t.Helper()
	found := analysis.LookUpSource(t.Context(), names, o.Source, time.Unix(0, 0))
	facts := o.Facts()
	if found.Host != "" {
		facts.Host = dns.MustParse(found.Host)
	}
	for _, d := range o.Managed {
		c, ok, err := source.Cover(t.Context(), names, d, o.Source)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			facts.Covered = append(facts.Covered, c)
		}
	}
	return source.Identify(m, &facts)
}

func TestMessages(t *testing.T) {
	rules := settings.Default("mx.reports.example").Policy.Default
	type key struct {
		author string
		result dmarc.Status
		action policy.Action
	}
	counts, before := map[key]int{}, time.Time{}
	err := demo.New(1, last).Messages(context.Background(), rules, func(r *memory.Record) error {
		counts[key{r.Verdict.DMARC.Author.String(), r.Decision.Status, r.Decision.Action}]++
		if r.At.Before(before) {
			t.Fatalf("%s is before the message in front of it", r.QueueID)
		}
		before = r.At
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := counts[key{"partner.example", dmarc.Pass, policy.Bypass}]; n < 500 {
		t.Errorf("%d messages of a partner passed: %v", n, counts)
	}
	if n := counts[key{"partner.example", dmarc.Fail, policy.Reject}]; n < 10 {
		t.Errorf("%d forged messages were rejected: %v", n, counts)
	}
	if n := counts[key{demo.Acme, dmarc.Fail, policy.Quarantine}]; n < 10 {
		t.Errorf("%d messages of the service that broke were held: %v", n, counts)
	}
}
