package console

import (
	"net/url"
	"strconv"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// outgoingData is the data of the page of outgoing reports.
type outgoingData struct {
	Reports []outgoing.Report
	After   string
	State   outgoing.Overview
}

// Count returns how many deliveries are in a state.
func (d outgoingData) Count(state string) int64 { return d.State.Deliveries[outgoing.State(state)] }

func outgoingPage(v *visit) error {
	p := &page{Template: "outgoing", Title: v.t("Outgoing Reports"), Section: sectionOutgoing, Tab: "/outgoing"}
	q := v.r.URL.Query()
	bar := &filterBar{Path: "/outgoing/list", Fields: []field{
		{Key: "domain", Label: v.t("Policy domain"), Value: q.Get("domain")},
		{Key: "to", Label: v.t("To"), Value: q.Get("to")},
		{Key: "state", Label: v.t("State"), Kind: "select", Options: v.states(q.Get("state"), "queued", "sent", "failed", "expired", "suppressed", "unverified", "capped")},
	}}
	in := outgoing.Filter{Domain: strings.ToLower(q.Get("domain")), To: q.Get("to"), State: outgoing.State(q.Get("state")), Limit: v.limit()}
	if after := v.query("after"); after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil {
			return errkind.Errorf(errkind.BadRequest, "after: %q is no end of a page", after)
		}
		in.Before = n
	}
	got, err := ask(v, api.ReportsList(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		names := []string{"id", "kind", "domain", "day", "report_id", "file_name", "made", "messages", "rows", "octets", "problem"}
		return writeCSV(v, names, got.Reports, pageKey(got.Next), func(after string) ([]outgoing.Report, string, error) {
			in.Before, _ = strconv.ParseInt(after, 10, 64) // ours
			more, err := ask(v, api.ReportsList(), in)
			return more.Reports, pageKey(more.Next), err
		})
	}
	d := outgoingData{Reports: got.Reports, After: pageKey(got.Next)}
	if d.State, err = ask(v, api.ReportsState(), outgoing.StateRequest{}); err != nil {
		return err
	}
	p.Bar, p.Data = bar, d
	return v.show(p)
}

// pageKey returns the end of a page; "" if it is the last.
func pageKey(next int64) string {
	if next == 0 {
		return ""
	}
	return strconv.FormatInt(next, 10)
}

// outgoingReport is the data of the page of one report.
type outgoingReport struct {
	outgoing.Report
	Content string
	Cut     bool
}

// maxShownReport bounds the shown part of a report's file, in octets.
const maxShownReport = 60_000

func outgoingReportPage(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return errNoPage
	}
	got, err := ask(v, api.ReportsShow(), outgoing.ShowRequest{ID: id})
	if err != nil {
		return err
	}
	d := outgoingReport{Report: got.Report}
	if got.Report.Stored {
		whole, err := ask(v, api.ReportsShow(), outgoing.ShowRequest{ID: id, Content: true})
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := whole.Content(&limited{to: &text, left: maxShownReport}); err != nil && text.Len() < maxShownReport {
			return err
		}
		d.Content, d.Cut = text.String(), text.Len() >= maxShownReport
	}
	return v.show(&page{Template: "outgoingreport", Title: v.t("Report %d", id), Section: sectionOutgoing, Tab: "/outgoing", Data: d,
		Crumbs: []link{{URL: "/outgoing", Name: v.t("Outgoing Reports")}, {Name: v.t("Report %d", id)}}})
}

// limited writes up to a bound.
type limited struct {
	to   *strings.Builder
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.left {
		n, _ := l.to.Write(b[:l.left]) // a Builder takes all
		l.left = 0
		return n, errCut
	}
	l.left -= len(b)
	return l.to.Write(b)
}

var errCut = errkind.New(errkind.Trouble, "more than is shown")

func sendReport(v *visit) error {
	in := outgoing.SendRequest{Domain: v.r.PostFormValue("domain")}
	if day := v.r.PostFormValue("day"); day != "" {
		d, err := memory.ParseDay(day)
		if err != nil {
			return errkind.Errorf(errkind.BadRequest, "day: %w", err)
		}
		in.Day = &d
	}
	got, err := ask(v, api.ReportsSend(), in)
	if err != nil {
		return err
	}
	return v.to("/outgoing/" + strconv.FormatInt(got.Report.ID, 10))
}

func retryReport(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return errNoPage
	}
	if _, err := ask(v, api.ReportsRetry(), outgoing.RetryRequest{Report: id}); err != nil {
		return err
	}
	return v.to("/outgoing/" + strconv.FormatInt(id, 10))
}

func suppressedPage(v *visit) error {
	got, err := ask(v, api.ReportsSuppressions(), outgoing.SuppressionsRequest{All: v.query("all") != "", Limit: maxSuppressed})
	if err != nil {
		return err
	}
	if v.format() == asJSON {
		return v.writeJSON(got)
	}
	return v.show(&page{Template: "suppressed", Title: v.t("Suppressed addresses"), Section: sectionOutgoing, Tab: "/outgoing/suppressed", Data: got})
}

// maxSuppressed bounds the suppressions on the page.
const maxSuppressed = 200

func suppress(v *visit) error {
	if _, err := ask(v, api.ReportsSuppress(), outgoing.SuppressRequest{Target: v.r.PostFormValue("target"), Reason: v.r.PostFormValue("reason")}); err != nil {
		return err
	}
	return v.to("/outgoing/suppressed")
}

func unsuppress(v *visit) error {
	if _, err := ask(v, api.ReportsUnsuppress(), outgoing.UnsuppressRequest{Target: v.r.PostFormValue("target")}); err != nil {
		return err
	}
	return v.to("/outgoing/suppressed?" + url.Values{"all": {"1"}}.Encode())
}
