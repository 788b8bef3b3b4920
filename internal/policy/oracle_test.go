package policy_test

import (
	"slices"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
)

// The oracle decides about a message by the contract's text on criteria, enforced peers
// and order alone. It shares no code with Decide, does not look at a Verdict and makes no
// attempt to be fast: it works on small words, and finds out what DNS trouble leaves open
// by supposing the best.

// How the domain of an identifier relates to the From domain.
const (
	apart   = "apart"
	aligned = "aligned"
	hidden  = "hidden" // DNS trouble hides whether it aligns
)

// standing returns how a domain relates to the From domain. Where no record is published
// anywhere, a name aligns with itself alone, so nothing can be hidden.
func (m message) standing(domain string) string {
	switch {
	case domain == authorDomain:
		return aligned
	case domain == hiddenDomain && m.published != nothing:
		return hidden
	}
	return apart
}

// What the From domain publishes, beside none, quarantine and reject.
const (
	nothing = "nothing" // no record
	unknown = "unknown" // DNS trouble hides whether there is one
)

// check is what SPF, or one signature, found, and for whom. Only a signature that
// passes or fails was processed.
type check struct{ result, domain string }

// hop is one set of an ARC chain: who sealed it, and what it claims to have seen.
type hop struct{ sealer, saw string }

// chain is an ARC chain, oldest hop first.
type chain struct {
	hops     []hop
	broken   bool // does not validate
	headless bool // the newest signature does not cover the From field
}

// message is what is true of a message, in words.
type message struct {
	spf       check
	sigs      []check
	chain     chain
	published string
	// from is the readable From domains; without exactly one there is no author.
	from []string

	null    bool // the null sender
	expired bool // deferred for as long as may be
}

// wish is what the recipient's domain wants, in words.
type wish struct {
	mode         policy.Mode
	disabled     bool
	exception    bool   // the client is one
	senders      string // the one From domain verified, "" for all
	skipNull     bool
	criteria     policy.Criteria
	peer         string // the enforced peer's From domain, "" for none
	require      policy.Require
	peerAction   policy.PeerAction
	slots        policy.Slots
	noRecordWhen policy.NoRecordWhen
	multipleFrom policy.Action
	forwarder    string // "", "spf", "dkim" (both of forwarderDomain) or "ip" (the client)
	arc          string // "", "off" (a sealer is listed, but ARC is not enabled) or "on"

	// source is the sender IP match of the From domain: "" for none, bypass where
	// the client may send for it, or the action where it may not.
	source policy.Action

	spfOn       bool
	spfIgnored  string // "", "domain" (MAIL FROM's) or "ip" (the client)
	spfActions  policy.SPFActions
	dkimOn      bool
	dkimPeer    bool // the From domain is an enforced peer of the standalone check
	dkimSkip    bool // skip_null_sender of the standalone check
	dkimActions policy.DKIMActions
}

// disposition is what happens to a message.
type disposition struct {
	action, would policy.Action
	reason        policy.Reason
	evaluated     bool
	enforced      bool
	status        dmarc.Status
}

// pass reports that nothing intercepted, so that the next check has its turn.
const pass = policy.Bypass

// expect is the oracle.
func expect(m message, w *wish) disposition {
	f := firstToIntercept(m, w)
	f.would = f.action
	if w.mode == policy.Monitor {
		f.action = policy.Bypass
	}
	return f
}

// firstToIntercept: sender IP match, standalone SPF, standalone DKIM, DMARC. DMARC is
// evaluated whichever it is.
func firstToIntercept(m message, w *wish) disposition {
	single := len(m.from) == 1
	mayMatch := w.source != "" && single
	f := byDMARC(m, w, mayMatch && w.source == pass)
	if mayMatch && w.source != pass {
		f.action, f.reason = w.source, policy.ReasonSenderIP
		return f
	}
	if w.spfOn && w.spfIgnored == "" && !mayMatch {
		if a := letGo(m, spfAction(m, w)); a != pass {
			f.action, f.reason = a, policy.ReasonSPF
			return f
		}
	}
	if w.dkimOn && !(m.null && w.dkimSkip) {
		if a := letGo(m, dkimAction(m, w, single)); a != pass {
			f.action, f.reason = a, policy.ReasonDKIM
			return f
		}
	}
	return f
}

// letGo ends a deferral that lasted for as long as it may.
func letGo(m message, a policy.Action) policy.Action {
	if a == policy.Defer && m.expired {
		return policy.Bypass
	}
	return a
}

