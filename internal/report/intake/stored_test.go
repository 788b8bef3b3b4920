package intake

import (
	"errors"
	"strings"
	"testing"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// TestStoredValues finds every value of a report in the store's answers, as sent.
func TestStoredValues(t *testing.T) {
	s := openStore(t)
	text := strings.NewReplacer(
		"<report_id>", "<error>two records</error><report_id>", "<p>reject</p>", "<p>reject</p><np>quarantine</np>",
		"<spf>fail</spf></policy_evaluated>", "<spf>hardfail</spf><reason><type>Forwarded</type><comment>arc=pass</comment></reason></policy_evaluated>",
	).Replace(feedback(record("192.0.2.1", 3)))
	if got := taken(t, s, []string{attached("application/gzip", reportName, gz(t, text)+"trailer")}, Origin{Admin: true}); got[0] != analysis.StatusStored {
		t.Fatalf("it is %s", got[0])
	}
	page, err := s.ListReports(t.Context(), analysis.ReportsQuery{Query: analysis.Query{Filter: analysis.Filter{All: true}}})
	must(t, err)
	l := page.Rows[0]
	notes := strings.Join(l.Notes, "; ")
	if err := errors.Join(is("error", l.Error, "two records"), is("sp", l.SP, report.PolicyNone), is("np", l.NP, report.PolicyQuarantine), is("pct", l.PCT, "50"),
		is("report_id", l.ReportID, "id-1@reporter.example"), is("notes of the file", strings.Join(l.ItemNotes, "; "), "something follows the compressed data"),
		is("hardfail noted", strings.Contains(notes, `"hardfail" is read as fail`), true), is("forwarded noted", strings.Contains(notes, `"Forwarded" is read as forwarded`), true)); err != nil {
		t.Errorf("%v in %+v", err, l)
	}
	var details []analysis.Detail
	must(t, s.Export(t.Context(), analysis.Query{Filter: analysis.Filter{All: true}}, func(d *analysis.Detail) error {
		details = append(details, *d)
		return nil
	}))
	d := details[0]
	if err := errors.Join(is("selector", d.Auth.DKIM[0].Selector, "s1"), is("SPF domain", d.Auth.SPF[0].Domain, "bounce.example.net"),
		is("reason", d.Auth.Reasons[0], analysis.Reason{Type: report.ReasonForwarded, Comment: "arc=pass"}), is("values as sent", len(d.Auth.Sent), 2)); err != nil {
		t.Errorf("%v in %+v", err, d)
	}
}
