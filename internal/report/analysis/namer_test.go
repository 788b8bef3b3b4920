package analysis_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

func TestSourceNamer(t *testing.T) {
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	zone := dnstest.MustZone(`
1.2.0.192.in-addr.arpa PTR o1.ptr7.sendgrid.net
o1.ptr7.sendgrid.net A 192.0.2.1
acme.example TXT "v=spf1 ip4:192.0.2.9 -all"
broken.example FAULT servfail
3.2.0.192.in-addr.arpa FAULT servfail
4.2.0.192.in-addr.arpa PTR mx.nobody.example
mx.nobody.example A 192.0.2.4
`)
	n := analysis.SourceNamer{Names: zone, SPF: zone, Services: m, Network: func(a netip.Addr) (source.Network, error) {
		if a == netip.MustParseAddr("192.0.2.8") {
			return source.Network{Owner: "Example Networks", Domain: dns.MustParse("net.example")}, nil
		}
		return source.Network{}, errors.New("no database")
	}}
	now := time.Unix(1_700_000_000, 0)
	hour, day, week := time.Hour, 24*time.Hour, 7*24*time.Hour
	for _, c := range []struct {
		name, addr, domain string
		service, label     string
		sure               source.Confidence
		again              time.Duration
		unsure             bool
	}{
		{"a service", "192.0.2.1", "acme.example", "sendgrid.net", "SendGrid", source.High, week, false},
		{"own", "192.0.2.9", "acme.example", "acme.example", "", source.Certain, day, false},
		{"a name that nobody knows", "192.0.2.4", "acme.example", "nobody.example", "", source.Medium, week, false},
		{"the network", "192.0.2.8", "acme.example", "net.example", "Example Networks", source.Low, day, false},
		{"nobody", "192.0.2.2", "acme.example", "unknown", "", source.Unknown, day, false},
		{"trouble with the name", "192.0.2.3", "acme.example", "unknown", "", source.Unknown, hour, true},
		{"trouble with SPF", "192.0.2.2", "broken.example", "unknown", "", source.Unknown, hour, true},
		{"trouble with SPF, and a service", "192.0.2.1", "broken.example", "sendgrid.net", "SendGrid", source.High, hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := analysis.Observed{Source: netip.MustParseAddr(c.addr)}
			o.Add(record(c.domain, 3, report.DMARCFail, report.DMARCPass, analysis.AuthSet{}))
			got := n.Name(t.Context(), &o, now)
			if got.Service != c.service || got.About.Name != c.label || got.About.Confidence != c.sure || got.Again.Sub(now) != c.again || got.Unsure != c.unsure {
				t.Errorf("got %+v, again in %v", got, got.Again.Sub(now))
			}
		})
	}
	plain := analysis.SourceNamer{Names: zone}
	if got := plain.Name(t.Context(), &analysis.Observed{Source: netip.MustParseAddr("192.0.2.1")}, now); got.Service != "sendgrid.net" || got.About.Confidence != "" {
		t.Errorf("without evidence: %+v", got)
	}
}
