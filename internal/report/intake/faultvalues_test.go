package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// valueCases are values of the head and the verdicts.
func valueCases(t *testing.T) []faultCase {
	verdicts := "<dkim>pass</dkim><spf>fail</spf></policy_evaluated>"
	return []faultCase{
		{name: "25 disposition pass", in: swap(t, "<disposition>none", "<disposition>pass"), look: row(func(r *analysis.Row) error {
			return is("disposition", r.Disposition, report.DispositionPass)
		})},
		{name: "26 hardfail", in: swap(t, "bounce.example.net</domain><result>pass", "bounce.example.net</domain><result>hardfail"), note: `"hardfail" is read as fail`, look: row(func(r *analysis.Row) error {
			return errors.Join(is("result", r.Auth.SPF[0].Result, report.ResultFail), is("sent", r.Auth.Sent[0], analysis.Sent{Where: "spf/result", Value: "hardfail"}))
		})},
		{name: "26 unknown", in: swap(t, "<selector>s1</selector><result>pass", "<selector>s1</selector><result>unknown"), note: `"unknown" is read as permerror`, look: row(func(r *analysis.Row) error {
			return errors.Join(is("result", r.Auth.DKIM[0].Result, report.ResultPermerror), is("DKIM", r.DKIM, report.DMARCPass))
		})},
		{name: "26 error", in: swap(t, "bounce.example.net</domain><result>pass", "bounce.example.net</domain><result>error"), note: `"error" is read as temperror`},
		{name: "26 softfail as a verdict", in: swap(t, "<spf>fail</spf></policy_evaluated>", "<spf>softfail</spf></policy_evaluated>"), note: `"softfail" is read as fail`, look: row(func(r *analysis.Row) error {
			return is("SPF", r.SPF, report.DMARCFail)
		})},
		{name: "27 reason as text", in: swap(t, verdicts, "<dkim>pass</dkim><spf>fail</spf><reason>Trusted sender</reason></policy_evaluated>"), note: "is read as other", look: row(func(r *analysis.Row) error {
			return is("reason", r.Auth.Reasons[0], analysis.Reason{Type: report.ReasonOther, Comment: "Trusted sender"})
		})},
		{name: "27 empty type", in: swap(t, verdicts, "<dkim>pass</dkim><spf>fail</spf><reason><type/><comment>arc=pass</comment></reason></policy_evaluated>"), look: row(func(r *analysis.Row) error {
			return is("reason", r.Auth.Reasons[0], analysis.Reason{Type: report.ReasonOther, Comment: "arc=pass"})
		})},
		{name: "27 unknown type", in: swap(t, verdicts, "<dkim>pass</dkim><spf>fail</spf><reason><type>arc</type></reason></policy_evaluated>"), note: `"arc" is read as other`, look: row(func(r *analysis.Row) error {
			return errors.Join(is("reason", r.Auth.Reasons[0].Type, report.ReasonOther), is("sent", r.Auth.Sent[0].Value, "arc"))
		})},
		{name: "28 sp absent", in: swap(t, "<sp>none</sp>", ""), look: head(func(r *analysis.Report) error { return is("sp", r.Policy.SP, "") })},
		{name: "28 sp empty", in: swap(t, "<sp>none</sp>", "<sp></sp>"), look: head(func(r *analysis.Report) error { return is("sp", r.Policy.SP, "") })},
		{name: "29 no auth_results", in: feedback(strings.Replace(record("192.0.2.1", 1), "<auth_results>", "<auth_results/></record><!--", 1) + "-->"), records: []int{1}, note: "auth_results have no aligned pass"},
		{name: "29 no DKIM in them", in: feedback(cutOut(record("192.0.2.1", 1), "<dkim><domain>", "</selector><result>pass</result></dkim>")), records: []int{1}, note: "no aligned pass"},
		{name: "30 helo without a domain", in: swap(t, "<domain>bounce.example.net</domain>", "<scope>helo</scope><domain/>"), look: row(func(r *analysis.Row) error {
			return errors.Join(is("scope", r.Auth.SPF[0].Scope, report.ScopeHelo), is("domain", r.Auth.SPF[0].Domain, ""))
		})},
		{name: "31 several DKIM results", in: swap(t, "<auth_results>", "<auth_results><dkim><domain>a.example</domain><result>fail</result></dkim><dkim><domain>b.example</domain><result>neutral</result></dkim>"), look: row(func(r *analysis.Row) error {
			return is("number of DKIM results", len(r.Auth.DKIM), 3)
		})},
		{name: "31 several SPF results", in: swap(t, "<spf><domain>", "<spf><domain>helo.example.net</domain><scope>helo</scope><result>none</result></spf><spf><domain>"), note: "several of SPF results", look: row(func(r *analysis.Row) error {
			return is("number of SPF results", len(r.Auth.SPF), 2)
		})},
		{name: "32 DKIM result without domain and selector", in: swap(t, "<auth_results>", "<auth_results><dkim><domain></domain><selector></selector><result>none</result></dkim>"), look: row(func(r *analysis.Row) error {
			return is("first result", r.Auth.DKIM[0], analysis.DKIMResult{Result: report.ResultNone})
		})},
		{name: "33 no verdicts", in: swap(t, verdicts, "</policy_evaluated>"), note: "worked out", look: row(func(r *analysis.Row) error {
			return errors.Join(is("DKIM", r.DKIM, report.DMARCPass), is("SPF", r.SPF, report.DMARCFail), is("flags", r.Flags, analysis.FlagWorkedOutDKIM|analysis.FlagWorkedOutSPF))
		})},
		{name: "34 verdict without a cause", in: swap(t, "<spf>fail</spf></policy_evaluated>", "<spf>pass</spf></policy_evaluated>"), note: "no aligned pass", look: row(func(r *analysis.Row) error {
			return errors.Join(is("SPF", r.SPF, report.DMARCPass), is("flags", r.Flags, analysis.FlagContradictedSPF))
		})},
		{name: "34 verdict against a pass", in: swap(t, "<dkim>pass</dkim><spf>fail", "<dkim>fail</dkim><spf>fail"), note: "have an aligned pass", look: row(func(r *analysis.Row) error {
			return errors.Join(is("DKIM", r.DKIM, report.DMARCFail), is("flags", r.Flags, analysis.FlagContradictedDKIM))
		})},
	}
}

