package analysis

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/report"
	"dmarcd/internal/settings"
)

func TestTell(t *testing.T) {
	spf := func(domain string, r report.Result) []SPFResult { return []SPFResult{{Domain: domain, Result: r}} }
	dkim := func(domain string, r report.Result) []DKIMResult { return []DKIMResult{{Domain: domain, Result: r}} }
	for _, c := range []struct {
		name string
		d    Detail
		want string
	}{
		{"another's signature", Detail{
			Messages: 12, IP: "192.0.2.4", Host: "mail.example.net", Service: "example.net", HeaderFrom: "example.com", Reporter: "google.com",
			SPF: report.DMARCFail, DKIM: report.DMARCFail, Disposition: report.DispositionQuarantine, Policy: report.PolicyQuarantine,
			Auth: AuthSet{DKIM: dkim("acme.net", report.ResultPass)},
		}, "12 messages from 192.0.2.4 (mail.example.net, example.net) said they were from example.com; DKIM passed for acme.net, which does not match, " +
			"and SPF did not pass; google.com put them to spam because the policy is quarantine."},
		{"all is well", Detail{
			Messages: 1, IP: "192.0.2.4", Service: ServiceUnknown, HeaderFrom: "example.com", Reporter: "google.com", Compliant: 1,
			SPF: report.DMARCPass, DKIM: report.DMARCPass, Disposition: report.DispositionNone, Policy: report.PolicyReject,
			Auth: AuthSet{DKIM: append(dkim("acme.net", report.ResultPass), dkim("example.com", report.ResultPass)...), SPF: spf("b.example.com", report.ResultPass)},
		}, "1 message from 192.0.2.4 said it was from example.com; SPF passed for b.example.com and DKIM for example.com, which match; google.com let it through."},
		{"forwarded", Detail{
			Messages: 2, IP: "2001:db8::1", HeaderFrom: "example.com", Reporter: "r", SPF: report.DMARCFail, DKIM: report.DMARCFail,
			Disposition: report.DispositionNone, Policy: report.PolicyReject, Reasons: []string{"forwarded: looks it"}, Flags: FlagContradictedSPF.Names(),
			Auth: AuthSet{SPF: spf("list.example", report.ResultPass)},
		}, "2 messages from 2001:db8::1 said they were from example.com; SPF passed for list.example, which does not match, and there was no DKIM signature; " +
			"r let them through because it takes them for forwarded (\"looks it\"). Its verdict on SPF contradicts its own results."},
		{"a forgery that was let through", Detail{
			Messages: 2, IP: "192.0.2.4", HeaderFrom: "example.com", Reporter: "r", SPF: report.DMARCFail, DKIM: report.DMARCFail,
			Disposition: report.DispositionNone, Policy: report.PolicyReject, Auth: AuthSet{SPF: spf("example.com", report.ResultFail)},
		}, "2 messages from 192.0.2.4 said they were from example.com; SPF did not pass, and there was no DKIM signature; r let them through although the policy is reject."},
		{"nothing told", Detail{Messages: 3, IP: "192.0.2.4", SPF: report.DMARCFail, DKIM: report.DMARCFail, Auth: AuthSet{DKIM: dkim("", report.ResultNone)}},
			"3 messages from 192.0.2.4 said they were from no domain; neither SPF nor DKIM passed; the receiver does not tell what it did."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.d.Tell(settings.English); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got := c.d.Tell(settings.Japanese); !strings.Contains(got, c.d.IP) || strings.ContainsAny(got, "{}") {
				t.Errorf("in Japanese %s", got)
			}
		})
	}
}

// TestSentenceTexts holds both languages to the same texts and names in them.
func TestSentenceTexts(t *testing.T) {
	english, japanese := sentenceTexts[settings.English], sentenceTexts[settings.Japanese]
	if !slices.Equal(slices.Sorted(maps.Keys(english)), slices.Sorted(maps.Keys(japanese))) {
		t.Fatal("the languages have different texts")
	}
	names := func(s string) (out []string) {
		for _, part := range strings.Split(s, "{")[1:] {
			out = append(out, part[:strings.IndexByte(part, '}')])
		}
		slices.Sort(out)
		return out
	}
	for key, text := range english {
		if text == "" || !slices.Equal(names(text), names(japanese[key])) {
			t.Errorf("%s: %q and %q", key, text, japanese[key])
		}
	}
	for i, name := range flagNames {
		if _, ok := english[name]; !ok && Flags(1<<i) != FlagFuture {
			t.Errorf("no text for the flag %s", name)
		}
	}
}
