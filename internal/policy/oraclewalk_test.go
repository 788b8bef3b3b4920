package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

var client = netip.MustParseAddr("192.0.2.7")

// apply compares Decide with the oracle.
func apply(m judged, r *policy.Rules) disposition {
	d := policy.Decide(m.verdict, policy.Facts{ClientIP: client, NullSender: m.null, DeferExpired: m.expired}, r)
	return disposition{action: d.Action, would: d.Would, reason: d.Reason, evaluated: d.Evaluated, enforced: d.Enforced, status: d.Status}
}

// rules spells a wish as the settings that package settings would make of it.
func (w *wish) rules() *policy.Rules {
	r := &policy.Rules{Mode: w.mode, DMARC: policy.DMARCRules{
		Enabled: !w.disabled, Criteria: w.criteria, SkipNullSender: w.skipNull, EnforcedPeerAction: w.peerAction,
		Actions: w.slots, NoRecordWhen: w.noRecordWhen, MultipleFrom: w.multipleFrom,
	}}
	net := func(own bool) (l policy.NetList) {
		if own {
			l.Add(netip.MustParsePrefix("192.0.2.0/24"))
		} else {
			l.Add(netip.MustParsePrefix("198.51.100.0/24"))
		}
		return l
	}
	r.DMARC.Exceptions = net(w.exception)
	if r.DMARC.Senders.All = w.senders == ""; !r.DMARC.Senders.All {
		r.DMARC.Senders.Add(dns.MustParse(w.senders), false)
	}
	if w.peer != "" {
		r.DMARC.EnforcedPeers.Add(dns.MustParse(w.peer), false, false, w.require)
	}
	switch w.forwarder {
	case "spf":
		r.DMARC.TrustedForwarders = []policy.Forwarder{{SPF: dns.MustParse(forwarderDomain)}}
	case "dkim":
		r.DMARC.TrustedForwarders = []policy.Forwarder{{DKIM: dns.MustParse(forwarderDomain)}}
	case "ip":
		r.DMARC.TrustedForwarders = []policy.Forwarder{{IP: net(true)}}
	}
	if r.DMARC.ARC.Enabled = w.arc == "on"; w.arc != "" {
		r.DMARC.ARC.TrustedSealers.Add(dns.MustParse(sealerDomain), false)
	}
	if w.source != "" {
		match := policy.IPMatch{Networks: net(w.source == pass), Action: w.source}
		match.Domain.Add(dns.MustParse(authorDomain), false)
		r.SenderIPMatch = []policy.IPMatch{match}
	}
	r.SPF = policy.SPFRules{Enabled: w.spfOn, Actions: w.spfActions}
	r.SPF.Ignored.Nets = net(w.spfIgnored == "ip")
	r.SPF.Ignored.Domains.All = w.spfIgnored == "domain"
	r.DKIM = policy.DKIMRules{Enabled: w.dkimOn, SkipNullSender: w.dkimSkip, Actions: w.dkimActions}
	if w.dkimPeer {
		r.DKIM.EnforcedPeers.Add(dns.MustParse(authorDomain), false)
	}
	return r
}

var (
	modes      = []policy.Mode{policy.Enforce, policy.Monitor}
	criteria   = []policy.Criteria{policy.CriteriaRFC, policy.CriteriaHES}
	slotWords  = []policy.Action{policy.Bypass, policy.Quarantine, policy.Reject}
	troubles   = []policy.Action{policy.Bypass, policy.Defer, policy.Defer, policy.Quarantine, policy.Reject, policy.Discard}
	leftOpen   = []policy.TemperrorAction{policy.TemperrorByPolicy, policy.TemperrorBypass, policy.TemperrorDefer, policy.TemperrorQuarantine}
	requires   = []policy.Require{policy.RequireBoth, policy.RequireEither}
	peerWords  = []policy.PeerAction{policy.PeerBypass, policy.PeerQuarantine, policy.PeerReject, policy.PeerSlot}
	forwarders = []string{"", "spf", "dkim", "ip"}
	published  = []string{"none", "quarantine", "reject", nothing, unknown}
	anyAction  = []policy.Action{policy.Bypass, policy.Quarantine, policy.Reject, policy.Discard}
)

// slotsWith returns the slot of what is published one action, and the others others, so
// that taking the wrong slot shows.
func slotsWith(published string, a policy.Action, trouble policy.TemperrorAction) policy.Slots {
	other := slotWords[(slices.Index(slotWords, a)+1)%len(slotWords)]
	s := policy.Slots{None: other, Quarantine: other, Reject: other, NoRecord: other, Temperror: trouble}
	switch published {
	case "none":
		s.None = a
	case "quarantine":
		s.Quarantine = a
	case "reject":
		s.Reject = a
	default:
		s.NoRecord = a
	}
	return s
}

