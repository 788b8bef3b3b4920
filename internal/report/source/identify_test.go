package source_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/source"
)

func names(texts ...string) (out []dns.Name) {
	for _, t := range texts {
		out = append(out, dns.MustParse(t))
	}
	return out
}

func seen(texts ...string) (out []source.Seen) {
	for i, t := range texts {
		out = append(out, source.Seen{Domain: dns.MustParse(t), Messages: int64(100 - i)})
	}
	return out
}

func covered(domain, term string, chain ...string) []source.Covered {
	return []source.Covered{{Domain: dns.MustParse(domain), Term: term, Chain: append(names(domain), names(chain...)...)}}
}

var addr = netip.MustParseAddr("192.0.2.7")

func TestIdentify(t *testing.T) {
	m := builtin(t)
	for _, c := range []struct {
		name    string
		facts   source.Facts
		service string
		kind    source.Kind
		sure    source.Confidence
		origin  string
		first   source.EvidenceKind // of the evidence
	}{
		{"nothing is known", source.Facts{}, "", "", source.Unknown, "", ""},
		{
			"a confirmed name", source.Facts{Host: dns.MustParse("mail-lf1-f41.google.com"), Signed: seen("gmail.com")},
			"google.com", source.KindMailbox, source.High, "", source.EvidenceHost,
		},
		{
			"a claimed name is no proof", source.Facts{Claimed: dns.MustParse("mail-lf1-f41.google.com")},
			"", "", source.Unknown, "", source.EvidenceClaimed,
		},
		{
			"own by SPF", source.Facts{Managed: names("acme.example"), Covered: covered("acme.example", "ip4:192.0.2.0/24")},
			"acme.example", source.KindOwn, source.Certain, "", source.EvidenceSPF,
		},
		{
			"own by SPF, in a record below", source.Facts{Managed: names("acme.example"), Covered: covered("acme.example", "ip4:192.0.2.0/24", "_spf.acme.example")},
			"acme.example", source.KindOwn, source.Certain, "", source.EvidenceSPF,
		},
		{
			"own server at a host", source.Facts{
				Managed: names("acme.example"), Host: dns.MustParse("static.7.2.0.192.clients.your-server.de"), Covered: covered("acme.example", "mx"),
			},
			"acme.example", source.KindOwn, source.Certain, "", source.EvidenceSPF,
		},
		{
			"own by name", source.Facts{Managed: names("acme.example"), Host: dns.MustParse("mx1.acme.example")},
			"acme.example", source.KindOwn, source.Certain, "", source.EvidenceHost,
		},
		{
			"mx of the domain is Google's", source.Facts{
				Managed: names("acme.example"), Host: dns.MustParse("mail-lf1-f41.google.com"), Covered: covered("acme.example", "mx"),
			},
			"google.com", source.KindMailbox, source.High, "", source.EvidenceHost,
		},
		{
			"dedicated address of a service, under the customer's name", source.Facts{
				Managed: names("acme.example"), Host: dns.MustParse("o1.mail.acme.example"), Passed: seen("em.sendgrid.net"),
			},
			"sendgrid.net", source.KindDelivery, source.High, "", source.EvidenceReturnPath,
		},
		{
			"dedicated address, by include", source.Facts{
				Managed: names("acme.example"), Host: dns.MustParse("o1.mail.acme.example"), Covered: covered("acme.example", "ip4:192.0.2.7", "sendgrid.net"),
			},
			"sendgrid.net", source.KindDelivery, source.Medium, "", source.EvidenceInclude,
		},
		{
			"dedicated address of a service, in the customer's list of networks", source.Facts{
				Managed: names("acme.example"), Passed: seen("em.sendgrid.net"), Covered: covered("acme.example", "ip4:192.0.2.7"),
			},
			"sendgrid.net", source.KindDelivery, source.High, "", source.EvidenceReturnPath,
		},
		{
			"own relay of a service's mail", source.Facts{Managed: names("acme.example"), Host: dns.MustParse("mx1.acme.example"), Signed: seen("sendgrid.net")},
			"acme.example", source.KindOwn, source.Certain, "sendgrid.net", source.EvidenceHost,
		},
		{
			"include of an include", source.Facts{
				Managed: names("acme.example"),
				Covered: covered("acme.example", "ip4:192.0.2.0/24", "spf.protection.outlook.com", "spfd.protection.outlook.com"),
			},
			"outlook.com", source.KindMailbox, source.Medium, "", source.EvidenceInclude,
		},
		{
			"include of nobody", source.Facts{Managed: names("acme.example"), Covered: covered("acme.example", "ip4:192.0.2.0/24", "_spf.mailer.example")},
			"", "", source.Unknown, "", source.EvidenceInclude,
		},
		{
			"a forwarder's host, a service's signature", source.Facts{Host: dns.MustParse("mx.uni.example"), Signed: seen("amazonses.com")},
			"uni.example", "", source.Medium, "amazonses.com", source.EvidenceHost,
		},
		{
			"a signature alone", source.Facts{Signed: seen("amazonses.com")},
			"amazonses.com", source.KindDelivery, source.Low, "", source.EvidenceSignature,
		},
		{
			"a selector alone", source.Facts{
				Managed: names("acme.example"), Signed: []source.Seen{{Domain: dns.MustParse("acme.example"), Selector: "mte1", Messages: 5}},
			},
			"mandrillapp.com", source.KindDelivery, source.Low, "", source.EvidenceSelector,
		},
		{
			"a selector of somebody else's domain", source.Facts{Signed: []source.Seen{{Domain: dns.MustParse("other.example"), Selector: "mte1", Messages: 5}}},
			"", "", source.Unknown, "", "",
		},
		{
			"a return path", source.Facts{Passed: seen("eu-west-1.amazonses.com"), Signed: seen("acme.example")},
			"amazonses.com", source.KindDelivery, source.High, "", source.EvidenceReturnPath,
		},
		{
			"own signature says nothing", source.Facts{Managed: names("acme.example"), Signed: seen("acme.example"), Passed: seen("bounce.acme.example")},
			"", "", source.Unknown, "", "",
		},
		{
			"the network", source.Facts{Network: source.Network{Number: 64496, Owner: "Example Networks", Domain: dns.MustParse("net.example")}},
			"net.example", "", source.Low, "", source.EvidenceNetwork,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Address = addr
			got := source.Identify(m, &c.facts)
			if got.Service.String() != c.service || got.Kind != c.kind || got.Confidence != c.sure || got.Origin.String() != c.origin {
				t.Errorf("got %+v", got)
			}
			if c.first != "" && (len(got.Evidence) == 0 || got.Evidence[0].Kind != c.first) {
				t.Errorf("evidence %v, want %s first", got.Evidence, c.first)
			}
		})
	}
}

