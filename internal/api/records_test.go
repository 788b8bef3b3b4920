package api_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
	"dmarcd/internal/settings"
)

// ttlZone is a zone whose answers may be kept for five minutes.
type ttlZone struct{ *dnstest.Zone }

func (z ttlZone) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	texts, err := z.LookupTXT(ctx, name)
	return texts, 5 * time.Minute, err
}

// tenantReport is a report of yesterday about a tenant.
func tenantReport(domain string, count int64) analysis.Report {
	name := dns.MustParse(domain)
	return analysis.Report{
		Domain: name, Policy: report.Published{Domain: domain, P: report.PolicyReject}, Status: analysis.StatusStored, Trust: analysis.TrustAuthenticated,
		AuthDomain: name, FileName: "from-" + domain,
		Metadata: report.Metadata{OrgName: "reporter of " + domain, Email: "r@" + domain, ReportID: domain, Begin: noon.Add(-36 * time.Hour), End: noon.Add(-12*time.Hour - time.Second)},
		Rows: []analysis.Row{{
			Number: 1, Source: netip.MustParseAddr("192.0.2.9"), Count: count, SPF: report.DMARCPass, DKIM: report.DMARCFail,
			Disposition: report.DispositionNone, HeaderFrom: domain,
			Auth: &analysis.AuthSet{DKIM: []analysis.DKIMResult{{Domain: domain, Selector: "s", Result: report.ResultPass}}},
		}},
	}
}

// tenantReceived has a report about each tenant, a feed and labels.
func tenantReceived() *analysistest.Store {
	store := analysistest.New()
	var items []analysis.Item
	for i, domain := range []string{mine, foreign} {
		r := tenantReport(domain, int64(i+1))
		r.Rows[0].Source = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		r.Raw = []byte{byte(i)}
		items = append(items, analysis.Item{Feed: "ingest", TakenAt: noon, Kind: analysis.KindAggregate, Name: "mail for " + domain, Reports: []analysis.Report{r}})
	}
	if _, err := store.Ingest(context.Background(), &analysis.Batch{Items: items}); err != nil {
		panic(err)
	}
	for i, domain := range []string{mine, foreign} {
		who := analysis.Identity{Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Host: "mail." + domain, Service: domain}
		if err := store.Identify(context.Background(), []analysis.Identity{who}); err != nil {
			panic(err)
		}
		if err := store.SetLabel(context.Background(), analysis.LabelSet{Domain: dns.MustParse(domain), Service: "mailer.test", Label: analysis.LabelForwarder}); err != nil {
			panic(err)
		}
	}
	return store
}

// recordService asks a zone, with an address of ours for everybody and one for a
// customer.
func recordService(t *testing.T, zone string) *api.Service {
	t.Helper()
	config := settings.Default("mx.example.org")
	config.Analysis.Domains = []dns.Name{dns.MustParse("a.example"), dns.MustParse("b.example")}
	config.Analysis.Addresses = []settings.ReportAddress{
		{Address: "dmarc@example.org"},
		{Address: "*@rua.example.org", DomainsByLocalPart: map[string][]dns.Name{"acme": {dns.MustParse("b.example")}}},
	}
	return &api.Service{
		Settings: func() *settings.Settings { return config }, Received: analysistest.New(), DNS: ttlZone{dnstest.MustZone(zone)},
		Now: func() time.Time { return noon },
	}
}

const recordZone = `
_dmarc.a.example TXT "v=DMARC1; p=none; x=1; rua=mailto:other@elsewhere.example"
_dmarc.b.example TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:acme@rua.example.org"
b.example._report._dmarc.rua.example.org TXT "v=DMARC1"
_dmarc.broken.example FAULT servfail TXT
`

