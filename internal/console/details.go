package console

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

// detailNames are the column names of a record in CSV.
func detailNames() []string {
	return []string{"day", "header_from", "reporter", "service", "host", "ip", "messages", "compliant", "disposition", "spf", "dkim", "reasons", "sentence"}
}

func detailsPage(v *visit) error {
	p := &page{Template: "details", Title: v.t("Details"), Section: sectionAnalysis, Tab: "/analysis/details"}
	bar := v.bar("/analysis/details", "domain", "period", "result", "ip")
	in := api.DetailsRequest{FiguresRequest: v.figures(), Language: settings.Language(v.lang)}
	if v.format() == asCSV {
		return v.exportDetails(in)
	}
	got, err := ask(v, api.AnalysisDetails(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	if v.format() == asJSON {
		return v.writeJSON(got)
	}
	if p.Counted, err = v.counted(in.FiguresRequest); err != nil {
		return err
	}
	bar.Notes = got.Notes
	p.Bar, p.Data = bar, got
	return v.show(p)
}

// exportDetails streams all records as CSV. Errors in the request are reported before the first line.
func (v *visit) exportDetails(in api.DetailsRequest) error {
	if _, err := ask(v, api.AnalysisTotals(), in.FiguresRequest); err != nil {
		return err
	}
	names := detailNames()
	out, err := v.csvWriter(names)
	if err != nil {
		return nil // the client went away
	}
	err = api.AnalysisExport().Each(v.ctx(), v.asker(), in, func(d *analysis.Detail) error { return out.Write(cells(names, d)...) })
	if err != nil {
		return v.cutOff(err)
	}
	_ = out.Flush() // likewise
	return nil
}

// detailPageData is the data of the page of one record.
type detailPageData struct {
	analysis.Detail
	Raw bool // the report is kept as received
}

// detailPage shows one record, named by its report and number: the day and address in the link locate it.
func detailPage(v *visit) error {
	report, record, ok := strings.Cut(v.r.PathValue("row"), "-")
	id, err1 := strconv.ParseInt(report, 10, 64)
	number, err2 := strconv.Atoi(record)
	if !ok || err1 != nil || err2 != nil {
		return errNoPage
	}
	in := api.DetailsRequest{Language: settings.Language(v.lang)}
	in.Since, in.Until, in.IncludeFailed, in.Limit = v.query("day"), v.query("day"), true, 1000
	if in.Since == "" {
		return errNoPage
	}
	in.IP = []string{v.query("ip")}
	for range 20 {
		got, err := ask(v, api.AnalysisDetails(), in)
		if err != nil {
			return err
		}
		for i := range got.Rows {
			if d := &got.Rows[i]; d.Report == id && d.Record == number {
				return v.show(&page{
					Template: "detail", Title: v.t("Record %d of report %d", d.Record, d.Report), Section: sectionAnalysis, Tab: "/analysis/details",
					Crumbs: []link{{URL: "/analysis/details?" + url.Values{"domain": {d.Domain.String()}}.Encode(), Name: v.t("Details")}, {Name: v.t("Record %d of report %d", d.Record, d.Report)}},
					Data:   detailPageData{Detail: *d},
				})
			}
		}
		if in.After = got.After; in.After == "" {
			break
		}
	}
	return errNoPage
}

// rawReport returns a report as it was received, as a download.
func rawReport(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return errNoPage
	}
	got, err := ask(v, api.AnalysisRaw(), api.RawRequest{IDs: []int64{id}})
	if err != nil {
		return err
	}
	raw := got.Reports[0]
	if len(raw.Gzip) == 0 {
		return errkind.Errorf(errkind.NotFound, "it is not kept any more as it was received (retention.raw_reports)")
	}
	z, err := gzip.NewReader(bytes.NewReader(raw.Gzip))
	if err != nil {
		return err
	}
	ending := "xml.txt"
	if raw.Mail {
		ending = "eml.txt"
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="report-%d.%s"`, id, ending))
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(exportTime)) // as long as before where it cannot be set
	_, _ = io.Copy(v.w, io.LimitReader(z, maxRawText))                               // a client that went away is no concern of ours
	return nil
}

// maxRawText bounds the output of a report.
const maxRawText = 256 << 20