// TestIdentifySharedHost: an address that the records of two customers name is of
// neither, and neither is told of the other.
func TestIdentifySharedHost(t *testing.T) {
	got := source.Identify(builtin(t), &source.Facts{
		Address: addr, Managed: names("acme.example", "globex.example"),
		Covered: slices.Concat(covered("acme.example", "ip4:192.0.2.7"), covered("globex.example", "a:mail.host.example")),
	})
	if !got.Service.IsZero() || len(got.Evidence) != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestIdentifyProperties: the order of facts changes nothing, evidence for the service
// comes with every identification, and what names nobody takes nothing away.
func TestIdentifyProperties(t *testing.T) {
	m := builtin(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	some := []string{
		"acme.example", "sendgrid.net", "amazonses.com", "google.com", "mx.uni.example", "gmail.com", "bounce.acme.example", "mcsv.net",
		"mail.your-server.de", "nobody.example", "spf.mtasv.net", "outlook.com",
	}
	pick := func(n int) (out []string) {
		for range rnd.IntN(n + 1) {
			out = append(out, some[rnd.IntN(len(some))])
		}
		return out
	}
	for range 5000 {
		f := source.Facts{Address: addr, Managed: names("acme.example"), Signed: seen(pick(4)...), Passed: seen(pick(3)...)}
		for _, n := range pick(3) {
			f.Covered = append(f.Covered, covered("acme.example", "ip4:192.0.2.7", n)...)
		}
		if rnd.IntN(2) == 0 {
			f.Host = dns.MustParse(some[rnd.IntN(len(some))])
		}
		want := source.Identify(m, &f)
		if want.Confidence == "" || (want.Confidence == source.Unknown) != want.Service.IsZero() {
			t.Fatalf("%+v: %+v", f, want)
		}
		if s := m.Get(want.Service); s != nil && (len(want.Evidence) == 0 || want.Evidence[0].Service != want.Service.String()) {
			t.Fatalf("%+v: no evidence for it in %+v", f, want)
		}
		for _, list := range [][]source.Seen{f.Signed, f.Passed} {
			rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		rnd.Shuffle(len(f.Covered), func(i, j int) { f.Covered[i], f.Covered[j] = f.Covered[j], f.Covered[i] })
		if got := source.Identify(m, &f); got.Service != want.Service || got.Confidence != want.Confidence {
			t.Fatalf("%+v: another order gives %+v, first %+v", f, got, want)
		}
		f.Signed = append(f.Signed, seen("nobody.example")...)
		if got := source.Identify(m, &f); got.Service != want.Service {
			t.Fatalf("%+v: an unknown signature gives %+v, first %+v", f, got, want)
		}
		if got := source.Identify(m, &f); !reflect.DeepEqual(got, source.Identify(m, &f)) {
			t.Fatal("twice the same gives two answers")
		}
	}
}