// cutOut is s without what stands from one piece to the end of another.
func cutOut(s, from, to string) string {
	i := strings.Index(s, from)
	j := strings.Index(s, to)
	return s[:i] + s[j+len(to):]
}

// moreValueCases are addresses, names and times.
func moreValueCases(t *testing.T) []faultCase {
	source := func(text string) string { return swap(t, "192.0.2.1<", text+"<") }
	address := func(want string) func(*testing.T, *analysis.Item) {
		return row(func(r *analysis.Row) error { return is("source", r.Source.String(), want) })
	}
	script := `<script>alert(1)</script>`
	return []faultCase{
		{name: "35 IPv6", in: source("2001:0DB8:0::1"), look: address("2001:db8::1")},
		{name: "35 IPv4 in IPv6", in: source("::ffff:192.0.2.9"), look: address("192.0.2.9"), note: "is read as 192.0.2.9"},
		{name: "35 brackets", in: source("[IPv6:2001:db8::9]"), look: address("2001:db8::9"), note: "is read as 2001:db8::9"},
		{name: "35 name behind the address", in: source("192.0.2.9 (mail.example.net)"), look: address("192.0.2.9"), note: "is read as 192.0.2.9"},
		{name: "35 name", in: source("mail.example.net"), records: []int{1}, note: "quarantined", look: head(func(r *analysis.Report) error {
			return errors.Join(is("quarantined", len(r.Quarantine), 1), is("record", r.Quarantine[0].Record, 1))
		})},
		{name: "36 organization as sent", in: swap(t, "Reporter</org_name>", "mail.sub.Reporter.Example Inc.</org_name>"), look: head(func(r *analysis.Report) error {
			return is("org_name", r.Metadata.OrgName, "mail.sub.Reporter.Example Inc.")
		})},
		{name: "37 From domain of somebody else", in: swap(t, "<header_from>example.com", "<header_from>other.example"), note: "not below the policy domain", look: row(func(r *analysis.Row) error {
			return is("flag", r.Flags&analysis.FlagForeignFrom, analysis.FlagForeignFrom)
		})},
		{name: "37 below the policy domain", in: swap(t, "<header_from>example.com", "<header_from>News.Example.COM."), look: row(func(r *analysis.Row) error {
			return errors.Join(is("flags", r.Flags, 0), is("From domain", r.HeaderFrom, "news.example.com"))
		})},
		{name: "38 window of two days", in: swap(t, "<begin>1780272000", "<begin>1780185600"), note: "longer than a day", look: head(func(r *analysis.Report) error {
			parts := analysis.Spread(5, r.Metadata.Begin, r.Metadata.End)
			if len(parts) != 2 || parts[0].Count+parts[1].Count != 5 || parts[1].Day != parts[0].Day+1 {
				return fmt.Errorf("five messages are spread as %+v", parts)
			}
			return nil
		})},
		{name: "38 window of forty days", in: swap(t, "<begin>1780272000", "<begin>1776902400"), note: "longer than 31 days", look: head(func(r *analysis.Report) error {
			return is("flags", r.Flags, analysis.FlagLongPeriod)
		})},
		{name: "39 UTC", in: feedback(), look: head(func(r *analysis.Report) error {
			return errors.Join(is("begin", r.Metadata.Begin.Format("2006-01-02T15:04:05Z07:00"), "2026-06-01T00:00:00Z"), is("day", r.Day().String(), "2026-06-01"))
		})},
		{name: "41 all values", in: swap(t, "<report_id>", "<error>two records</error><report_id>"), look: func(t *testing.T, item *analysis.Item) {
			r := item.Reports[0]
			if err := errors.Join(is("error", r.Metadata.Error, "two records"), is("sp", r.Policy.SP, report.PolicyNone), is("pct", r.PCT, "50"),
				is("selector", r.Rows[0].Auth.DKIM[0].Selector, "s1"), is("version", r.Version, "1.0")); err != nil {
				t.Error(err)
			}
		}},
		{name: "42 script", in: swap(t, "Reporter</org_name>", script+"</org_name>"), note: "a tag within a text", look: head(func(r *analysis.Report) error {
			return is("org_name, as sent", r.Metadata.OrgName, script)
		})},
	}
}
