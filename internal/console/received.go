package console

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// receivedData is the data of the page of received reports.
type receivedData struct {
	api.ReceivedReports
	Uploaded []uploaded
	Feeds    []analysis.FeedState
	Upload   bool // the visitor may
}

// uploaded is the outcome for one file.
type uploaded struct {
	Name string
	api.IngestOutcome
}

func reportsPage(v *visit) error { return v.showReports(http.StatusOK, nil) }

func (v *visit) showReports(status int, done []uploaded) error {
	p := &page{Template: "reports", Title: v.t("Reports"), Section: sectionAnalysis, Tab: "/analysis/reports"}
	bar := v.reportsBar()
	in := api.ReportsRequest{
		FiguresRequest: v.figures(), Status: analysis.Status(v.query("status")), Kind: analysis.Kind(v.query("kind")), Trust: analysis.Trust(v.query("trust")),
	}
	got, err := ask(v, api.AnalysisReports(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		names := []string{"id", "received", "feed", "kind", "status", "why", "domain", "policy_domain", "reporter", "email", "report_id", "begin", "end", "trust", "auth_domain", "records", "messages", "compliant", "quarantined_records"}
		return writeCSV(v, names, got.Rows, got.After, func(after string) ([]analysis.Listed, string, error) {
			in.After = after
			more, err := ask(v, api.AnalysisReports(), in)
			return more.Rows, more.After, err
		})
	}
	d := receivedData{ReceivedReports: got, Uploaded: done, Upload: v.admin() && v.Service.Intake != nil}
	if p.Counted, err = v.counted(in.FiguresRequest); err != nil {
		return err
	}
	if !v.viewer.Limited() {
		feeds, err := ask(v, api.AnalysisFeeds(), api.FeedsRequest{})
		if err != nil {
			return err
		}
		d.Feeds = feeds.Feeds
	}
	bar.Notes = got.Notes
	p.Bar, p.Data = bar, d
	v.render(status, p)
	return nil
}

// reportsBar returns the fields that select reports.
func (v *visit) reportsBar() *filterBar {
	q := v.r.URL.Query()
	bar := v.bar("/analysis/reports", "domain", "period", "reporter")
	bar.Fields = append(bar.Fields,
		field{Key: "status", Label: v.t("Status"), Kind: "select", Options: v.states(q.Get("status"), "stored", "empty", "duplicate", "differs", "replaced", "aside", "refused")},
		field{Key: "trust", Label: v.t("Trust"), Kind: "select", Options: v.states(q.Get("trust"), "authenticated", "admin", "not_known", "other_name", "failed")})
	bar.More, bar.Open = nil, false
	for _, f := range v.bar("", "domain", "period", "reporter").More {
		if f.Key == "since" || f.Key == "until" {
			bar.More = append(bar.More, f)
			bar.Open = bar.Open || f.Value != ""
		}
	}
	return bar
}

// states returns choices by the words of states.
func (v *visit) states(chosen string, words ...string) []option {
	out := options(chosen, "", v.t("any"))
	for _, w := range words {
		out = append(out, option{Value: w, Name: stateOf(v.lang, w).Word, Chosen: w == chosen})
	}
	return out
}

// mostFiles bounds the files of one upload.
const mostFiles = 50

// uploadReports takes in files that the admin vouches for.
func uploadReports(v *visit) error {
	if v.r.MultipartForm == nil {
		return errkind.Errorf(errkind.BadRequest, "choose files to send")
	}
	defer v.r.MultipartForm.RemoveAll() //nolint:errcheck // temporary files
	files := v.r.MultipartForm.File["file"]
	if len(files) == 0 || len(files) > mostFiles {
		return errkind.Errorf(errkind.BadRequest, "choose 1 to %d files to send", mostFiles)
	}
	in := api.IngestRequest{}
	for _, f := range files {
		body, err := fileBody(f)
		if err != nil {
			return err
		}
		in.Units = append(in.Units, api.IngestUnit{Name: f.Filename, Mail: looksLikeMail(body), Bytes: f.Size, Body: body})
	}
	got, err := ask(v, api.AnalysisIngest(), in)
	if err != nil {
		return err
	}
	var done []uploaded
	for i, u := range got.Units {
		for _, o := range u.Outcomes {
			done = append(done, uploaded{Name: in.Units[i].Name, IngestOutcome: o})
		}
	}
	return v.showReports(http.StatusOK, done)
}

func fileBody(f *multipart.FileHeader) ([]byte, error) {
	open, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer open.Close() //nolint:errcheck // opened for reading only
	return io.ReadAll(io.LimitReader(open, maxUpload))
}

// looksLikeMail recognises a mail by its first header field.
func looksLikeMail(body []byte) bool {
	line, _, _ := bytes.Cut(body[:min(len(body), 1000)], []byte("\n"))
	name, _, found := bytes.Cut(line, []byte(":"))
	if !found || len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == '<' {
			return false
		}
	}
	return true
}

// reportersPage lists the reporters.
func reportersPage(v *visit) error {
	p := &page{Template: "reporters", Title: v.t("Reporters"), Section: sectionAnalysis, Tab: "/analysis/reports",
		Crumbs: []link{{URL: "/analysis/reports", Name: v.t("Reports")}, {Name: v.t("Reporters")}}}
	bar := v.bar("/analysis/reporters", "domain", "period", "reporter")
	in := v.figures()
	got, err := ask(v, api.AnalysisReporters(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		names := []string{"reporter", "email", "auth_domain", "trust", "reports", "messages", "notes", "first_seen", "last_seen"}
		return writeCSV(v, names, got.Rows, got.After, func(after string) ([]analysis.ReporterRow, string, error) {
			in.After = after
			more, err := ask(v, api.AnalysisReporters(), in)
			return more.Rows, more.After, err
		})
	}
	bar.More, bar.Open = nil, false
	p.Bar, p.Data = bar, got
	return v.show(p)
}

// decidePair accepts or rejects reports under another name.
func decidePair(v *visit) error {
	accept, err := strconv.ParseBool(v.r.PostFormValue("accept"))
	if err != nil {
		return errkind.Errorf(errkind.BadRequest, "accept: expected true or false")
	}
	if _, err := ask(v, api.AnalysisPair(), api.PairRequest{Auth: v.r.PostFormValue("auth"), Email: v.r.PostFormValue("email"), Accept: accept}); err != nil {
		return err
	}
	return v.to("/analysis/reporters")
}
