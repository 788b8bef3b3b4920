package filter

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Transaction is one message on its way through. Its methods are called in the
// order of SMTP, from one goroutine.
type Transaction struct {
	filter   *Filter
	settings *settings.Settings
	shared   *prepared
	env      message.Envelope
	ctx      context.Context
	bypassed policy.Reason            // why the message is not judged; "" if it is inbound
	peer     netip.Addr               // who handed the mail over: the client, or the relay before us
	relay    *settings.ClientIPSource // where the true client is recorded; nil where it is the peer

	rcpts     recipients
	effects   [1]policy.Effect // storage for the usual single effect
	collector collector
	lookups   lookups
	forged    *authres.Finder

	spf        *spfCheck
	author     message.Author
	wholeWalk  bool
	useARC     bool   // a recipient domain uses ARC
	recovered  bool   // the true client was found behind a relay
	relayField string // the field of a relay that could not be read; "" for none
	discovery  *dmarc.Discovery
	verifier   *dkim.Verifier
	arc        *arc.Verifier      // nil where no recipient domain uses it or there is no chain
	cancel     context.CancelFunc // ends the lookups that the header started
}

// spfCheck is the SPF check under way. The fields but done are to be read once
// done is closed.
type spfCheck struct {
	done    chan struct{}
	cancel  context.CancelFunc
	checker spf.Checker
	result  spf.Result
	panic   any
	stack   []byte
}

// startSPF begins the SPF check: its input is complete at MAIL. The lookups for the
// header get a new budget, since minutes of SMTP may pass in between; at end of message
// the MTA still waits for one budget at most.
func (t *Transaction) startSPF() {
	ctx, cancel := context.WithTimeout(t.ctx, t.settings.Resolver.Budget)
	c := &spfCheck{done: make(chan struct{}), cancel: cancel, checker: t.shared.spf}
	c.checker.Resolver = &t.lookups
	t.spf = c
	request := spf.Request{IP: t.env.ClientIP, Helo: t.env.Helo, Local: t.env.MailFrom.Local, Host: t.env.MailFrom.Host}
	go func() {
		defer close(c.done)
		defer func() {
			if c.panic = recover(); c.panic != nil {
				c.stack = debug.Stack()
			}
		}()
		c.result = c.checker.Check(ctx, request)
	}()
}

// wait returns the result. A panic in the check is carried to the caller, where it costs
// this message its verdict and not everyone the daemon.
func (c *spfCheck) wait() spf.Result {
	<-c.done
	c.cancel()
	if c.panic != nil {
		panic(fmt.Sprintf("filter: spf: %v\n%s", c.panic, c.stack))
	}
	return c.result
}

// Header takes one field in the order of the message; value is the text after the colon,
// folds as CRLF, without the last CRLF. The slice is copied.
func (t *Transaction) Header(name string, value []byte) {
	if t.bypassed != "" {
		return
	}
	t.forged.Add(name, value)
	t.collector.add(name, value)
}

// EndOfHeader starts the tree walk and the key lookups.
func (t *Transaction) EndOfHeader() {
	if t.bypassed == "" && t.relay != nil {
		t.recoverClient()
	}
	if t.bypassed == "" && len(t.rcpts.groups) == 0 {
		t.bypassed = policy.ReasonNotOurs
	}
	if t.bypassed != "" {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.settings.Resolver.Budget)
	t.cancel = cancel
	h := &t.collector.header
	t.author = message.ParseAuthor(h)
	t.verifier = dkim.NewVerifier(ctx, &t.lookups, h, dkim.Options{
		MaxSignatures: t.settings.Limits.Signatures,
		MinRSABits:    t.settings.Limits.RSABitsMin,
		MaxRSABits:    t.settings.Limits.RSABitsMax,
		Prefer:        t.author.Domain,
		Now:           t.filter.now(),
	})
	if t.useARC = t.wantsARC(); t.useARC {
		t.arc = arc.NewVerifier(ctx, &t.lookups, h, arc.Options{
			MinRSABits: t.settings.Limits.RSABitsMin, MaxRSABits: t.settings.Limits.RSABitsMax, Now: t.filter.now(),
		})
	}
	if !t.author.Domain.IsZero() {
		t.lookups.reserve(t.author.Domain)
		discoverer := t.shared.discoverer
		discoverer.Resolver = &t.lookups
		t.discovery = discoverer.Begin(ctx, t.author.Domain, t.candidates()...)
	}
}