// overrides are what may let by, or catch, a message whatever it shows: nothing, a
// trusted forwarder, a trusted sealer, a sender IP match.
func overrides(base wish, visit func(wish)) {
	for _, f := range forwarders {
		base.forwarder = f
		visit(base)
	}
	base.forwarder, base.arc = "", "on"
	visit(base)
	base.arc = ""
	for _, a := range []policy.Action{policy.Bypass, policy.Reject} {
		base.source = a
		visit(base)
	}
}

// peers are every way to treat the From domain as an enforced peer, or not.
func peers(base wish, visit func(wish)) {
	visit(base)
	base.peer = authorDomain
	for _, base.require = range requires {
		for _, base.peerAction = range peerWords {
			visit(base)
		}
	}
}

// TestOracle walks action, published policy, criteria, enforced peers, overrides
// and mode in all combinations, over messages with every result of SPF and
// signatures of every kind, and holds Decide to the oracle and to what no setting
// may bring about.
func TestOracle(t *testing.T) {
	for _, p := range published {
		t.Run("publishes "+p, func(t *testing.T) {
			t.Parallel()
			judge := newJudge(t)
			mail := messages(p, authorDomain)
			for _, base := range settingsFor(p) {
				mail := mail
				if base.mode == policy.Monitor { // differs in what comes last only: fewer messages do
					mail = everyNth(mail, 5)
				}
				peers(base, func(w wish) { overrides(w, func(w wish) { judge.all(mail, w) }) })
			}
			t.Logf("%d combinations", judge.n)
		})
	}
}

func everyNth(mail []judged, n int) (out []judged) {
	for i := 0; i < len(mail); i += n {
		out = append(out, mail[i])
	}
	return out
}

// settingsFor are the settings that have nothing to do with peers and overrides.
func settingsFor(published string) (out []wish) {
	for _, mode := range modes {
		for _, c := range criteria {
			for _, a := range slotWords {
				for _, trouble := range []policy.TemperrorAction{policy.TemperrorByPolicy, policy.TemperrorDefer} {
					if trouble == policy.TemperrorDefer && mode == policy.Monitor {
						continue
					}
					out = append(out, wish{
						mode: mode, criteria: c, peerAction: policy.PeerQuarantine, multipleFrom: policy.Reject,
						noRecordWhen: policy.NoRecordAlways, slots: slotsWith(published, a, trouble),
					})
				}
			}
		}
	}
	return out
}

// TestOracleSamples draws settings and messages at random, always the same ones,
// from the whole of what the policy file can say.
func TestOracleSamples(t *testing.T) {
	const draws, each = 4000, 40
	rnd := rand.New(rand.NewPCG(9989, 7489))
	var mail []judged
	for _, p := range published {
		mail = append(mail, messages(p, authorDomain)...)
	}
	mail = append(mail, messages(nothing)...)
	mail = append(mail, messages(nothing, authorDomain, secondAuthor)...)
	judge := newJudge(t)
	for range draws {
		w := draw(rnd)
		r := w.rules()
		for range each {
			m := mail[rnd.IntN(len(mail))]
			m.null, m.expired = rnd.IntN(3) == 0, rnd.IntN(3) == 0
			judge.one(m, &w, r)
		}
	}
	for _, reason := range []policy.Reason{
		policy.ReasonPass, policy.ReasonSenderIP, policy.ReasonSPF, policy.ReasonDKIM, policy.ReasonForwarder, policy.ReasonARC, policy.ReasonPolicy,
		policy.ReasonNoRecord, policy.ReasonEnforcedPeer, policy.ReasonTemperror, policy.ReasonMultipleFrom, policy.ReasonDisabled,
		policy.ReasonException, policy.ReasonNotListed, policy.ReasonNullSender,
	} {
		if judge.seen[reason] < draws*each/2000 {
			t.Errorf("reason %s came out %d times only: the samples do not cover it", reason, judge.seen[reason])
		}
	}
}

