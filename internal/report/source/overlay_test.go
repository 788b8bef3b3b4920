package source_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/source"
)

func TestOverlay(t *testing.T) {
	base := builtin(t)
	const file = "\ufeffbase_reverse_dns,name,type,includes,selectors,networks\r\n" +
		"acme-crm.example,\"Acme, CRM\",SaaS,_spf.acme-crm.example,acme#,192.0.2.0/24 2001:db8::1\r\n" +
		"google.com,Our Google,Email Provider\r\n" +
		"mcsv.net,Mailchimp hosts,Marketing\r\n" +
		"in-addr.arpa,Aeromotion Resources,Industrial\r\n" +
		"fujitsu,Fujitsu,Technology\r\n" +
		"co.uk,United Kingdom,Government\r\n" +
		"school.example.,A School,Education\r\n" +
		"school.example,Again,Education\r\n" +
		"other.example,Other,Retail,_spf.google.com\r\n" +
		"broken.example,Broken,Retail,,,192.0.2.0/99\r\n"
	m, done, err := base.Overlay(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if done.Rows != 5 || done.Known != 1 || done.Left != 6 || len(done.Notes) != 6 {
		t.Errorf("done %+v", done)
	}
	for _, c := range []struct {
		name  string
		got   *source.Service
		label string
		kind  source.Kind
	}{
		{"a new service", m.ByHost(dns.MustParse("mx.acme-crm.example")), "Acme, CRM", source.KindBusiness},
		{"its include", m.ByInclude(dns.MustParse("_spf.acme-crm.example")), "Acme, CRM", source.KindBusiness},
		{"its selector", m.BySelector("acme12"), "Acme, CRM", source.KindBusiness},
		{"its network", m.ByNetwork(netip.MustParseAddr("::ffff:192.0.2.9")), "Acme, CRM", source.KindBusiness},
		{"its address", m.ByNetwork(netip.MustParseAddr("2001:db8::1")), "Acme, CRM", source.KindBusiness},
		{"a service that is named anew", m.ByHost(dns.MustParse("mail.google.com")), "Our Google", source.KindMailbox},
		{"and keeps what is known", m.ByInclude(dns.MustParse("_spf.google.com")), "Our Google", source.KindMailbox},
		{"a part of a service", m.ByHost(dns.MustParse("mail1.mcsv.net")), "Mailchimp", source.KindMarketing},
		{"a final dot", m.ByHost(dns.MustParse("mx.school.example")), "A School", source.KindOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.got == nil || c.got.Label != c.label || c.got.Kind != c.kind {
				t.Errorf("got %+v", c.got)
			}
		})
	}
	if s := m.ByHost(dns.MustParse("7.2.0.192.in-addr.arpa")); s != nil {
		t.Errorf("the reverse zone is %s", s.Label)
	}
	if s := base.Get(dns.MustParse("google.com")); s.Label != "Google" {
		t.Errorf("the map below was changed: %+v", s)
	}
	id := source.Identify(m, &source.Facts{Address: netip.MustParseAddr("192.0.2.9"), Host: dns.MustParse("mail.google.com")})
	if id.Label != "Acme, CRM" || id.Confidence != source.Certain {
		t.Errorf("a network of the operator gives %+v", id)
	}
}

func TestOverlayRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "EOF"},
		{"no head", "google.com,Google,Email Provider\n", `does not name the column "base_reverse_dns"`},
		{"no CSV", "base_reverse_dns,name,type\n\"a\"b\n", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := builtin(t).Overlay(strings.NewReader(c.text))
			if err == nil && c.name == "nothing" {
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestOverlayThirdParty reads the large map that others make, where it stands beside the
// project. It must not take our services apart.
func TestOverlayThirdParty(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "data", "source-map", "base_reverse_dns_map.csv"))
	if err != nil {
		t.Skipf("the map is not beside the project: %v", err)
	}
	defer f.Close()
	base := builtin(t)
	m, done, err := base.Overlay(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d services of %+v", m.Len(), done)
	if m.Len() < 38_000 || done.Left > 400 {
		t.Errorf("%d services; %+v", m.Len(), done)
	}
	for _, s := range base.Services() {
		if got := m.Get(s.Domain); got == nil {
			t.Errorf("%s is gone", s.Domain)
		}
		for _, h := range s.Hosts {
			if got := m.ByHost(h); got.Domain != s.Domain {
				t.Errorf("%s is of %s, was of %s", h, got.Domain, s.Domain)
			}
		}
	}
}
