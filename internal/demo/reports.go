package demo

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Reporter is one who sends reports.
type Reporter struct {
	Name    string
	share   float64 // of all mail
	halves  bool    // two reports a day
	weekly  bool    // one report a week, from Monday to Sunday
	late    int     // days that its reports come after the others'
	gap     int     // it leaves out each day that this divides; 0 for none
	repeats bool    // it uses one id all week, and sends each report twice
	worded  bool    // it tells of forwarding and ARC
	idle    bool    // it does not report on weekends
	v4      bool    // it has no IPv6
}

// Reporters are the twelve, by falling share.
func Reporters() []Reporter {
	return []Reporter{
		{Name: "bigmail.example", share: 0.38, worded: true},
		{Name: "webmail.example", share: 0.20},
		{Name: "postbox.example", share: 0.10, halves: true},
		{Name: "telco.example", share: 0.07, weekly: true, v4: true},
		{Name: "slowpost.example", share: 0.06, late: 4},
		{Name: "gapmail.example", share: 0.05, gap: 5},
		{Name: "repeats.example", share: 0.04, repeats: true},
		{Name: "college.example", share: 0.03, worded: true},
		{Name: "hoster.example", share: 0.03, v4: true},
		{Name: "office.example", share: 0.02, idle: true},
		{Name: "isp.example", share: 0.01},
		{Name: "tiny.example", share: 0.01},
	}
}

// File is a report as it arrives.
type File struct {
	Name   string
	At     time.Time // of arrival
	From   string    // reporter
	Again  bool      // it came before
	Report *report.Report
}

// XML writes the file as our own reports are written.
func (f *File) XML() ([]byte, error) {
	var b bytes.Buffer
	if err := f.Report.WriteXML(&b); err != nil {
		return nil, fmt.Errorf("demo: %s: %w", f.Name, err)
	}
	return b.Bytes(), nil
}

// Files are the reports that have arrived by a time, in the order of arrival. What
// slow reporters tell of the last days comes after the quarter.
func (w *World) Files(by time.Time) []File {
	var out []File
	for _, r := range Reporters() {
		for _, t := range []string{Acme, Globex, Initech} {
			out = append(out, w.files(&r, t)...)
		}
	}
	out = slices.DeleteFunc(out, func(f File) bool { return f.At.After(by) })
	slices.SortStableFunc(out, func(a, b File) int { return a.At.Compare(b.At) })
	return out
}

// files are those of one reporter on one tenant.
func (w *World) files(r *Reporter, tenant string) []File {
	var out []File
	step := 1
	if r.weekly {
		step = 7
	}
	for day := 1; day <= Days; day += step {
		last := min(day+step-1, Days)
		if r.gap > 0 && day%r.gap == 0 || r.idle && weekend(w.Day(day)) {
			continue
		}
		begin, end := w.Day(day).Begin(), w.Day(last+1).Begin().Add(-time.Second)
		spans := [][2]time.Time{{begin, end}}
		if r.halves {
			noon := begin.Add(12 * time.Hour)
			spans = [][2]time.Time{{begin, noon.Add(-time.Second)}, {noon, end}}
		}
		for half, span := range spans {
			rows := w.rows(r, tenant, day, last, half, len(spans))
			if len(rows) == 0 {
				continue
			}
			out = append(out, w.file(r, tenant, day, span, rows)...)
		}
	}
	return out
}

// file makes one report, and once more where the reporter repeats itself.
func (w *World) file(r *Reporter, tenant string, day int, span [2]time.Time, rows []report.Row) []File {
	id := fmt.Sprintf("%d.%s@%s", span[0].Unix(), tenant, r.Name)
	if r.repeats {
		id = fmt.Sprintf("week%d.%s@%s", (int(w.Day(day))+3)/7, tenant, r.Name)
	}
	chance := w.dice("arrival", r.Name, tenant, strconv.Itoa(day), span[0].String())
	f := File{
		From: r.Name, At: span[1].Add(time.Duration(r.late)*24*time.Hour + time.Duration(2+chance.IntN(8))*time.Hour + time.Duration(chance.IntN(3600))*time.Second),
		Name: fmt.Sprintf("%s!%s!%d!%d.xml", r.Name, tenant, span[0].Unix(), span[1].Unix()),
		Report: &report.Report{
			Metadata: report.Metadata{
				OrgName: r.Name, Email: "dmarc@" + r.Name, ReportID: id, Begin: span[0], End: span[1], Generator: "demo",
			},
			Policy: report.Published{
				Domain: tenant, Discovery: report.DiscoveryTreeWalk, P: policyOf(tenant, day), ADKIM: report.ModeRelaxed, ASPF: report.ModeRelaxed,
			},
			Rows: rows,
		},
	}
	if !r.repeats {
		return []File{f}
	}
	again := f
	again.At, again.Again = f.At.Add(time.Hour), true
	return []File{f, again}
}

func weekend(day memory.Day) bool {
	d := day.Begin().Weekday()
	return d == time.Saturday || d == time.Sunday
}

