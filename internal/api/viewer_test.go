package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

// mixedMemory has a message to both tenants, quarantined for the other one while this
// tenant's rules refuse it, or as many that were let in as are asked for.
type mixedMemory struct {
	tenantMemory
	endless bool
	asked   *[]memory.Query
}

func (m mixedMemory) Search(_ context.Context, q memory.Query) (out memory.Page, err error) {
	*m.asked = append(*m.asked, q)
	if m.endless {
		r := m.records()[0]
		r.Decision.Action = policy.Bypass
		for range q.Limit {
			out.Found = append(out.Found, memory.Found{Key: 7, Record: r})
		}
		out.Next = 7
		return out, nil
	}
	r := m.records()[2]
	r.Outcomes[0].Decision.Action = policy.Quarantine
	r.Decision = r.Outcomes[0].Decision
	if q.Action == "" || q.Action == string(r.Decision.Action) {
		out.Found = []memory.Found{{Key: 7, Record: r}}
	}
	return out, nil
}

// TestFiltersTellNothingOfOthers searches as a limited viewer for what only the store
// knows of a message that another tenant got too.
func TestFiltersTellNothingOfOthers(t *testing.T) {
	s := twoTenants()
	var asked []memory.Query
	s.Memory = mixedMemory{asked: &asked}
	limited := api.Local{Service: s, Viewer: api.Viewer{User: "aiko", Role: api.RoleViewer, Domains: []dns.Name{dns.MustParse(mine)}}}
	for _, c := range []struct {
		in    api.MessagesRequest
		found int
	}{
		{api.MessagesRequest{}, 1},
		{api.MessagesRequest{Action: "reject"}, 1},
		{api.MessagesRequest{Action: "quarantine"}, 0},
		{api.MessagesRequest{Refused: true}, 1},
		{api.MessagesRequest{RcptDomain: mine}, 1},
		{api.MessagesRequest{RcptDomain: foreign}, 0},
	} {
		got, err := api.MessagesList().Ask(t.Context(), limited, c.in)
		if err != nil || len(got.Messages) != c.found {
			t.Errorf("%+v: %+v, %v", c.in, got, err)
		}
	}
	for _, q := range asked {
		if q.Action != "" || q.Rcpt == dns.MustParse(foreign) {
			t.Errorf("the store is asked %+v", q)
		}
	}
}

// TestPageEnds looks for refused mail where none is.
func TestPageEnds(t *testing.T) {
	s := twoTenants()
	var asked []memory.Query
	s.Memory = mixedMemory{asked: &asked, endless: true}
	got, err := api.MessagesList().Ask(t.Context(), api.Local{Service: s, Viewer: api.Operator()}, api.MessagesRequest{Refused: true, Limit: 1000})
	if err != nil || len(got.Messages) != 0 || got.After != "7" || len(asked) > 50 {
		t.Errorf("%+v after %d looks, %v", got, len(asked), err)
	}
}

// TestEvidenceOfOthers identifies an address by what the other tenant's reports and
// records tell, and shows it to both.
func TestEvidenceOfOthers(t *testing.T) {
	s := twoTenants()
	who := analysis.Identity{Source: netip.AddrFrom4([4]byte{192, 0, 2, 0}), Service: foreign, Host: "mail.test", About: analysis.SourceAbout{
		Kind: source.KindOwn, Origin: "origin.test", Why: []source.ForwardEvidence{source.ForwardFew}, Evidence: []source.Evidence{
			{Kind: source.EvidenceHost, Value: "mail.test"}, {Kind: source.EvidenceSPF, Value: "of-" + foreign, Service: foreign},
			{Kind: source.EvidenceReturnPath, Value: "bounce.of-others.test"}, {Kind: source.EvidenceSignature, Value: "signer.of-others.test"},
		},
	}}
	if err := s.Received.Identify(t.Context(), []analysis.Identity{who}); err != nil {
		t.Fatal(err)
	}
	ask := func(v api.Viewer) string {
		t.Helper()
		got, err := api.AnalysisSources().Ask(t.Context(), api.Local{Service: s, Viewer: v}, api.SourcesRequest{Level: analysis.LevelIP})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	others := []string{"of-others.test", "of-" + foreign, `"own"`, "origin.test", string(source.ForwardFew)}
	limited := ask(api.Viewer{User: "aiko", Role: api.RoleViewer, Domains: []dns.Name{dns.MustParse(mine)}})
	everything := ask(api.Operator())
	for _, text := range others {
		if strings.Contains(limited, text) {
			t.Errorf("a limited viewer is told %q: %s", text, limited)
		}
		if !strings.Contains(everything, text) {
			t.Errorf("not covered: %q: %s", text, everything)
		}
	}
	if !strings.Contains(limited, "mail.test") {
		t.Errorf("a limited viewer is not told the host: %s", limited)
	}
}

// TestManyDomains verifies more domains than one request may name.
func TestManyDomains(t *testing.T) {
	s := twoTenants()
	in := api.VerifyRequest{}
	for n := range 1001 {
		in.Domains = append(in.Domains, fmt.Sprintf("d%d.example", n))
	}
	err := api.RecordVerify().Each(t.Context(), api.Local{Service: s, Viewer: api.Viewer{Role: api.RoleViewer}}, in, func(*analysis.Verification) error { return nil })
	if errkind.Of(err) != errkind.BadRequest {
		t.Errorf("%v", err)
	}
}
