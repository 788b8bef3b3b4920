package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// arrivals are the messages that come here on each day.
const arrivals = 40

// partner is a domain that others send from.
type partner struct{ domain, addr, policy string }

func partners() []partner {
	return []partner{
		{"partner.example", "192.0.2.200", "reject"}, {"shop.example", "192.0.2.201", "quarantine"}, {"news.example", "192.0.2.202", "none"},
	}
}

// errNoKey is why the signatures of a service that broke fail.
var errNoKey = errors.New("demo: no key")

// Messages gives what arrived here in the quarter, in order, as it is remembered and
// judged by one set of rules. An error of yield ends it and is returned.
func (w *World) Messages(ctx context.Context, rules *policy.Rules, yield func(*memory.Record) error) error {
	for day := 1; day <= Days; day++ {
		chance := w.dice("messages", strconv.Itoa(day))
		for i := range arrivals {
			at := w.Day(day).Begin().Add(time.Duration(i)*24*time.Hour/arrivals + time.Duration(chance.IntN(1800))*time.Second)
			a := w.arrival(day, chance.IntN(100), chance.IntN(1000))
			if err := yield(a.record(ctx, w.Names(day), at, i, rules)); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrival is a message that came here.
type arrival struct {
	author, path string // domains
	to           string
	client       netip.Addr
	helo         string
	selector     string // "" for no signature
	broken       bool   // its key is gone
	signer       string // d= of one more signature; "" for none
}

// arrival makes up what comes: mail of partners, now and then forged, the tenants' own
// newsletters by their service, and in the wave forgeries of a tenant.
func (w *World) arrival(day, kind, which int) arrival {
	tenants := Tenants()
	p := partners()[which%len(partners())]
	a := arrival{
		author: p.domain, path: p.domain, to: tenants[which%len(tenants)].String(), client: netip.MustParseAddr(p.addr),
		helo: "mail." + p.domain, selector: "p1",
	}
	switch {
	case kind < 15:
		h := sendgrid()[which%2]
		a.author, a.path, a.client, a.helo = Acme, "em.sendgrid.net", h.Addr, h.Name
		a.selector, a.signer, a.broken = "s1", "sendgrid.net", during(ServiceBroken, Acme, day)
	case kind < 20 && during(SpoofWave, Globex, day):
		h := wave().hosts[which%40]
		a.author, a.path, a.client, a.helo, a.selector = Globex, Globex, h.Addr, "localhost", ""
	case kind < 24:
		a.client, a.helo, a.selector = netip.AddrFrom4([4]byte{198, 51, 100, byte(200 + which%20)}), "dsl.invalid", ""
	}
	return a
}

// record judges the message as of a day.
func (a *arrival) record(ctx context.Context, names Names, at time.Time, n int, rules *policy.Rules) *memory.Record {
	author, path := dns.MustParse(a.author), dns.MustParse(a.path)
	r := &memory.Record{
		At: at.UTC().Truncate(time.Microsecond), QueueID: fmt.Sprintf("4D%06X%02X", at.Unix()&0xffffff, n), MTA: "Postfix 3.7.11", ClientIP: a.client,
		MessageID: fmt.Sprintf("%x.%d@%s", at.Unix(), n, a.author), Helo: a.helo, Sender: a.path, EnvelopeFrom: path, Host: "mx.reports.example",
	}
	checker := spf.Checker{Resolver: names}
	v := policy.Verdict{Authors: []dns.Name{author}}
	v.SPF = checker.Check(ctx, spf.Request{IP: a.client, Helo: a.helo, Local: "bounce", Host: a.path})
	for _, s := range []struct{ domain, selector string }{{a.author, a.selector}, {a.signer, "smtpapi"}} {
		if s.domain == "" || s.selector == "" {
			continue
		}
		one := dkim.Result{
			Status: dkim.Pass, Domain: dns.MustParse(s.domain), Selector: s.selector, Algorithm: "rsa-sha256", Header: "relaxed", Body: "relaxed",
			KeyBits: 2048, SigPrefix: "dzdVyOfA", Processed: true,
		}
		if a.broken && s.domain == a.author {
			one.Status, one.KeyBits, one.Processed, one.Err = dkim.PermError, 0, false, errNoKey
		}
		v.DKIM = append(v.DKIM, one)
	}
	a.align(ctx, names, &v, author)
	r.Verdict = v
	r.Decision = policy.Decide(&v, policy.Facts{ClientIP: a.client, QueueID: r.QueueID}, rules)
	r.Outcomes = []memory.Outcome{{
		Domains: []dns.Name{dns.MustParse(a.to)}, Decision: r.Decision, Mode: rules.Mode, Criteria: rules.DMARC.Criteria,
		Quarantine: rules.Quarantine.Method, DailyReports: rules.DMARC.DailyReports,
	}}
	return r
}

// align evaluates DMARC.
func (a *arrival) align(ctx context.Context, names Names, v *policy.Verdict, author dns.Name) {
	state := func(passed bool) dmarc.State {
		if passed {
			return dmarc.Passed
		}
		return dmarc.NotPassed
	}
	ids := []dmarc.Identifier{{Method: dmarc.SPF, Domain: v.SPF.Domain, State: state(v.SPF.Status == spf.Pass)}}
	for _, d := range v.DKIM {
		ids = append(ids, dmarc.Identifier{Method: dmarc.DKIM, Domain: d.Domain, State: state(d.Status == dkim.Pass)})
	}
	d := (&dmarc.Discoverer{Resolver: names}).Begin(ctx, author)
	defer d.Close()
	d.Wait()
	v.DMARC = d.Evaluate(ids)
	v.SPFAlignment = v.DMARC.Alignments[0]
	v.DKIMAlignments = v.DMARC.Alignments[1:]
}

// partnerTexts are the TXT records of partners.
func partnerTexts(name string) []string {
	for _, p := range partners() {
		switch {
		case name == p.domain:
			return []string{"v=spf1 ip4:" + p.addr + " -all"}
		case name == "_dmarc."+p.domain:
			return []string{"v=DMARC1; p=" + p.policy + "; rua=mailto:dmarc@" + p.domain}
		case strings.HasSuffix(name, "._domainkey."+p.domain):
			return []string{demoKey}
		}
	}
	return nil
}