func spfAction(m message, w *wish) policy.Action {
	return map[string]policy.Action{
		"pass": pass, "fail": w.spfActions.Fail, "softfail": w.spfActions.Softfail, "neutral": w.spfActions.Neutral,
		"none": w.spfActions.None, "permerror": w.spfActions.Permerror, "temperror": w.spfActions.Temperror,
	}[m.spf.result]
}

// dkimAction: one good signature is enough; without one, a key that was not to be
// had leaves it open. A peer that must sign fails where others are let off, and
// never fares better than they do.
func dkimAction(m message, w *wish, single bool) policy.Action {
	switch {
	case m.signed("pass"):
		return pass
	case m.signed("temperror"):
		return w.dkimActions.Temperror
	case m.signed("fail"):
		return w.dkimActions.Fail
	case w.dkimPeer && single && severer(w.dkimActions.Fail, w.dkimActions.None):
		return w.dkimActions.Fail
	}
	return w.dkimActions.None
}

func severer(a, b policy.Action) bool {
	order := []policy.Action{policy.Bypass, policy.Defer, policy.Quarantine, policy.Discard, policy.Reject}
	return slices.Index(order, a) > slices.Index(order, b)
}

// byDMARC: exceptions, enforced peer or else senders list, null sender, evaluation,
// override, action slot.
func byDMARC(m message, w *wish, mayMatch bool) disposition {
	// A From that cannot be read may be anybody's, so no list lets it off; of
	// several domains one on a list is enough.
	listed := w.senders == "" || len(m.from) == 0 || slices.Contains(m.from, w.senders)
	peer := w.peer != "" && slices.Contains(m.from, w.peer)
	switch {
	case w.disabled:
		return disposition{action: pass, reason: policy.ReasonDisabled}
	case w.exception:
		return disposition{action: pass, reason: policy.ReasonException}
	case peer && len(m.from) == 1:
		return byPeer(m, w)
	case !peer && !listed:
		return disposition{action: pass, reason: policy.ReasonNotListed}
	case !peer && m.null && w.skipNull:
		return disposition{action: pass, reason: policy.ReasonNullSender}
	case len(m.from) != 1:
		return byMultipleFrom(w, peer)
	}
	status := m.judge(w.criteria)
	if mayMatch && status != dmarc.None && m.published != unknown {
		return disposition{action: pass, reason: policy.ReasonSenderIP, evaluated: true, status: dmarc.Pass}
	}
	f := disposition{evaluated: true, status: status}
	switch {
	case status == dmarc.Pass:
		f.action, f.reason = pass, policy.ReasonPass
	case m.vouchedFor(w.forwarder):
		f.action, f.reason = pass, policy.ReasonForwarder
	case w.arc == "on" && m.chain.vouches():
		f.action, f.reason = pass, policy.ReasonARC
	case status == dmarc.TempError:
		f.action, f.reason = m.leftOpen(w), policy.ReasonTemperror
	case status == dmarc.Fail:
		f.action, f.reason = m.slot(w), policy.ReasonPolicy
	default:
		f.action, f.reason = m.withoutRecord(w, mayMatch)
	}
	return f
}

func byMultipleFrom(w *wish, peer bool) disposition {
	f := disposition{action: w.multipleFrom, reason: policy.ReasonMultipleFrom, evaluated: true, enforced: peer, status: dmarc.PermError}
	if floor := policy.Action(w.peerAction); peer && w.peerAction != policy.PeerSlot && severer(floor, f.action) {
		f.action, f.reason = floor, policy.ReasonEnforcedPeer
	}
	return f
}

// byPeer: nothing is granted to an enforced peer, and it has to show a record, an
// SPF pass, a good signature and one of them aligned, or one aligned pass.
func byPeer(m message, w *wish) disposition {
	f := disposition{action: pass, reason: policy.ReasonPass, evaluated: true, enforced: true, status: m.judgePeer(w.require)}
	if f.status == dmarc.TempError && !m.expired {
		f.action, f.reason = policy.Defer, policy.ReasonTemperror
	} else if f.status != dmarc.Pass {
		f.status = dmarc.Fail // trouble that lasts for too long counts as failure
		f.action, f.reason = m.slot(w), policy.ReasonEnforcedPeer
		if floor := policy.Action(w.peerAction); w.peerAction != policy.PeerSlot && severer(floor, f.action) {
			f.action = floor
		}
	}
	return f
}

func (m message) judgePeer(r policy.Require) dmarc.Status {
	switch m.published {
	case unknown:
		return dmarc.TempError
	case nothing:
		return dmarc.Fail
	}
	enough := m.alignedPass() && (r == policy.RequireEither || m.spf.result == "pass" && m.signed("pass"))
	if enough {
		return dmarc.Pass
	}
	// Trouble counts where it hides something that is missing.
	keys := m.signed("temperror") && !(m.signed("pass") && m.alignedPass())
	alignment := !m.alignedPass() && m.best().alignedPass() && m.hidesPass()
	if m.spf.result == "temperror" || keys || alignment {
		return dmarc.TempError
	}
	return dmarc.Fail
}

