package console

import (
	"html/template"
	"net/url"
	"slices"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
)

// sourceSum sums sources by their relation to us.
type sourceSum struct {
	All, Own, Forged, Unlabelled analysis.Counts
	Failing                      []string // authorised services much of whose mail fails
	Labels                       bool     // there is a label
	Identified                   int64    // messages of services that are known
	Services                     int
}

// failsFrom is the share of an authorised service's mail, per thousand, that may fail before it is
// mentioned.
const failsFrom = 20

// sumSources sums sources. Forged is the mail of sources without a label that never passed: failing mail
// of our own and forgeries are two figures.
func sumSources(rows []analysis.SourceRow) (out sourceSum) {
	for i := range rows {
		r := &rows[i]
		out.Services++
		out.All = out.All.Plus(r.Counts)
		if r.Service != analysis.ServiceUnknown {
			out.Identified += r.Messages
		}
		bad := r.Messages - r.Compliant
		switch {
		case r.Label == analysis.LabelAuthorised:
			out.Labels = true
			out.Own = out.Own.Plus(r.Counts)
			if bad*1000 > r.Messages*failsFrom {
				out.Failing = append(out.Failing, sourceName(r))
			}
		case r.Label != analysis.LabelNone:
			out.Labels = true
		default:
			out.Unlabelled = out.Unlabelled.Plus(r.Counts)
			if r.Compliant == 0 {
				out.Forged = out.Forged.Plus(r.Counts)
			}
		}
	}
	return out
}

// sourceName names a service for people.
func sourceName(r *analysis.SourceRow) string {
	if r.Name != "" {
		return r.Name
	}
	return r.Service
}

func (v *visit) brokenAnswer(sum *sourceSum, to func(string, ...string) string) answer {
	out := answer{Ask: v.t("Did anything break?"), Kind: "ok", URL: to("/analysis/sources", "label", "authorised")}
	switch {
	case !sum.Labels:
		out.Kind, out.Says, out.URL = "none", v.t("Not known yet"), to("/analysis/sources")
		out.Detail = v.t("Label the services that send for you; then failures are told from forgeries.")
	case len(sum.Failing) > 0:
		out.Kind, out.Says, out.Detail = "bad", v.t("%d services fail", len(sum.Failing)), strings.Join(sum.Failing[:min(3, len(sum.Failing))], ", ")
		if len(sum.Failing) == 1 {
			out.Says = v.t("1 service fails")
		}
	default:
		out.Says, out.Detail = v.t("No"), v.t("%s of the mail of authorised services is compliant.", percent(sum.Own.Compliant, sum.Own.Messages))
	}
	return out
}

func (v *visit) forgedAnswer(sum *sourceSum, to func(string, ...string) string) answer {
	out := answer{Ask: v.t("Is somebody forging us?"), Kind: "ok", Says: v.t("No"), URL: to("/analysis/sources", "label", "-", "result", "not_compliant")}
	if sum.Forged.Messages > 0 {
		out.Kind, out.Says = "stop", v.t("%s look forged", number(sum.Forged.Messages))
		out.Detail = v.t("%s of them quarantined or rejected by receivers. Sources without a label that never passed.",
			percent(sum.Forged.Quarantine+sum.Forged.Reject, sum.Forged.Messages))
	}
	return out
}

// sourcesData is the data of the page of sending sources.
type sourcesData struct {
	After  string
	Groups []sourceGroup
	Sum    sourceSum
}

// sourceGroup is sources with similar results.
type sourceGroup struct {
	Kind, Name string
	Messages   int64
	Services   int
	Rows       []sourceRow
}

// sourceRow is a source, or one below it.
type sourceRow struct {
	analysis.SourceRow
	Level  int    // 1 service, 2 host, 3 address
	Title  string // what it is called
	Key    string // value of open
	Opened bool
	Toggle string // address that opens or shuts it; "" for an address
	Anchor string
	Says   string // what to do, one sentence; "" for nothing
	More   bool   // below it there are more than are shown
	query  url.Values
}

// mostBelow bounds the hosts or addresses shown below a source.
const mostBelow = 100

// maxOpen bounds the sources that a link opens.
const maxOpen = 20

