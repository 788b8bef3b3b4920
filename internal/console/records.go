package console

import (
	"net/http"
	"net/url"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// recordsPage is Reporting Configuration: the domains that report to us.
func recordsPage(v *visit) error {
	if d := v.query("domain"); d != "" {
		return v.to("/analysis/config/" + url.PathEscape(strings.ToLower(d)))
	}
	known, err := ask(v, api.RecordKnown(), api.KnownRequest{})
	if err != nil {
		return err
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(known)
	case asCSV:
		return writeCSV(v, []string{"domain", "word", "value", "policy", "ours", "detail", "first", "last"}, known.Records, "", nil)
	}
	return v.show(&page{Template: "records", Title: v.t("Reporting Configuration"), Section: sectionAnalysis, Tab: "/analysis/config", Data: known.Records})
}

// recordData is the data of the pages of one domain's record.
type recordData struct {
	Domain string
	Check  *analysis.Verification
	Found  *api.FoundRecord // of any other domain
}

// verifyPage queries the DNS now, bypassing our caches. It only looks up a domain that is not managed.
func verifyPage(v *visit) error {
	name, err := dns.Parse(v.r.PathValue("domain"))
	if err != nil {
		return errkind.Wrap(errkind.BadRequest, err)
	}
	p := &page{Template: "verify", Title: name.String(), Section: sectionAnalysis, Tab: "/analysis/config",
		Crumbs: []link{{URL: "/analysis/config", Name: v.t("Reporting Configuration")}, {Name: name.String()}}}
	managed, err := v.manages(name)
	if err != nil {
		return err
	}
	d := recordData{Domain: name.String()}
	if managed {
		err = api.RecordVerify().Each(v.ctx(), v.asker(), api.VerifyRequest{Domains: []string{name.String()}}, func(got *analysis.Verification) error {
			one := *got
			d.Check = &one
			return nil
		})
	} else {
		var found api.FoundRecord
		found, err = ask(v, api.RecordLookup(), api.Lookup{Domain: name.String()})
		d.Found = &found
	}
	if err != nil {
		return err
	}
	p.Data = d
	return v.show(p)
}

// manages reports whether a domain is managed and the visitor may see it.
func (v *visit) manages(name dns.Name) (bool, error) {
	known, err := ask(v, api.RecordKnown(), api.KnownRequest{})
	for _, k := range known.Records {
		if k.Domain == name {
			return true, nil
		}
	}
	return false, err
}

// generateData is the data of the page Generate DMARC Record.
type generateData struct {
	Domain string
	Values map[string]string // as they were sent
	Fault  string
	Made   *api.GeneratedRecord
	Fields []field
}

func generatePage(v *visit) error { return v.showGenerate(http.StatusOK, url.Values{}, nil, "") }

func (v *visit) showGenerate(status int, sent url.Values, made *api.GeneratedRecord, fault string) error {
	name, err := dns.Parse(v.r.PathValue("domain"))
	if err != nil {
		return errkind.Wrap(errkind.BadRequest, err)
	}
	managed, err := v.manages(name)
	if err != nil {
		return err
	}
	if !managed || !v.admin() {
		return errNoPage
	}
	d := generateData{Domain: name.String(), Made: made, Fault: fault}
	as := func(key string, words ...string) field {
		pairs := []string{"", v.t("as it stands")}
		for _, w := range words {
			pairs = append(pairs, w, w)
		}
		return field{Key: key, Kind: "select", Options: options(sent.Get(key), pairs...)}
	}
	p, sp, np, t := as("p", "none", "quarantine", "reject"), as("sp", "none", "quarantine", "reject"), as("np", "none", "quarantine", "reject"), as("t", "y", "n")
	p.Label, sp.Label, np.Label, t.Label = v.t("Policy for the domain (p)"), v.t("for names below it (sp)"), v.t("for names that do not exist (np)"), v.t("Only a test (t)")
	adkim, aspf := as("adkim", "r", "s"), as("aspf", "r", "s")
	adkim.Label, aspf.Label = v.t("Alignment of DKIM (adkim)"), v.t("Alignment of SPF (aspf)")
	d.Fields = []field{p, sp, np, t, adkim, aspf,
		{Key: "rua", Label: v.t("Reports to (rua)"), Value: sent.Get("rua"), Hint: v.t("ours, beside what stands")},
		{Key: "ruf", Label: v.t("Failure reports to (ruf)"), Value: sent.Get("ruf"), Hint: v.t("as it stands")},
		{Key: "fo", Label: v.t("Failure options (fo)"), Value: sent.Get("fo"), Hint: v.t("as it stands")},
	}
	v.render(status, &page{Template: "generate", Title: v.t("Generate DMARC Record"), Section: sectionAnalysis, Tab: "/analysis/config", Data: d,
		Crumbs: []link{{URL: "/analysis/config", Name: v.t("Reporting Configuration")}, {URL: "/analysis/config/" + name.String(), Name: name.String()}, {Name: v.t("Generate DMARC Record")}}})
	return nil
}

func generate(v *visit) error {
	in := api.GenerateRequest{Domains: []string{v.r.PathValue("domain")}}
	sent := v.r.PostForm
	for key, into := range map[string]**string{
		"p": &in.P, "sp": &in.SP, "np": &in.NP, "t": &in.T, "adkim": &in.ADKIM, "aspf": &in.ASPF, "rua": &in.RUA, "ruf": &in.RUF, "fo": &in.FO,
	} {
		if value := strings.TrimSpace(sent.Get(key)); value != "" {
			*into = &value
		}
	}
	got, err := ask(v, api.RecordGenerate(), in)
	if errkind.Of(err) == errkind.BadRequest && err != nil {
		return v.showGenerate(http.StatusBadRequest, sent, nil, err.Error())
	}
	if err != nil {
		return err
	}
	return v.showGenerate(http.StatusOK, sent, &got.Records[0], "")
}