// recoverClient puts the true client behind a trusted relay into the envelope. If it
// cannot be read, there is no address, and SPF has nothing to check.
func (t *Transaction) recoverClient() {
	c := ReadTrueClient(t.settings, &t.collector.header, t.relay)
	t.env.ClientIP, t.env.Helo = c.Addr, c.Helo
	t.relayField = c.Field
	t.recovered = c.Addr.IsValid() || c.Login
	switch {
	case c.Login && t.settings.SkipAuthenticated:
		t.bypassed = policy.ReasonLogin
	case t.recovered:
		t.bypassed = bypassReason(t.settings, &t.env)
	}
	if t.bypassed == "" && len(t.rcpts.groups) > 0 {
		t.startSPF()
	}
}

// noteClient counts whether the true client was found, and warns where an admin should
// look at the settings.
func (t *Transaction) noteClient(out *Result) {
	now := t.filter.now()
	switch {
	case t.relay != nil:
		out.Unrecovered = !t.recovered
		if t.filter.relays.count(t.relay.Relay, t.recovered, now) {
			out.Warnings = append(out.Warnings, Warning{Kind: WarnRelay, Client: t.peer, Network: t.relay.Relay, Field: t.relayField})
		}
	case t.bypassed == "" && isPrivate(t.peer) && t.filter.relays.warnPrivate(now):
		out.Warnings = append(out.Warnings, Warning{Kind: WarnPrivate, Client: t.peer})
	}
}

// ShowWholeWalk makes the verdict hold the whole tree walk, even where the result does
// not depend on it: for people who examine one message.
func (t *Transaction) ShowWholeWalk() { t.wholeWalk = true }

// candidates are the domains that may align, so that their tree walks can run
// beside the author's.
func (t *Transaction) candidates() []dns.Name {
	names := make([]dns.Name, 0, 1+t.settings.Limits.Signatures)
	if d := t.spfDomain(); !d.IsZero() {
		names = append(names, d)
	}
	return append(names, t.verifier.Domains()...)
}

// spfDomain is the identity that SPF checks (RFC 7208 section 2.4), as far as
// it is a name.
func (t *Transaction) spfDomain() dns.Name {
	if !t.env.NullSender() {
		return t.env.MailFrom.Domain
	}
	helo, err := dns.Parse(t.env.Helo)
	if err != nil {
		return dns.Name{}
	}
	return helo
}

// Body takes part of the body and returns false when it needs no more.
func (t *Transaction) Body(chunk []byte) (more bool) {
	if !t.needsBody() {
		return false
	}
	_, _ = t.verifier.Write(chunk) // never fails: a bad body is a result
	_, _ = t.arc.Write(chunk)
	return t.needsBody()
}

func (t *Transaction) needsBody() bool {
	return t.verifier != nil && (t.verifier.NeedsBody() || t.arc.NeedsBody())
}

// wantsARC reports whether a recipient domain has ARC validated.
func (t *Transaction) wantsARC() bool {
	for _, g := range t.rcpts.groups {
		if g.rules.DMARC.Enabled && g.rules.DMARC.ARC.Enabled {
			return true
		}
	}
	return false
}

// Abort ends the transaction without a result and stops its lookups. After EndOfMessage
// it does nothing.
func (t *Transaction) Abort() {
	t.lookups.close()
	if t.spf != nil {
		t.spf.cancel()
	}
	if t.cancel == nil {
		return
	}
	t.cancel()
	t.verifier.Close()
	t.arc.Close()
	if t.discovery != nil {
		t.discovery.Close()
	}
}

// EndOfMessage combines the results and decides what to do. It waits for pending lookups,
// at most for the resolver's budget.
func (t *Transaction) EndOfMessage(queueID string) Result {
	defer t.Abort()
	if queueID != "" {
		t.env.QueueID = queueID
	}
	out := Result{Envelope: t.env, Bypassed: t.bypassed, Chosen: -1}
	t.noteClient(&out)
	if t.bypassed != "" {
		out.Decision = policy.Decision{Action: policy.Bypass, Would: policy.Bypass, Reason: t.bypassed}
		if t.bypassed == policy.ReasonNotOurs {
			t.filter.unmanaged.Add(int64(len(t.env.Rcpts)))
			// The mail is passed on unchanged, except for fields that claim to be ours.
			t.removeForged(&out)
		}
		return out
	}
	out.MessageID = t.messageID()
	out.Verdict = t.verdict()
	t.decide(&out)
	t.edits(&out)
	out.Header = &t.collector.header
	out.PSL = t.settings.Discovery == settings.DiscoveryPSL && out.Verdict.DMARC.Record != nil
	out.lookups, out.lookupsCut = t.lookups.close()
	return out
}

