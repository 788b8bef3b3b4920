package console

import (
	"net/http"
	"net/url"
	"strconv"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
)

// field is one field of a filter bar.
type field struct {
	Key, Label, Value, Hint, Fault string
	Kind                           string   // text, date, select or check
	Options                        []option // of a select
}

// option is one choice.
type option struct {
	Value, Name string
	Chosen      bool
}

// filterBar is the data of a filter bar.
type filterBar struct {
	Fields, More []field
	Open         bool   // More is
	Path         string // of the page, for exports; "" for none
	Faults       []string
	Notes        []analysis.Note
}

// pageRows is the number of rows on a page of a list.
const pageRows = 50

// criteria parses the criteria of the URL; its keys are the flags of the commands.
func criteria(q url.Values) analysis.Criteria {
	c := analysis.Criteria{Period: q.Get("period"), Since: q.Get("since"), Until: q.Get("until"), IncludeFailed: q.Get("include_failed") != ""}
	for key, into := range map[string]*[]string{
		"domain": &c.Domain, "service": &c.Service, "host": &c.Host, "ip": &c.IP, "reporter": &c.Reporter, "result": &c.Result, "disposition": &c.Disposition,
		"reason": &c.Reason, "policy": &c.Policy, "header-from": &c.HeaderFrom, "envelope-from": &c.EnvelopeFrom, "spf-domain": &c.SPFDomain,
		"dkim-domain": &c.DKIMDomain, "selector": &c.Selector, "label": &c.Label,
	} {
		for _, value := range q[key] {
			if value != "" {
				*into = append(*into, value)
			}
		}
	}
	if c.Since != "" || c.Until != "" {
		c.Period = "" // the more exact one counts
	}
	return c
}

// figures returns the request of a page of figures.
func (v *visit) figures() api.FiguresRequest {
	return api.FiguresRequest{Criteria: criteria(v.r.URL.Query()), Limit: v.limit(), After: v.query("after")}
}

// limit returns the number of rows in the link.
func (v *visit) limit() int {
	if n, err := strconv.Atoi(v.query("limit")); err == nil && n > 0 {
		return min(n, 200)
	}
	return pageRows
}

// bar returns the filter bar of an analysis page; the first fields named are visible.
func (v *visit) bar(path string, inSight ...string) *filterBar {
	q := v.r.URL.Query()
	all := []field{
		{Key: "domain", Label: v.t("Domain"), Hint: v.t("All managed domains")},
		{Key: "period", Label: v.t("Period"), Kind: "select", Options: v.periods(q)},
		{Key: "service", Label: v.t("Service"), Hint: "google.com, *mail*"},
		{Key: "host", Label: v.t("Host"), Hint: "out*.mailer.example"},
		{Key: "ip", Label: v.t("IP address"), Hint: "198.51.100.0/24"},
		{Key: "reporter", Label: v.t("Reporter"), Hint: "google.com"},
		{Key: "result", Label: v.t("Result"), Kind: "select", Options: options(q.Get("result"), "", v.t("any"), "compliant", v.t("Compliant"), "not_compliant", v.t("Non-compliant"))},
		{Key: "disposition", Label: v.t("Disposition"), Kind: "select", Options: options(q.Get("disposition"), "", v.t("any"), "none", "none", "pass", "pass", "quarantine", "quarantine", "reject", "reject")},
		{Key: "reason", Label: v.t("Override reason"), Hint: "forwarded"},
		{Key: "policy", Label: v.t("Published policy"), Kind: "select", Options: options(q.Get("policy"), "", v.t("any"), "none", "none", "quarantine", "quarantine", "reject", "reject")},
		{Key: "header-from", Label: "Header-From", Hint: "*.example.org"},
		{Key: "envelope-from", Label: "Envelope-From"},
		{Key: "spf-domain", Label: v.t("SPF domain")},
		{Key: "dkim-domain", Label: v.t("DKIM domain")},
		{Key: "selector", Label: v.t("DKIM selector")},
		{Key: "label", Label: v.t("Label"), Kind: "select", Options: options(q.Get("label"), "", v.t("any"), "authorised", v.t("Authorised"), "forwarder", v.t("Forwarder"), "ignore", v.t("Ignore"), "-", v.t("no label"))},
		{Key: "since", Label: v.t("From (UTC)"), Kind: "date"},
		{Key: "until", Label: v.t("To (UTC)"), Kind: "date"},
		{Key: "include_failed", Label: v.t("Count reports that failed authentication"), Kind: "check"},
	}
	out := &filterBar{Path: path}
	for _, f := range all {
		f.Value = q.Get(f.Key)
		shown := false
		for _, key := range inSight {
			shown = shown || key == f.Key
		}
		if shown {
			out.Fields = append(out.Fields, f)
		} else {
			out.More = append(out.More, f)
			out.Open = out.Open || f.Value != ""
		}
	}
	return out
}

// periods returns the available periods.
func (v *visit) periods(q url.Values) []option {
	chosen := q.Get("period")
	if q.Get("since") != "" || q.Get("until") != "" {
		return append([]option{{Value: "", Name: v.t("From – To"), Chosen: true}}, options("", "30d", v.t("Last 30 days"), "7d", v.t("Last 7 days"), "90d", v.t("Last 90 days"))...)
	}
	if chosen == "" {
		chosen = analysis.DefaultPeriod
	}
	out := options(chosen, "7d", v.t("Last 7 days"), "30d", v.t("Last 30 days"), "90d", v.t("Last 90 days"), "365d", v.t("Last 365 days"),
		"this-month", v.t("This month"), "last-month", v.t("Last month"), "all", v.t("Everything"))
	for _, o := range out {
		if o.Chosen {
			return out
		}
	}
	return append(out, option{Value: chosen, Name: chosen, Chosen: true})
}

// options returns choices of values and names.
func options(chosen string, pairs ...string) []option {
	var out []option
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, option{Value: pairs[i], Name: pairs[i+1], Chosen: pairs[i] == chosen})
	}
	return out
}

// refused shows a page whose filters are invalid: with the faults at the fields and without rows. It
// returns other errors.
func (v *visit) refused(p *page, bar *filterBar, err error) error {
	faults := faultsOf(err)
	if faults == nil {
		return err
	}
	at := func(list []field) bool {
		found := false
		for i := range list {
			for _, key := range []string{list[i].Key, dashed(list[i].Key)} {
				if fault, ok := faults[key]; ok {
					list[i].Fault = fault
					found = true
					delete(faults, key)
				}
			}
		}
		return found
	}
	at(bar.Fields)
	bar.Open = at(bar.More) || bar.Open
	for key, fault := range faults {
		if key != "" {
			fault = key + ": " + fault
		}
		bar.Faults = append(bar.Faults, fault)
	}
	p.Bar, p.Refused = bar, true
	v.render(http.StatusBadRequest, p)
	return nil
}

// dashed returns a key in the form of the operations.
func dashed(key string) string {
	out := []byte(key)
	for i, c := range out {
		if c == '-' {
			out[i] = '_'
		}
	}
	return string(out)
}
