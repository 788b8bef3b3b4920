package intake

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// TestOurOwnReports reads the mails that we send: the same numbers, without a note.
func TestOurOwnReports(t *testing.T) {
	out := &report.Report{
		Metadata: report.Metadata{
			OrgName: "Gateway <of> Examples & Co", Email: "dmarc-reports@receiver.example", ReportID: "20260601abcd",
			Begin: time.Unix(1780272000, 0).UTC(), End: time.Unix(1780358399, 0).UTC(), Generator: "dmarcd",
		},
		Policy: report.Published{Domain: "example.com", Discovery: report.DiscoveryTreeWalk, P: report.PolicyReject, SP: report.PolicyNone, Testing: true},
	}
	words := []report.Disposition{report.DispositionNone, report.DispositionPass, report.DispositionQuarantine, report.DispositionReject}
	var messages, compliant int64
	for i := range 300 {
		row := report.Row{
			SourceIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Count: int64(1 + i*i), Disposition: words[i%4], DKIM: report.DMARCFail, SPF: report.DMARCFail,
			HeaderFrom: "news.example.com", EnvelopeFrom: "bounce.example.net", AuthSPF: &report.SPFResult{Domain: "bounce.example.net", Scope: report.ScopeMFrom, Result: report.ResultPass},
			AuthDKIM: []report.DKIMResult{{Domain: "mailer.example", Selector: "k1", Result: report.ResultPass}},
		}
		if i%3 == 0 {
			row.DKIM = report.DMARCPass
			row.AuthDKIM = append(row.AuthDKIM, report.DKIMResult{Domain: "example.com", Selector: "s1", Result: report.ResultPass})
			compliant += row.Count
		}
		messages += row.Count
		out.Rows = append(out.Rows, row)
	}
	var z bytes.Buffer
	must(t, out.WriteGzip(&z))
	receiver, domain := dns.MustParse("receiver.example"), dns.MustParse("example.com")
	mail := report.Mail{
		From: out.Metadata.Email, FromName: out.Metadata.OrgName, To: "dmarc@example.com", MessageID: "1@receiver.example", Date: time.Unix(1780360000, 0), Receiver: receiver,
		Domain: domain, Metadata: out.Metadata, Messages: messages, FileName: report.FileName(receiver, domain, out.Metadata.Begin, out.Metadata.End, out.Metadata.ReportID), Gzip: z.Bytes(),
	}
	b, err := mail.Bytes()
	must(t, err)
	item := read(t, string(b), true)
	if item.Kind != analysis.KindAggregate || len(item.Reports) != 1 || notesOf(item) != "" {
		t.Fatalf("%s (%s), %d reports, notes %q", item.Kind, item.Why, len(item.Reports), notesOf(item))
	}
	r := &item.Reports[0]
	if gotM, gotC := r.Messages(); len(r.Rows) != len(out.Rows) || gotM != messages || gotC != compliant {
		t.Errorf("%d rows, %d messages, %d compliant, want %d, %d, %d", len(r.Rows), gotM, gotC, len(out.Rows), messages, compliant)
	}
	for i := range r.Rows {
		got, want := &r.Rows[i], &out.Rows[i]
		if got.Source != want.SourceIP || got.Count != want.Count || got.Disposition != want.Disposition || got.DKIM != want.DKIM || got.SPF != want.SPF || got.Flags != 0 {
			t.Fatalf("row %d is %+v, want %+v", i, got, want)
		}
	}
	if r.Metadata.OrgName != out.Metadata.OrgName || r.Policy != out.Policy || !bytes.Equal(r.Raw, z.Bytes()) {
		t.Errorf("the head is %+v, %+v", r.Metadata, r.Policy)
	}
}