// verdict waits for SPF, DKIM and DMARC and puts them together.
func (t *Transaction) verdict() policy.Verdict {
	v := policy.Verdict{SPF: t.spf.wait(), DKIM: t.verifier.Results(), Authors: t.author.Domains}
	if t.collector.header.CutNames[cutSignature] > 0 {
		// One result represents all of them: there are signatures, and none was checked.
		v.DKIM = append(v.DKIM, dkim.Result{Status: dkim.Policy, Err: dkim.ErrHeaderCut})
	}
	if t.useARC {
		v.ARC = t.arc.Result()
	}
	if t.discovery == nil {
		v.DMARC = dmarc.NoAuthor(t.author.Err)
		return v
	}
	ids := make([]dmarc.Identifier, 0, 1+len(v.DKIM))
	ids = append(ids, dmarc.Identifier{Method: dmarc.SPF, Domain: v.SPF.Domain, State: spfState(v.SPF.Status)})
	for i := range v.DKIM {
		ids = append(ids, dmarc.Identifier{Method: dmarc.DKIM, Domain: v.DKIM[i].Domain, State: dkimState(v.DKIM[i].Status)})
	}
	if t.wholeWalk {
		t.discovery.Wait()
	}
	v.DMARC = t.discovery.Evaluate(ids)
	v.SPFAlignment, v.DKIMAlignments = v.DMARC.Alignments[0], v.DMARC.Alignments[1:]
	return v
}

func spfState(s spf.Status) dmarc.State {
	switch s {
	case spf.Pass:
		return dmarc.Passed
	case spf.TempError:
		return dmarc.Undecided
	}
	return dmarc.NotPassed
}

func dkimState(s dkim.Status) dmarc.State {
	switch s {
	case dkim.Pass:
		return dmarc.Passed
	case dkim.TempError:
		return dmarc.Undecided
	}
	return dmarc.NotPassed
}

// decide applies the rules of each recipient domain and makes one answer.
func (t *Transaction) decide(out *Result) {
	facts := policy.Facts{ClientIP: t.env.ClientIP, NullSender: t.env.NullSender(), QueueID: t.env.QueueID, Received: t.env.Received}
	rules := t.rules()
	facts.Sealed = t.sealed(rules)
	decisions := t.decideAll(&out.Verdict, facts, rules)
	if t.deferExpired(decisions) {
		facts.DeferExpired, out.DeferLapsed = true, true
		decisions = t.decideAll(&out.Verdict, facts, rules)
	}
	for i, g := range t.rcpts.groups {
		out.Domains = append(out.Domains, DomainDecision{Domains: g.domains, Rules: g.rules, Decision: decisions[i]})
	}
	effects := policy.Effects(t.effects[:0], decisions, &out.Verdict, facts, rules)
	out.Decision, out.Chosen = policy.Combine(decisions, effects, rules, t.choose())
	out.reportedIndex = policy.Reported(decisions, rules, out.Chosen)
	if out.Chosen < 0 {
		t.filter.conflicts.remember(t.from(), t.rcpts.ours, effects, t.filter.now())
		return
	}
	out.Rules, out.tag = rules[out.Chosen], effects[out.Chosen].Tag
}

// choose picks one of several decisions that conflict; nil to defer the message.
func (t *Transaction) choose() func([]policy.Effect) int {
	switch t.settings.Policy.MixedRecipients {
	case settings.Mildest:
		return policy.Mildest
	case settings.Strictest:
		return policy.Strictest
	}
	return nil
}

// rules are the distinct rules of the recipients.
func (t *Transaction) rules() []*policy.Rules {
	rules := make([]*policy.Rules, len(t.rcpts.groups))
	for i, g := range t.rcpts.groups {
		rules[i] = g.rules
	}
	return rules
}

// decideAll decides for each set of rules among the recipients.
func (t *Transaction) decideAll(v *policy.Verdict, facts policy.Facts, rules []*policy.Rules) []policy.Decision {
	return policy.DecideEach(make([]policy.Decision, 0, len(rules)), v, facts, rules, t.forged.Depth() > policy.MaxForgedDepth)
}

// deferExpired reports whether DNS trouble has deferred this envelope for as long as
// allowed. It remembers a deferral. Other mail of the same envelope that passes does not
// reset it.
func (t *Transaction) deferExpired(decisions []policy.Decision) bool {
	now := t.filter.now()
	for _, d := range decisions {
		if d.Action == policy.Defer {
			since := t.filter.deferred.remember(t.from(), t.rcpts.ours, now)
			return now.Sub(since) >= t.settings.Policy.DeferLimit
		}
	}
	return false
}

func (t *Transaction) messageID() string {
	f, ok := t.collector.header.First("Message-ID")
	if !ok {
		return ""
	}
	return memory.MessageID(string(f.Value()))
}