// draw makes settings at random. Standalone checks and what keeps DMARC from
// running are rarer than the rest, or little would get to DMARC.
func draw(rnd *rand.Rand) wish {
	seldom := func() bool { return rnd.IntN(6) == 0 }
	rarely := func() bool { return rnd.IntN(36) == 0 }
	w := wish{
		mode: one(rnd, modes), disabled: rarely(), exception: rarely(), skipNull: seldom(),
		criteria: one(rnd, criteria), require: one(rnd, requires), peerAction: one(rnd, peerWords),
		slots: policy.Slots{
			None: one(rnd, slotWords), Quarantine: one(rnd, slotWords), Reject: one(rnd, slotWords),
			NoRecord: one(rnd, slotWords), Temperror: one(rnd, leftOpen),
		},
		noRecordWhen: one(rnd, []policy.NoRecordWhen{policy.NoRecordAlways, policy.NoRecordUnauthenticated}),
		multipleFrom: one(rnd, slotWords), forwarder: one(rnd, forwarders), arc: one(rnd, []string{"", "off", "on"}),
		spfOn: seldom(), spfIgnored: one(rnd, []string{"", "", "domain", "ip"}),
		dkimOn: seldom(), dkimPeer: rnd.IntN(2) == 0, dkimSkip: rnd.IntN(2) == 0,
		dkimActions: policy.DKIMActions{Fail: one(rnd, anyAction), None: one(rnd, anyAction), Temperror: one(rnd, troubles)},
		spfActions: policy.SPFActions{
			Fail: one(rnd, anyAction), Softfail: one(rnd, anyAction), Neutral: one(rnd, anyAction), None: one(rnd, anyAction),
			Permerror: one(rnd, anyAction), Temperror: one(rnd, troubles),
		},
	}
	if seldom() {
		w.source = one(rnd, anyAction)
	}
	if rnd.IntN(2) == 0 {
		w.peer = one(rnd, []string{authorDomain, secondAuthor})
	}
	if rnd.IntN(3) == 0 {
		w.senders = one(rnd, []string{authorDomain, secondAuthor, "elsewhere.example"})
	}
	return w
}

func one[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

// judge holds Decide to the oracle and counts.
type judge struct {
	t    *testing.T
	n    int
	bad  int
	seen map[policy.Reason]int
}

func newJudge(t *testing.T) *judge { return &judge{t: t, seen: map[policy.Reason]int{}} }

// all tries a wish on every message; where DNS trouble is about, also past the
// time that it may defer.
func (j *judge) all(mail []judged, w wish) {
	r := w.rules()
	for _, m := range mail {
		j.one(m, &w, r)
		if m.trouble() {
			m.expired = true
			j.one(m, &w, r)
		}
	}
}

// trouble reports whether DNS failed somewhere.
func (m message) trouble() bool {
	return m.published == unknown || m.spf.result == "temperror" || m.standing(m.spf.domain) == hidden || m.signed("temperror") || m.passed(hidden)
}

func (j *judge) one(m judged, w *wish, r *policy.Rules) {
	j.n++
	got, want := apply(m, r), expect(m.message, w)
	j.seen[got.reason]++
	fault := ""
	if got != want {
		fault = fmt.Sprintf("want %+v", want)
	} else {
		fault = forbidden(m, w, got)
	}
	if fault == "" {
		return
	}
	if j.bad++; j.bad <= 10 {
		j.t.Errorf("%+v\n%+v\ngot %+v: %s", m.message, *w, got, fault)
	} else {
		j.t.FailNow()
	}
}

// forbidden says what no setting may bring about, of what came about.
func forbidden(m judged, w *wish, f disposition) string {
	byDMARC := f.reason != policy.ReasonSenderIP && f.reason != policy.ReasonSPF && f.reason != policy.ReasonDKIM
	onlyDMARC := w.source == "" && !w.spfOn && !w.dkimOn
	switch {
	case byDMARC && f.status == dmarc.Pass && f.would != policy.Bypass:
		return "passes the criteria in force and is intercepted"
	case onlyDMARC && w.criteria == policy.CriteriaRFC && w.peer == "" && m.verdict.DMARC.Status == dmarc.Pass && f.would != policy.Bypass:
		return "an RFC pass is intercepted"
	case byDMARC && f.status == dmarc.TempError && f.would != policy.Bypass && f.would != policy.Defer && !(f.enforced && m.expired) && !m.mayQuarantine(w, f):
		return "a temperror is intercepted"
	case f.evaluated && !f.enforced && f.reason == policy.ReasonTemperror && w.slots.Temperror == policy.TemperrorByPolicy && m.published == "reject" &&
		w.slots.Reject != policy.Bypass && f.would == policy.Bypass:
		return "trouble that the sender chose lets a message through that its domain asks to reject"
	case byDMARC && f.would == policy.Defer && m.expired:
		return "deferred past the limit"
	case w.mode == policy.Monitor && f.action != policy.Bypass:
		return "monitor mode intercepts"
	case !f.evaluated && byDMARC && f.would != policy.Bypass:
		return "DMARC did not run and intercepts"
	}
	return ""
}

// mayQuarantine reports whether a temperror may be quarantined.
func (m judged) mayQuarantine(w *wish, f disposition) bool {
	byPolicy := w.slots.Temperror == policy.TemperrorByPolicy && m.expired && m.verdict.DMARC.Record != nil
	return f.would == policy.Quarantine && (byPolicy || w.slots.Temperror == policy.TemperrorQuarantine)
}