// rows are the records of one report: equal ones of several days as one.
func (w *World) rows(r *Reporter, tenant string, first, last, half, halves int) []report.Row {
	var out []report.Row
	for day := first; day <= last; day++ {
		for i, s := range w.sent(tenant, day) {
			if s.only != "" && r.Name != s.only && r.Name != s.extra {
				continue
			}
			chance := w.dice("rows", r.Name, tenant, strconv.Itoa(day), strconv.Itoa(half), strconv.Itoa(i))
			for _, h := range s.hosts {
				if r.v4 && h.Addr.Is6() {
					continue
				}
				share := r.share
				if s.only != "" {
					share = 0.5
				}
				want := float64(s.messages(w.Day(day))) * share / float64(len(s.hosts)*halves) * (0.85 + 0.3*chance.Float64())
				count := int64(want)
				if chance.Float64() < want-float64(count) {
					count++
				}
				if count > 0 {
					out = addRow(out, s.row(r, h.Addr, day, count))
				}
			}
		}
	}
	return out
}

// sent are the streams of a tenant on a day.
func (w *World) sent(tenant string, day int) []stream {
	var out []stream
	for _, s := range streams() {
		if s.tenant == tenant {
			out = append(out, s)
		}
	}
	if during(SpoofWave, tenant, day) {
		out = append(out, wave())
	}
	return out
}

// messages are those of a day, at all reporters.
func (s *stream) messages(day memory.Day) int {
	switch d := day.Begin().Weekday(); {
	case s.bulk > 0 && (d == time.Tuesday || d == time.Thursday):
		return s.bulk
	case !s.forged && weekend(day):
		return s.weekday / 3
	}
	return s.weekday
}

// row is what a reporter tells of a host's mail.
func (s *stream) row(r *Reporter, addr netip.Addr, day int, count int64) report.Row {
	row := report.Row{SourceIP: addr, Count: count, HeaderFrom: s.tenant, EnvelopeFrom: s.tenant, DKIM: report.DMARCFail, SPF: report.DMARCFail}
	if s.path != "" {
		row.EnvelopeFrom = s.path
	}
	row.AuthSPF = &report.SPFResult{Domain: row.EnvelopeFrom, Scope: report.ScopeMFrom, Result: report.ResultPass}
	switch {
	case s.forged:
		row.AuthSPF.Result = report.ResultFail
	case s.path == "":
		row.SPF = report.DMARCPass
	}
	if s.selector != "" {
		result := report.DKIMResult{Domain: s.tenant, Selector: s.selector, Result: report.ResultPass}
		if s.event == ServiceBroken && during(s.event, s.tenant, day) {
			result.Result, result.HumanResult = report.ResultPermerror, "no key for signature"
		} else {
			row.DKIM = report.DMARCPass
		}
		row.AuthDKIM = append(row.AuthDKIM, result)
	}
	if s.signer != "" {
		row.AuthDKIM = append(row.AuthDKIM, report.DKIMResult{Domain: s.signer, Selector: "smtpapi", Result: report.ResultPass})
	}
	if r.worded && s.only != "" {
		row.Reasons = []report.Reason{{Type: report.ReasonTrustedForwarder, Comment: "arc=pass"}}
	}
	row.Disposition = disposition(row.DKIM == report.DMARCPass || row.SPF == report.DMARCPass, policyOf(s.tenant, day))
	return row
}

func disposition(pass bool, p report.Policy) report.Disposition {
	switch {
	case p == report.PolicyNone:
		return report.DispositionNone
	case pass:
		return report.DispositionPass
	case p == report.PolicyQuarantine:
		return report.DispositionQuarantine
	}
	return report.DispositionReject
}

// addRow adds to an equal row, or as a new one.
func addRow(rows []report.Row, row report.Row) []report.Row {
	like := func(r *report.Row) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s %s %s", r.SourceIP, r.Disposition, r.DKIM, r.SPF, r.EnvelopeFrom)
		for _, d := range r.AuthDKIM {
			fmt.Fprintf(&b, " %s/%s=%s", d.Domain, d.Selector, d.Result)
		}
		return b.String()
	}
	for i := range rows {
		if like(&rows[i]) == like(&row) {
			rows[i].Count += row.Count
			return rows
		}
	}
	return append(rows, row)
}

// Sum is what all reports together tell of a service.
type Sum struct{ Messages, Compliant int64 }

// Sums adds reports up, each once, by tenant and service; what is nobody's is under "".
func Sums(files []File) map[string]map[string]Sum {
	services := map[netip.Addr]string{}
	for _, h := range Hosts() {
		services[h.Addr] = h.Service
	}
	out := map[string]map[string]Sum{}
	for _, f := range files {
		if f.Again {
			continue
		}
		of := out[f.Report.Policy.Domain]
		if of == nil {
			of = map[string]Sum{}
			out[f.Report.Policy.Domain] = of
		}
		for i := range f.Report.Rows {
			r := &f.Report.Rows[i]
			sum := of[services[r.SourceIP]]
			sum.Messages += r.Count
			if r.DKIM == report.DMARCPass || r.SPF == report.DMARCPass {
				sum.Compliant += r.Count
			}
			of[services[r.SourceIP]] = sum
		}
	}
	return out
}