// TestGenerateAndVerify makes records, and verifies them before and after they are
// published: what was generated last is what is expected.
func TestGenerateAndVerify(t *testing.T) {
	s := recordService(t, recordZone)
	asker := api.Local{Service: s, Viewer: api.Operator()}
	verify := func(domains ...string) map[string]analysis.Verification {
		t.Helper()
		out := map[string]analysis.Verification{}
		err := api.RecordVerify().Each(t.Context(), asker, api.VerifyRequest{Domains: domains}, func(v *analysis.Verification) error {
			out[v.Domain.String()] = *v
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := verify(); len(got) != 2 || got["a.example"].Result != analysis.WordMissing || got["b.example"].Result != analysis.WordInEffect {
		t.Fatalf("got %+v", got)
	}
	p := "reject"
	made, err := api.RecordGenerate().Ask(t.Context(), asker, api.GenerateRequest{Domains: []string{"a.example"}, RecordChange: analysis.RecordChange{P: &p}})
	if err != nil {
		t.Fatal(err)
	}
	r := made.Records[0]
	if r.Record != "v=DMARC1; p=reject; x=1; rua=mailto:dmarc@example.org,mailto:other@elsewhere.example" || !strings.HasPrefix(r.Zone, "_dmarc.a.example. IN TXT ") ||
		len(r.Changes) != 2 || len(r.Authorizations) != 2 || r.Authorizations[0].State != "missing" ||
		r.Authorizations[0].Zone != `a.example._report._dmarc.example.org. IN TXT "v=DMARC1"` {
		t.Errorf("got %+v", r)
	}
	if got := verify("a.example")["a.example"]; got.Result != analysis.WordNotYet || got.Expected != r.Record {
		t.Errorf("before it is published: %+v", got)
	}
	zone := s.DNS.(ttlZone)
	zone.Remove(dns.MustParse("_dmarc.a.example"))
	for _, line := range []string{r.Zone, r.Authorizations[0].Zone} {
		if err := zone.Add(strings.Replace(line, ". IN TXT", " TXT", 1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := verify("a.example")["a.example"]; got.Result != analysis.WordInEffect {
		t.Errorf("once it is published: %+v", got)
	}
	found, err := api.RecordLookup().Ask(t.Context(), asker, api.Lookup{Domain: "a.example"})
	if err != nil || found.Record != r.Record || found.Policy != "reject" || found.Result != "found" {
		t.Errorf("looked up: %+v, %v", found, err)
	}
}

func TestGenerateInherited(t *testing.T) {
	asker := api.Local{Service: recordService(t, recordZone), Viewer: api.Operator()}
	made, err := api.RecordGenerate().Ask(t.Context(), asker, api.GenerateRequest{Domains: []string{"news.b.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r := made.Records[0]
	if r.Record != "v=DMARC1; p=quarantine; rua=mailto:acme@rua.example.org" || r.From != "b.example" || r.Standing != "" {
		t.Errorf("got %+v", r)
	}
	if _, err := api.RecordGenerate().Ask(t.Context(), asker, api.GenerateRequest{Domains: []string{"broken.example"}}); errkind.Of(err) != errkind.Trouble {
		t.Errorf("a record that cannot be looked up: %v", err)
	}
	bad := "all"
	_, err = api.RecordGenerate().Ask(t.Context(), asker, api.GenerateRequest{Domains: []string{"a.example"}, RecordChange: analysis.RecordChange{P: &bad}})
	if errkind.Of(err) != errkind.BadRequest {
		t.Errorf("p=all: %v", err)
	}
}

// TestGenerateWarnsOfLoss tells how much authorised mail a stricter policy would hit.
func TestGenerateWarnsOfLoss(t *testing.T) {
	s := recordService(t, recordZone)
	a := dns.MustParse("a.example")
	r := analysis.Report{
		Domain: a, Policy: report.Published{Domain: "a.example"}, Status: analysis.StatusStored, Trust: analysis.TrustUnknown,
		Metadata: report.Metadata{Begin: noon.Add(-36 * time.Hour), End: noon.Add(-12 * time.Hour)},
		Rows:     []analysis.Row{{Source: netip.MustParseAddr("192.0.2.1"), Count: 300, SPF: report.DMARCFail, DKIM: report.DMARCFail, Auth: &analysis.AuthSet{}}},
	}
	if _, err := s.Received.Ingest(t.Context(), &analysis.Batch{Items: []analysis.Item{{Reports: []analysis.Report{r}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Received.SetLabel(t.Context(), analysis.LabelSet{Domain: a, Network: netip.MustParsePrefix("192.0.2.0/24"), Label: analysis.LabelAuthorised}); err != nil {
		t.Fatal(err)
	}
	p := "reject"
	made, err := api.RecordGenerate().Ask(t.Context(), api.Local{Service: s, Viewer: api.Operator()},
		api.GenerateRequest{Domains: []string{"a.example"}, RecordChange: analysis.RecordChange{P: &p}})
	if err != nil || !strings.Contains(strings.Join(made.Records[0].Notes, "\n"), "about 70 messages a week") {
		t.Errorf("got %v, %v", made.Records, err)
	}
}
