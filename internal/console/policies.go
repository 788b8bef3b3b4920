package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/simulate"
	"dmarcd/internal/text"
)

func policiesPage(v *visit) error {
	if d := v.query("domain"); d != "" {
		return v.to("/policy/" + url.PathEscape(strings.ToLower(d)))
	}
	in := api.PolicyListRequest{After: v.query("after"), Limit: v.limit()}
	got, err := ask(v, api.PolicyList(), in)
	if err != nil {
		return err
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, []string{"domain", "mode", "file", "line", "inherited"}, got.Entries, got.After, func(after string) ([]api.PolicyEntry, string, error) {
			in.After = after
			more, err := ask(v, api.PolicyList(), in)
			return more.Entries, more.After, err
		})
	}
	return v.show(&page{Template: "policies", Title: v.t("Policy"), Section: sectionPolicy, Tab: "/policy", Data: got})
}

// policySection is a part of a domain's settings, as the page shows them.
type policySection struct {
	Name, Note string
	Rows       []policyRow
}

// policyRow is one setting.
type policyRow struct {
	Name string
	api.PolicySetting
}

// policyData is the data of the page of a domain's settings.
type policyData struct {
	api.PolicyShown
	Sections []policySection
	Meets    *api.PolicyShown // mail from the sender that was asked about
	Why, IP  string
	Fault    string
}

func policyPage(v *visit) error {
	name, err := dns.Parse(v.r.PathValue("domain"))
	if err != nil {
		return errkind.Wrap(errkind.BadRequest, err)
	}
	if !v.viewer.Sees(name) {
		return errNoPage
	}
	d := policyData{Why: v.query("why"), IP: v.query("ip")}
	if d.PolicyShown, err = ask(v, api.PolicyShow(), api.PolicyShowRequest{Domain: name.String(), YAML: true}); err != nil {
		return err
	}
	status := http.StatusOK
	if d.Why != "" && d.Ours {
		meets, err := ask(v, api.PolicyShow(), api.PolicyShowRequest{Domain: name.String(), From: d.Why, IP: d.IP})
		switch {
		case err == nil:
			d.Meets = &meets
		case errkind.Of(err) == errkind.BadRequest:
			d.Fault, status = err.Error(), http.StatusBadRequest
		default:
			return err
		}
	}
	d.Sections = v.policySections(d.Settings)
	v.render(status, &page{
		Template: "policy", Title: name.String(), Section: sectionPolicy, Tab: "/policy", Data: d,
		Crumbs: []link{{URL: "/policy", Name: v.t("Policy")}, {Name: name.String()}},
	})
	return nil
}

// policySections arranges the settings as on the vendor's screen.
func (v *visit) policySections(settings []api.PolicySetting) []policySection {
	sections := []struct {
		name, note string
		keys       []string // beginnings
	}{
		{v.t("Enable DMARC"), "", []string{"mode", "dmarc.enabled", "dmarc.criteria", "dmarc.senders", "dmarc.skip_null_sender"}},
		{v.t("Insert an X-header into messages"), "", []string{"dmarc.x_header", "dmarc.authentication_results"}},
		{v.t("Send daily reports to senders"), "", []string{"dmarc.daily_reports"}},
		{v.t("Intercept"), v.t("What becomes of mail that fails, by what the sender's domain publishes."), []string{"dmarc.actions", "dmarc.no_record_when", "dmarc.multiple_from", "dmarc.reject_text", "defer_limit", "mixed_recipients"}},
		{v.t("Tag and notify"), "", []string{"dmarc.tag_", "dmarc.notify"}},
		{v.t("Enforced peers"), v.t("Senders that must pass both SPF and DKIM."), []string{"dmarc.enforced_peer"}},
		{v.t("Exceptions, forwarders, ARC"), "", []string{"dmarc.exceptions", "dmarc.trusted_forwarders", "dmarc.arc"}},
		{v.t("Sender IP match"), "", []string{"sender_ip_match"}},
		{"SPF", v.t("SPF by itself; ignored peers have no effect on DMARC."), []string{"spf."}},
		{v.t("DKIM verification"), v.t("DKIM by itself."), []string{"dkim."}},
		{v.t("How quarantine works"), "", []string{"quarantine."}},
		{v.t("Further settings"), "", []string{""}},
	}
	out := make([]policySection, len(sections))
	for i, s := range sections {
		out[i] = policySection{Name: s.name, Note: s.note}
	}
	for _, k := range settings {
		row := policyRow{Name: v.settingName(k.Key), PolicySetting: k}
	found:
		for i, s := range sections {
			for _, beginning := range s.keys {
				if strings.HasPrefix(k.Key, beginning) {
					out[i].Rows = append(out[i].Rows, row)
					break found
				}
			}
		}
	}
	return out
}

