package policy_test

import (
	"context"
	"net/netip"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/policy"
)

// trouble is a forgery of a From domain whose sender chose names with broken DNS.
type trouble struct {
	name   string
	record string // of _dmarc.victim.example; "" for none, "FAULT" for one that cannot be read
	from   string // victim.example, or a name below it whose existence cannot be read
	spf    spf.Status
	sig    dkim.Status // of a signature for a name below the From domain; "" for none

	slots map[string]policy.Action // beside the built-in ones
	when  policy.NoRecordWhen
	peer  bool
	by    policy.TemperrorAction

	first, last policy.Action // within defer_limit and past it
	status      dmarc.Status
}

const (
	victim = "victim.example"
	below  = "gone.victim.example"
	dead   = "dead.victim.example" // whether it has a record of its own cannot be read
)

// TestTemperrorByPolicy is section 3.7 of the contract, row by row.
func TestTemperrorByPolicy(t *testing.T) {
	open := func(name, record string, first, last policy.Action) trouble {
		return trouble{name: name, record: record, from: victim, spf: spf.TempError, first: first, last: last, status: dmarc.TempError}
	}
	hidden := func(name, record string, first, last policy.Action) trouble {
		return trouble{name: name, record: record, from: below, spf: spf.Fail, first: first, last: last, status: dmarc.Fail}
	}
	inherited := func(name, record string, first, last policy.Action) trouble {
		return trouble{name: name, record: record, from: dead, spf: spf.Fail, first: first, last: last, status: dmarc.TempError}
	}
	with := func(c trouble, change func(*trouble)) trouble {
		change(&c)
		return c
	}
	const by, q, r, d = policy.Bypass, policy.Quarantine, policy.Reject, policy.Defer
	for _, c := range []trouble{
		open("no policy could be read", "FAULT", by, by),
		open("p=none", "v=DMARC1; p=none", by, by),
		open("p=quarantine", "v=DMARC1; p=quarantine", d, q),
		open("p=reject", "v=DMARC1; p=reject", d, q),
		open("p=reject in test mode", "v=DMARC1; p=reject; t=y", d, q),
		open("p=quarantine in test mode", "v=DMARC1; p=quarantine; t=y", by, by),
		with(open("a signature's key, under p=reject", "v=DMARC1; p=reject", d, q), func(c *trouble) { c.spf, c.sig = spf.Fail, dkim.TempError }),
		with(open("SPF passes all the same", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.spf, c.sig, c.status = spf.Pass, dkim.TempError, dmarc.Pass }),

		// The operator's map decides what a failure means, so trouble costs no more.
		with(open("reject is bypass", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.slots = map[string]policy.Action{"reject": by} }),
		with(open("reject is quarantine", "v=DMARC1; p=reject", d, q), func(c *trouble) { c.slots = map[string]policy.Action{"reject": q} }),
		with(open("none is reject", "v=DMARC1; p=none", d, q), func(c *trouble) { c.slots = map[string]policy.Action{"none": r} }),

		// The other words of the key.
		with(open("bypass", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.by = policy.TemperrorBypass }),
		with(open("defer", "v=DMARC1; p=reject", d, by), func(c *trouble) { c.by = policy.TemperrorDefer }),
		with(open("quarantine", "v=DMARC1; p=none", q, q), func(c *trouble) { c.by = policy.TemperrorQuarantine }),

		// Mail without a record, which is stopped only if nothing passes.
		with(open("no record", "", d, q), func(c *trouble) {
			c.slots, c.when, c.status = map[string]policy.Action{"no_record": r}, policy.NoRecordUnauthenticated, dmarc.None
		}),

		// What fails, while it is not known whether sp or np applies.
		hidden("np=reject, sp=none", "v=DMARC1; p=reject; sp=none; np=reject", d, q),
		hidden("np=none, sp=reject", "v=DMARC1; p=none; sp=reject; np=none", d, q),
		hidden("np=reject, sp=quarantine", "v=DMARC1; p=reject; sp=quarantine; np=reject", d, q),
		hidden("np=quarantine, sp=none", "v=DMARC1; p=reject; sp=none; np=quarantine", d, q),
		hidden("np and sp are the same", "v=DMARC1; p=none; sp=reject; np=reject", r, r),
		hidden("np=quarantine, sp=none, in test mode", "v=DMARC1; p=reject; sp=none; np=quarantine; t=y", by, by),
		with(hidden("np=reject, sp=none, SPF open too", "v=DMARC1; p=none; sp=none; np=reject", d, q), func(c *trouble) { c.spf, c.status = spf.TempError, dmarc.TempError }),
		with(hidden("np=reject, sp=none, bypass", "v=DMARC1; p=none; sp=none; np=reject", by, by), func(c *trouble) { c.by = policy.TemperrorBypass }),
		with(hidden("np=reject, sp=none, reject is bypass", "v=DMARC1; p=none; sp=none; np=reject", by, by), func(c *trouble) { c.slots = map[string]policy.Action{"reject": by} }),

		// A name whose record cannot be read, below one whose policy is known.
		inherited("p=reject above", "v=DMARC1; p=reject", d, q),
		inherited("sp=reject above", "v=DMARC1; p=none; sp=reject", d, q),
		inherited("np=reject above", "v=DMARC1; p=none; np=reject", d, q),
		inherited("p=none above", "v=DMARC1; p=none", by, by),
		inherited("sp=none above", "v=DMARC1; p=reject; sp=none", by, by),
		inherited("test mode above", "v=DMARC1; p=quarantine; t=y", by, by),
		inherited("nothing above", "", by, by),
		inherited("nor can the one above be read", "FAULT", by, by),
		with(inherited("SPF passes for the very name", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.spf = spf.Pass }),
		with(inherited("reject is bypass", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.slots = map[string]policy.Action{"reject": by} }),
		with(inherited("temperror: bypass", "v=DMARC1; p=reject", by, by), func(c *trouble) { c.by = policy.TemperrorBypass }),

		// An enforced peer defers, and counts as failure past the limit.
		with(open("peer, p=reject", "v=DMARC1; p=reject", d, r), func(c *trouble) { c.peer = true }),
		with(open("peer, no policy could be read", "FAULT", d, q), func(c *trouble) { c.peer = true }),
		with(hidden("peer, np=reject, sp=none", "v=DMARC1; p=none; sp=none; np=reject", d, r), func(c *trouble) { c.peer = true }),
	} {
		t.Run(c.name, func(t *testing.T) { c.try(t) })
	}
}

