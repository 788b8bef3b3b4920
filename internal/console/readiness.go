package console

import (
	"fmt"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
)

// readinessPage shows the effect of a stricter policy on a domain's mail.
func readinessPage(v *visit) error {
	name, err := dns.Parse(v.r.PathValue("domain"))
	if err != nil {
		return errkind.Wrap(errkind.BadRequest, err)
	}
	got, err := ask(v, api.ReadinessAssess(), api.Lookup{Domain: name.String()})
	if err != nil {
		return err
	}
	return v.show(&page{
		Template: "readiness", Title: v.t("Readiness of %s", name.String()), Section: sectionAnalysis, Tab: "/analysis/config", Data: got,
		Crumbs: []link{{URL: "/analysis/config", Name: v.t("Reporting Configuration")}, {URL: "/analysis/config/" + name.String(), Name: name.String()}, {Name: v.t("Readiness")}},
	})
}

// tightenAnswer states how many domains could have a stricter policy.
func (v *visit) tightenAnswer(chosen []dns.Name) (answer, error) {
	out := answer{Ask: v.t("Can I tighten the policy?"), Kind: "ok", Says: v.t("All at reject"), URL: "/analysis/config", Detail: v.t("Every domain whose record is known asks to reject.")}
	known, err := ask(v, api.RecordKnown(), api.KnownRequest{})
	if err != nil {
		return out, err
	}
	wanted := map[dns.Name]bool{}
	for _, name := range chosen {
		wanted[name] = true
	}
	below, first, some := 0, "", false
	for _, k := range known.Records {
		if !wanted[k.Domain] {
			continue
		}
		some = some || k.Policy != ""
		if k.Policy == "none" || k.Policy == "quarantine" {
			if below++; below == 1 {
				first = k.Domain.String()
			}
		}
	}
	switch {
	case !some:
		out.Kind, out.Says, out.Detail = "none", v.t("Not known yet"), v.t("No record of these domains was seen so far.")
	case below == 1:
		out.Kind, out.Says, out.URL, out.Detail = "half", v.t("Perhaps"), "/analysis/readiness/"+first, v.t("%s does not ask to reject yet. See what that would do.", first)
	case below > 1:
		out.Kind, out.Says, out.Detail = "half", v.t("Perhaps"), v.t("%d domains do not ask to reject yet. See what that would do.", below)
	}
	return out, nil
}

// portion formats a share from 0 to 1 as per cent.
func portion(f float64) string {
	switch {
	case f <= 0:
		return "0%"
	case f >= 1:
		return "100%"
	case f < 0.001:
		return "<0.1%"
	case f > 0.999:
		return ">99.9%"
	}
	return fmt.Sprintf("%.1f%%", 100*f)
}