// settingName returns the name of a key on the screen; "" if the key suffices.
func (v *visit) settingName(key string) string {
	switch key {
	case "mode":
		return v.t("Mode")
	case "dmarc.enabled":
		return v.t("Enable DMARC")
	case "dmarc.actions.none":
		return v.t("Policy: none")
	case "dmarc.actions.quarantine":
		return v.t("Policy: quarantine")
	case "dmarc.actions.reject":
		return v.t("Policy: reject")
	case "dmarc.actions.no_record":
		return v.t("No DMARC record")
	case "dmarc.actions.temperror":
		return v.t("DNS could not be asked")
	case "dmarc.tag_subject":
		return v.t("Tag in the subject")
	case "dmarc.notify":
		return v.t("Notify")
	case "dmarc.enforced_peers":
		return v.t("Enforced peers")
	case "dmarc.exceptions":
		return v.t("Exceptions")
	case "spf.ignored_peers":
		return v.t("Ignored peers")
	case "dmarc.x_header":
		return "X-TM-Authentication-Results"
	case "dmarc.authentication_results":
		return "Authentication-Results"
	}
	return ""
}

func historyPage(v *visit) error {
	got, err := ask(v, api.PolicyHistory(), api.PolicyHistoryRequest{After: v.query("after"), Limit: v.limit()})
	if err != nil {
		return err
	}
	if v.format() == asJSON {
		return v.writeJSON(got)
	}
	return v.show(&page{Template: "history", Title: v.t("History"), Section: sectionPolicy, Tab: "/policy/history", Data: got})
}

func pastPolicyPage(v *visit) error {
	got, err := ask(v, api.PolicyHistory(), api.PolicyHistoryRequest{ID: v.r.PathValue("id")})
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	return v.show(&page{Template: "pastpolicy", Title: v.t("Policy %s", id[:min(12, len(id))]), Section: sectionPolicy, Tab: "/policy/history", Data: got,
		Crumbs: []link{{URL: "/policy/history", Name: v.t("History")}, {Name: id[:min(12, len(id))]}}})
}

// simulateData is the data of the page of a simulation.
type simulateData struct {
	File   string // the changed file
	Path   string // that it stands for
	Since  string
	Result *simulate.Result
	Faults []string
}

// simulateTime bounds the time of a replay.
const simulateTime = 2 * time.Minute

// examplesShown is the number of messages shown of each change.
const examplesShown = 3

func simulatePage(v *visit) error {
	d := simulateData{Since: "7d"}
	files, err := ask(v, api.ConfigInForce(), api.ConfigFilesRequest{})
	if err != nil {
		return err
	}
	if len(files.Policy) > 0 {
		d.File, d.Path = files.Policy[0].Text, files.Policy[0].Path
	}
	return v.showSimulate(http.StatusOK, d)
}

func (v *visit) showSimulate(status int, d simulateData) error {
	v.render(status, &page{Template: "simulate", Title: v.t("Simulate"), Section: sectionPolicy, Tab: "/policy/simulate", Data: d})
	return nil
}

func simulateChange(v *visit) error {
	d := simulateData{File: v.r.PostFormValue("file"), Since: v.r.PostFormValue("since")}
	files, err := ask(v, api.ConfigInForce(), api.ConfigFilesRequest{})
	if err != nil {
		return err
	}
	policy := files.Policy
	if len(policy) == 0 {
		policy = []api.PolicyFile{{Path: "/etc/dmarcd/policy.yaml"}}
	}
	d.Path = policy[0].Path
	policy[0].Text = strings.ReplaceAll(d.File, "\r\n", "\n")
	span, err := api.ParseSpan(d.Since, "", v.Service.Now())
	if err != nil {
		d.Faults = []string{err.Error()}
		return v.showSimulate(http.StatusBadRequest, d)
	}
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(simulateTime + exportTime/10)) // as long as before where it cannot be set
	in := api.SimulateRequest{Files: policy, Name: v.t("the changed file"), Period: span.Period, Examples: examplesShown}
	err = api.PolicySimulate().Each(v.ctx(), v.asker(), in, func(s *api.SimulateStep) error {
		d.Result = s.Result
		return nil
	})
	switch {
	case err != nil && (errkind.Of(err) == errkind.WrongUse || errkind.Of(err) == errkind.BadRequest):
		d.Faults = strings.Split(text.Lines(text.Error(err), maxErrorText), "\n")
		return v.showSimulate(http.StatusBadRequest, d)
	case err != nil:
		return err
	}
	return v.showSimulate(http.StatusOK, d)
}

// settingsPage shows the settings of the daemon in force.
func settingsPage(v *visit) error {
	got, err := ask(v, api.ConfigShow(), api.ConfigShowRequest{})
	if err != nil {
		return err
	}
	if v.format() == asJSON {
		return v.writeJSON(got)
	}
	return v.show(&page{Template: "settings", Title: v.t("Settings"), Section: sectionSettings, Tab: "/settings", Data: got})
}
