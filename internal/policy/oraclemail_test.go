package policy_test

import (
	"context"
	"maps"
	"slices"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/policy"
)

// The domains that messages name.
const (
	authorDomain    = "example.com"
	secondAuthor    = "bank.example"
	forwarderDomain = "lists.example.net"
	apartDomain     = "other.example"
	hiddenDomain    = "x.dead.example.com" // between it and the From domain a lookup fails
	sealerDomain    = "sealer.example"     // trusted
	strangerDomain  = "stranger.example"   // seals too
)

// sightings are what a hop may claim to have seen, and whether that is a pass of the
// author's domain.
var sightings = map[string]struct {
	results  string
	ofAuthor bool
}{
	"dmarc":           {"mx.sealer.example; spf=pass smtp.mailfrom=a@other.example; dmarc=pass header.from=example.com", true},
	"dkim":            {"mx.sealer.example; dkim=pass header.d=example.com; dmarc=fail header.from=example.com", true},
	"spf":             {"mx.sealer.example; spf=pass smtp.mailfrom=a@example.com; dkim=none", true},
	"failure":         {"mx.sealer.example; spf=fail smtp.mailfrom=a@example.com; dkim=fail header.d=example.com; dmarc=fail header.from=example.com", false},
	"another's dmarc": {"mx.sealer.example; dmarc=pass header.from=other.example", false},
	"another's dkim":  {"mx.sealer.example; dkim=pass header.d=other.example", false},
	"nonsense":        {"=?;; dmarc=pass", false},
}

// chains are ARC chains of every kind, from none on.
func chains() []chain {
	trusted := func(saw string) hop { return hop{sealerDomain, saw} }
	stranger := func(saw string) hop { return hop{strangerDomain, saw} }
	out := []chain{
		{},
		{hops: []hop{stranger("dmarc")}},
		{hops: []hop{trusted("dmarc"), stranger("dmarc")}},
		{hops: []hop{stranger("dmarc"), trusted("failure")}},
		{hops: []hop{stranger("failure"), trusted("dmarc"), trusted("failure")}},
		{hops: []hop{trusted("dmarc")}, broken: true},
		{hops: []hop{trusted("dmarc")}, headless: true},
	}
	for _, saw := range slices.Sorted(maps.Keys(sightings)) {
		out = append(out, chain{hops: []hop{trusted(saw)}})
	}
	return out
}

// result is the chain as package arc reports it.
func (c chain) result() arc.Result {
	if len(c.hops) == 0 {
		return arc.Result{Status: arc.None}
	}
	r := arc.Result{Status: arc.Pass}
	if c.broken {
		r = arc.Result{Status: arc.Fail, Err: arc.ErrSeal}
	}
	for i, h := range c.hops {
		name := dns.MustParse(h.sealer)
		r.Hops = append(r.Hops, arc.Hop{
			Instance: i + 1, SealDomain: name, SealSelector: "s", AMSDomain: name, AMSSelector: "s", AMSPass: true,
			FromSigned: !c.headless, Results: sightings[h.saw].results,
		})
	}
	return r
}

// zones has DNS for each thing that the From domain may publish.
func zones() map[string]*dnstest.Zone {
	out := map[string]*dnstest.Zone{
		nothing: dnstest.MustZone("_dmarc.dead.example.com. FAULT servfail\n"),
		unknown: dnstest.MustZone("_dmarc.dead.example.com. FAULT servfail\n_dmarc.example.com. FAULT servfail\n"),
	}
	for _, p := range []string{"none", "quarantine", "reject"} {
		out[p] = dnstest.MustZone("_dmarc.dead.example.com. FAULT servfail\n_dmarc.example.com. TXT \"v=DMARC1; p=" + p + "\"\n")
	}
	return out
}

// verdict has the message judged by package dmarc itself, over a zone.
func verdict(zone *dnstest.Zone, m message) *policy.Verdict {
	v := &policy.Verdict{ARC: m.chain.result(), SPF: spf.Result{Status: spf.Status(m.spf.result), Domain: dns.MustParse(m.spf.domain)}}
	for _, f := range m.from {
		v.Authors = append(v.Authors, dns.MustParse(f))
	}
	outcome := map[string]dmarc.State{"pass": dmarc.Passed, "temperror": dmarc.Undecided}
	ids := []dmarc.Identifier{{Method: dmarc.SPF, Domain: v.SPF.Domain, State: outcome[m.spf.result]}}
	for _, s := range m.sigs {
		r := dkim.Result{Status: dkim.Status(s.result), Domain: dns.MustParse(s.domain), Processed: s.result == "pass" || s.result == "fail"}
		v.DKIM = append(v.DKIM, r)
		ids = append(ids, dmarc.Identifier{Method: dmarc.DKIM, Domain: r.Domain, State: outcome[s.result]})
	}
	if len(v.Authors) != 1 {
		v.DMARC = dmarc.NoAuthor(nil)
		return v
	}
	d := (&dmarc.Discoverer{Resolver: zone}).Begin(context.Background(), v.Authors[0])
	defer d.Close()
	v.DMARC = d.Evaluate(ids)
	v.SPFAlignment, v.DKIMAlignments = v.DMARC.Alignments[0], v.DMARC.Alignments[1:]
	return v
}

// judged is a message with its verdict.
type judged struct {
	message
	verdict *policy.Verdict
}

// messages are those of one From domain that publishes this, with every result of
// SPF and sets of signatures of every kind.
func messages(published string, from ...string) []judged {
	checks := []check{
		{"pass", authorDomain}, {"pass", apartDomain}, {"pass", forwarderDomain}, {"pass", hiddenDomain},
		{"fail", authorDomain}, {"fail", apartDomain},
		{"softfail", authorDomain}, {"softfail", apartDomain}, {"softfail", hiddenDomain},
		{"neutral", authorDomain}, {"none", authorDomain}, {"permerror", authorDomain},
		{"temperror", authorDomain}, {"temperror", apartDomain}, {"temperror", hiddenDomain},
	}
	good, bad, key := check{"pass", authorDomain}, check{"fail", authorDomain}, check{"temperror", authorDomain}
	sigs := [][]check{
		nil, {good}, {bad}, {key}, {bad, good}, {bad, key}, {good, key},
		{{"policy", authorDomain}, {"permerror", authorDomain}},
		{{"pass", forwarderDomain}}, {{"pass", forwarderDomain}, key}, {{"temperror", apartDomain}},
		{{"pass", hiddenDomain}}, {{"temperror", hiddenDomain}, bad},
	}
	zone := zones()[published]
	var out []judged
	add := func(m message) {
		m.published, m.from = published, from
		out = append(out, judged{m, verdict(zone, m)})
	}
	for _, c := range checks {
		for _, s := range sigs {
			add(message{spf: c, sigs: s})
		}
	}
	for _, c := range chains() {
		add(message{spf: check{"pass", authorDomain}, sigs: []check{good}, chain: c})
		add(message{spf: check{"softfail", apartDomain}, sigs: []check{bad}, chain: c})
		add(message{spf: check{"temperror", authorDomain}, chain: c})
	}
	return out
}