// judge is the result by the criteria: what holds as things are, or else temperror
// if it would hold had DNS answered for the best.
func (m message) judge(c policy.Criteria) dmarc.Status {
	passes := message.passesRFC
	if c == policy.CriteriaHES {
		passes = message.passesHES
	}
	switch {
	case m.published == unknown:
		return dmarc.TempError
	case m.published == nothing:
		return dmarc.None
	case passes(m):
		return dmarc.Pass
	case passes(m.best()):
		return dmarc.TempError
	}
	return dmarc.Fail
}

func (m message) passesRFC() bool { return m.alignedPass() }

func (m message) passesHES() bool {
	spfSucceeds := m.spf.result != "fail"
	dkimSucceeds := m.signed("pass") || !m.signed("fail")
	aligns := m.standing(m.spf.domain) == aligned
	for _, s := range m.sigs {
		aligns = aligns || s.result == "pass" && m.standing(s.domain) == aligned
	}
	return spfSucceeds && dkimSucceeds && aligns
}

// best is the message as it would be had DNS answered, for the best.
func (m message) best() message {
	best := func(c check) check {
		if c.result == "temperror" {
			c.result = "pass"
		}
		if m.standing(c.domain) == hidden {
			c.domain = authorDomain
		}
		return c
	}
	sigs := m.sigs
	m.spf, m.sigs = best(m.spf), nil
	for _, s := range sigs {
		m.sigs = append(m.sigs, best(s))
	}
	return m
}

func (m message) alignedPass() bool { return m.passed(aligned) }

// hidesPass reports that something passed of which DNS trouble hides the alignment.
func (m message) hidesPass() bool { return m.passed(hidden) }

// passed reports whether SPF or a signature passed for a domain in that relation.
func (m message) passed(how string) bool {
	good := func(c check) bool { return c.result == "pass" && m.standing(c.domain) == how }
	return good(m.spf) || slices.ContainsFunc(m.sigs, good)
}

// signed reports whether a signature has this result.
func (m message) signed(result string) bool {
	return slices.ContainsFunc(m.sigs, func(c check) bool { return c.result == result })
}

func (m message) vouchedFor(forwarder string) bool {
	good := check{"pass", forwarderDomain}
	switch forwarder {
	case "spf":
		return m.spf == good
	case "dkim":
		return slices.Contains(m.sigs, good)
	}
	return forwarder == "ip"
}

// vouches walks from the newest hop back to the first sealer that is not trusted,
// and looks for one that saw the author's domain pass.
func (c chain) vouches() bool {
	if c.broken || c.headless {
		return false
	}
	for _, h := range slices.Backward(c.hops) {
		if h.sealer != sealerDomain {
			return false
		}
		if sightings[h.saw].ofAuthor {
			return true
		}
	}
	return false
}

// slot is the action for what the From domain publishes.
func (m message) slot(w *wish) policy.Action {
	switch m.published {
	case "none":
		return w.slots.None
	case "quarantine":
		return w.slots.Quarantine
	case "reject":
		return w.slots.Reject
	case nothing:
		return w.slots.NoRecord
	}
	return w.slots.NoRecord // an enforced peer whose record was not found in all that time
}

// withoutRecord is what happens to mail whose From domain publishes no record.
func (m message) withoutRecord(w *wish, mayMatch bool) (policy.Action, policy.Reason) {
	switch {
	case w.noRecordWhen == policy.NoRecordAlways:
		return w.slots.NoRecord, policy.ReasonNoRecord
	case m.alignedPass() || mayMatch:
		return pass, policy.ReasonNoRecord
	case w.slots.NoRecord != pass && m.best().alignedPass(): // what is unfinished is no failure
		return m.leftOpen(w), policy.ReasonTemperror
	}
	return w.slots.NoRecord, policy.ReasonNoRecord
}

// leftOpen is what happens to mail that DNS trouble leaves open.
func (m message) leftOpen(w *wish) policy.Action {
	switch w.slots.Temperror {
	case policy.TemperrorQuarantine:
		return policy.Quarantine
	case policy.TemperrorDefer:
		return letGo(m, policy.Defer)
	case policy.TemperrorBypass:
		return pass
	}
	// By policy: what a failure would not stop, trouble does not stop either.
	switch {
	case m.published == unknown || m.slot(w) == pass:
		return pass
	case m.expired:
		return policy.Quarantine
	}
	return policy.Defer
}