func sourcesPage(v *visit) error {
	p := &page{Template: "sources", Title: v.t("By Sending Source"), Section: sectionAnalysis, Tab: "/analysis/sources"}
	bar := v.bar("/analysis/sources", "domain", "period", "service", "host", "ip")
	in := api.SourcesRequest{FiguresRequest: v.figures(), Level: analysis.Level(v.query("level"))}
	got, err := ask(v, api.AnalysisSources(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, countNames([]string{"service", "label", "host", "ip"}, "first_seen", "last_seen"), got.Rows, got.After, func(after string) ([]analysis.SourceRow, string, error) {
			in.After = after
			more, err := ask(v, api.AnalysisSources(), in)
			return more.Rows, more.After, err
		})
	}
	d := sourcesData{After: got.After}
	if p.Counted, err = v.counted(in.FiguresRequest); err != nil {
		return err
	}
	all := in
	all.Limit, all.After, all.Level = 1000, "", ""
	everything, err := ask(v, api.AnalysisSources(), all)
	if err != nil {
		return err
	}
	d.Sum = sumSources(everything.Rows)
	if d.Groups, err = v.sourceGroups(&in, got.Rows); err != nil {
		return err
	}
	bar.Notes = got.Notes
	p.Bar, p.Data = bar, d
	return v.show(p)
}

// sourceGroups splits the sources by their results, the failing first, and adds what is open below
// them.
func (v *visit) sourceGroups(in *api.SourcesRequest, rows []analysis.SourceRow) ([]sourceGroup, error) {
	groups := []sourceGroup{{Kind: "bad", Name: v.t("Failing")}, {Kind: "half", Name: v.t("Partly compliant")}, {Kind: "ok", Name: v.t("Compliant")}}
	open := v.r.URL.Query()["open"]
	open = open[:min(len(open), maxOpen)]
	for i := range rows {
		r := &rows[i]
		g := &groups[1]
		switch {
		case r.Compliant == 0:
			g = &groups[0]
		case (r.Messages-r.Compliant)*100 <= r.Messages:
			g = &groups[2]
		}
		g.Messages += r.Messages
		g.Services++
		line := v.sourceLine(r, 1, open)
		line.Says = v.sourceAdvice(r)
		g.Rows = append(g.Rows, line)
		if !line.Opened {
			continue
		}
		below, err := v.belowSource(in, r, open)
		if err != nil {
			return nil, err
		}
		g.Rows = append(g.Rows, below...)
	}
	return slices.DeleteFunc(groups, func(g sourceGroup) bool { return g.Services == 0 }), nil
}

// belowSource returns the hosts of a service, and the addresses of those that are open.
func (v *visit) belowSource(in *api.SourcesRequest, service *analysis.SourceRow, open []string) ([]sourceRow, error) {
	ask1 := *in
	ask1.Level, ask1.After, ask1.Limit, ask1.Service = analysis.LevelHost, "", mostBelow, []string{service.Service}
	hosts, err := ask(v, api.AnalysisSources(), ask1)
	if err != nil {
		return nil, err
	}
	var out []sourceRow
	for i := range hosts.Rows {
		h := &hosts.Rows[i]
		line := v.sourceLine(h, 2, open)
		out = append(out, line)
		if !line.Opened {
			continue
		}
		ask2 := ask1
		ask2.Level = analysis.LevelIP
		if ask2.Limit = mostBelow; h.Host != "" {
			ask2.Host = []string{h.Host}
		} else {
			ask2.Limit = 1000
		}
		addresses, err := ask(v, api.AnalysisSources(), ask2)
		if err != nil {
			return nil, err
		}
		for j := range addresses.Rows {
			if a := &addresses.Rows[j]; a.Host == h.Host {
				out = append(out, v.sourceLine(a, 3, open))
			}
		}
	}
	if len(out) > 0 && hosts.After != "" {
		out[len(out)-1].More = true
	}
	return out, nil
}

// sourceLine returns one line of the tree.
func (v *visit) sourceLine(r *analysis.SourceRow, level int, open []string) sourceRow {
	out := sourceRow{SourceRow: *r, Level: level, query: v.r.URL.Query()}
	switch level {
	case 1:
		out.Key, out.Title = r.Service, sourceName(r)
		if r.Service == analysis.ServiceUnknown {
			out.Title = v.t("Not identified")
		}
	case 2:
		out.Key, out.Title = r.Service+"/"+r.Host, r.Host
		if r.Host == "" {
			out.Title = v.t("(no reverse DNS)")
		}
	default:
		out.Title = r.IP
		return out
	}
	out.Opened = slices.Contains(open, out.Key)
	out.Anchor = "s-" + strings.NewReplacer("/", "_", "%", "_", " ", "_").Replace(out.Key)
	q := v.r.URL.Query()
	q.Del("open")
	q.Del("lang")
	for _, key := range open {
		if key != out.Key && !(out.Opened && level == 1 && strings.HasPrefix(key, out.Key+"/")) {
			q.Add("open", key)
		}
	}
	if !out.Opened {
		q.Add("open", out.Key)
	}
	out.Toggle = "?" + q.Encode() + "#" + out.Anchor
	return out
}

// Details returns the URL of the records of a source.
func (r *sourceRow) Details() string {
	q := url.Values{}
	for k, values := range r.query {
		if k != "open" && k != "after" && k != "lang" && k != "level" {
			q[k] = values
		}
	}
	q.Set("service", r.Service)
	if r.Level >= 2 && r.Host != "" {
		q.Set("host", r.Host)
	}
	if r.Level == 3 {
		q.Set("ip", r.IP)
	}
	return "/analysis/details?" + q.Encode()
}