func (c *trouble) try(t *testing.T) {
	v := c.verdict()
	if v.DMARC.Status != c.status {
		t.Fatalf("status %s, want %s", v.DMARC.Status, c.status)
	}
	r := c.rules()
	for _, expired := range []bool{false, true} {
		want := c.first
		if expired {
			want = c.last
		}
		d := policy.Decide(v, policy.Facts{ClientIP: client, DeferExpired: expired}, r)
		if d.Action != want {
			t.Errorf("past the limit %v: %s by %s (%s), want %s", expired, d.Action, d.Rule, d.Reason, want)
		}
		if (d.Reply.Code == 451) != (d.Action == policy.Defer) || (d.Reply.Code == 550) != (d.Action == policy.Reject) {
			t.Errorf("past the limit %v: %s is answered with %+v", expired, d.Action, d.Reply)
		}
	}
}

func (c *trouble) rules() *policy.Rules {
	if c.by == "" {
		c.by = policy.TemperrorByPolicy
	}
	if c.when == "" {
		c.when = policy.NoRecordAlways
	}
	slot := func(name string, standard policy.Action) policy.Action {
		if a, set := c.slots[name]; set {
			return a
		}
		return standard
	}
	r := &policy.Rules{Mode: policy.Enforce, DMARC: policy.DMARCRules{
		Enabled: true, Criteria: policy.CriteriaRFC, Senders: policy.DomainList{All: true}, NoRecordWhen: c.when,
		EnforcedPeerAction: policy.PeerQuarantine, MultipleFrom: policy.Reject,
		Actions: policy.Slots{
			None: slot("none", policy.Bypass), Quarantine: slot("quarantine", policy.Quarantine),
			Reject: slot("reject", policy.Reject), NoRecord: slot("no_record", policy.Bypass), Temperror: c.by,
		},
	}}
	if c.peer {
		r.DMARC.EnforcedPeers.Add(dns.MustParse(victim), false, false, policy.RequireBoth)
		r.DMARC.EnforcedPeers.Add(dns.MustParse(victim), true, false, policy.RequireBoth)
	}
	return r
}

// verdict has package dmarc judge the message over a zone.
func (c *trouble) verdict() *policy.Verdict {
	zone := below + ". FAULT servfail\n_dmarc." + dead + ". FAULT servfail\n"
	switch c.record {
	case "":
	case "FAULT":
		zone += "_dmarc." + victim + ". FAULT servfail\n"
	default:
		zone += "_dmarc." + victim + ". TXT \"" + c.record + "\"\n"
	}
	author := dns.MustParse(c.from)
	v := &policy.Verdict{Authors: []dns.Name{author}, SPF: spf.Result{Status: c.spf, Domain: author, ClientIP: netip.MustParseAddr("203.0.113.9")}}
	outcome := map[string]dmarc.State{"pass": dmarc.Passed, "temperror": dmarc.Undecided}
	ids := []dmarc.Identifier{{Method: dmarc.SPF, Domain: author, State: outcome[string(c.spf)]}}
	if c.sig != "" {
		v.DKIM = []dkim.Result{{Status: c.sig, Domain: author}}
		ids = append(ids, dmarc.Identifier{Method: dmarc.DKIM, Domain: author, State: outcome[string(c.sig)]})
	}
	d := (&dmarc.Discoverer{Resolver: dnstest.MustZone(zone)}).Begin(context.Background(), author)
	defer d.Close()
	v.DMARC = d.Evaluate(ids)
	v.SPFAlignment, v.DKIMAlignments = v.DMARC.Alignments[0], v.DMARC.Alignments[1:]
	return v
}