// Of returns the URL of the page of the service.
func (r *sourceRow) Of() string {
	q := url.Values{}
	for _, k := range []string{"domain", "period", "since", "until"} {
		if values := r.query[k]; len(values) > 0 && values[0] != "" {
			q[k] = values
		}
	}
	out := "/analysis/source/" + url.PathEscape(r.Service)
	if len(q) > 0 {
		out += "?" + q.Encode()
	}
	return out
}

// sourceAdvice states in one sentence what to do about a failing source.
func (v *visit) sourceAdvice(r *analysis.SourceRow) string {
	bad := r.Messages - r.Compliant
	if bad*1000 <= r.Messages*failsFrom {
		return ""
	}
	switch r.Label {
	case analysis.LabelAuthorised:
		if r.DKIMAligned == 0 {
			return v.t("Turn on DKIM for your domain there: then its mail is compliant, forwarded or not.")
		}
		return v.t("Part of its mail does not pass. Open it: hosts or addresses that lack your key stand below.")
	case analysis.LabelForwarder:
		return v.t("Leave it. A forwarder breaks SPF always and DKIM when it edits; do not put it into SPF.")
	case analysis.LabelIgnore:
		return ""
	}
	switch {
	case r.Compliant == 0 && (r.Quarantine+r.Reject)*10 >= r.Messages*8:
		return v.t("Nothing to do, unless it is yours: it never passed, and receivers stopped most of it.")
	case r.Compliant == 0:
		return v.t("Is it yours? If so, label it and turn on DKIM there. If not, it is a forgery that only a stricter policy stops.")
	}
	return v.t("Is it yours, or a forwarder? Label it: then this line says what to do.")
}

// sourcePageData is the data of the page of one service.
type sourcePageData struct {
	Row    sourceRow
	Known  bool // there is mail of it in the period
	Hosts  []sourceRow
	Labels []analysis.LabelSet
	Chart  *dayChart
	Domain []string // managed domains that a label may be for
	Chosen string   // the one of the link
}

func sourcePage(v *visit) error {
	service := v.r.PathValue("service")
	p := &page{Template: "source", Title: service, Section: sectionAnalysis, Tab: "/analysis/sources"}
	bar := v.bar("", "domain", "period")
	in := api.SourcesRequest{FiguresRequest: v.figures()}
	in.Service, in.After = []string{service}, ""
	got, err := ask(v, api.AnalysisSources(), in)
	if err != nil {
		return v.refused(p, bar, err)
	}
	d := sourcePageData{Chosen: v.query("domain")}
	for i := range got.Rows {
		if got.Rows[i].Service == service {
			d.Row, d.Known = v.sourceLine(&got.Rows[i], 1, nil), true
			d.Row.Says = v.sourceAdvice(&got.Rows[i])
			p.Title = d.Row.Title
		}
	}
	if !d.Known && v.viewer.Limited() {
		return errNoPage
	}
	if d.Known {
		if d.Hosts, err = v.belowSource(&in, &d.Row.SourceRow, v.r.URL.Query()["open"]); err != nil {
			return err
		}
	}
	if p.Counted, err = v.counted(in.FiguresRequest); err != nil {
		return err
	}
	if d.Chart, err = v.dayChart("days", v.t("Messages per day from %s", p.Title), in.FiguresRequest, p.Counted); err != nil {
		return err
	}
	for _, name := range p.Counted.Domains {
		d.Domain = append(d.Domain, name.String())
	}
	labels, err := ask(v, api.AnalysisLabels(), api.LabelsRequest{})
	if err != nil {
		return err
	}
	for _, l := range labels.Labels {
		if l.Service == service {
			d.Labels = append(d.Labels, l)
		}
	}
	p.Crumbs = []link{{URL: "/analysis/sources", Name: v.t("By Sending Source")}, {Name: p.Title}}
	p.Bar, p.Data = bar, d
	return v.show(p)
}

func labelSource(v *visit) error {
	service := v.r.PathValue("service")
	_, err := ask(v, api.AnalysisSetLabel(), api.SetLabelRequest{
		Domain: v.r.PostFormValue("domain"), Service: service, Label: analysis.Label(v.r.PostFormValue("label")), Note: v.r.PostFormValue("note"),
	})
	if err != nil {
		return err
	}
	return v.to("/analysis/source/" + url.PathEscape(service) + "?" + url.Values{"domain": {v.r.PostFormValue("domain")}}.Encode())
}

// Bar draws the share of a row as a bar.
func (r *sourceRow) Bar() template.HTML { return shareBar(r.Compliant, r.Messages) }
