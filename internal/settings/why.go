package settings

import (
	"fmt"
	"net/netip"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// Sender is the subject of a query.
type Sender struct {
	From dns.Name   // of the From field, and of MAIL FROM
	IP   netip.Addr // of the client; zero if it is not named
	On   policy.Day // by which entries of lists have ended; 0: whatever has ended
}

// RuleMatch is the effect of one part of the rules on a sender.
type RuleMatch struct {
	Key   string
	Entry string // the entry that matches the sender, as written; "" if there is none
	// Origin is that of the entry, else of the key.
	Origin Origin
	Means  string
}

// RuleMatches returns, in the order of the rules, the lists that match the sender. It
// leaves out empty lists, and lists that are not reached.
func (t *EffectiveRules) RuleMatches(s Sender) []RuleMatch {
	out := t.sourceMatches(s)
	if t.Rules.SPF.Enabled {
		out = append(out, t.ignored(s)...)
	}
	if t.Rules.DKIM.Enabled && !t.Rules.DKIM.EnforcedPeers.Empty() {
		out = append(out, t.match(policy.RuleDKIMEnforcedPeers,
			func(r *policy.Rules) (bool, policy.Day) { return r.DKIM.EnforcedPeers.MatchOn(s.From, s.On) },
			"DKIM must verify a signature", s.From.String()))
	}
	return append(out, t.dmarcMatches(s)...)
}

// dmarcMatches are the matches below `dmarc`, up to the check that ends it.
func (t *EffectiveRules) dmarcMatches(s Sender) []RuleMatch {
	r := &t.Rules.DMARC
	if !r.Enabled {
		return []RuleMatch{{Key: policy.RuleEnabled, Origin: t.Origin(policy.RuleEnabled), Means: "DMARC is off: it does not run"}}
	}
	var out []RuleMatch
	if !r.Exceptions.Empty() {
		except := func(r *policy.Rules) (bool, policy.Day) { return r.DMARC.Exceptions.MatchOn(s.IP, s.On) }
		out = append(out, t.client(policy.RuleExceptions, s, except, "the client is an exception: DMARC does not run"))
		if excepted, _ := except(t.Rules); excepted {
			return out
		}
	}
	if !r.EnforcedPeers.Empty() {
		f := t.peer(s)
		if out = append(out, f); f.Entry != "" {
			return out
		}
	}
	const senders = policy.RuleSenders
	switch {
	case r.Senders.All && len(t.Entries(senders)) == 0:
		out = append(out, RuleMatch{Key: senders, Entry: "all", Origin: t.Origin(senders), Means: "DMARC is checked"})
	case r.Senders.Empty():
		return append(out, RuleMatch{Key: senders, Origin: t.Origin(senders), Means: "the list is empty: DMARC does not run"})
	default:
		verified := func(r *policy.Rules) (bool, policy.Day) { return r.DMARC.Senders.MatchOn(s.From, s.On) }
		f := t.match(senders, verified, "DMARC is checked", s.From.String())
		if out = append(out, f); f.Entry == "" {
			out[len(out)-1].Means += ": DMARC does not run"
			return out
		}
	}
	return append(out, t.forwarder(s)...)
}

// peer is the entry that makes the sender an enforced peer; the stricter decides.
func (t *EffectiveRules) peer(s Sender) RuleMatch {
	const key = policy.RuleEnforcedPeers
	require, _ := t.Rules.DMARC.EnforcedPeers.MatchOn(s.From, s.On)
	means := "an enforced peer: SPF and DKIM must both pass, and one of them align"
	if require == policy.RequireEither {
		means = "an enforced peer: SPF or DKIM must pass and align"
	}
	return t.match(key, func(r *policy.Rules) (bool, policy.Day) {
		found, ok := r.DMARC.EnforcedPeers.MatchOn(s.From, s.On)
		return ok && found == require, r.DMARC.EnforcedPeers.Ended(s.From, s.On)
	}, means, s.From.String())
}

// sourceMatches are the entries of sender_ip_match for the From domain.
func (t *EffectiveRules) sourceMatches(s Sender) []RuleMatch {
	const key = policy.RuleSenderIPMatch
	if len(t.Rules.SenderIPMatch) == 0 {
		return nil
	}
	var out []RuleMatch
	one := t.newSolo(key)
	for _, e := range t.Entries(key) {
		rules := one.rules(e)
		for _, m := range rules.SenderIPMatch {
			if !m.Domain.Match(s.From) {
				continue
			}
			means := fmt.Sprintf("the client is not in its networks: %s, unless another entry lets it", m.Action)
			switch {
			case !s.IP.IsValid():
				means = "whether it matches hangs on the client; name it with --ip"
			case m.Networks.Match(s.IP):
				means = "the client may send for it: no standalone SPF, and an aligned SPF pass for DMARC"
			}
			out = append(out, RuleMatch{Key: key, Entry: e.Text, Origin: t.originOf(key, e), Means: means})
		}
	}
	if out == nil {
		out = []RuleMatch{{Key: key, Origin: t.Origin(key), Means: "no entry for " + s.From.String()}}
	}
	return out
}

// ignored reports whether the sender bypasses the standalone SPF check.
func (t *EffectiveRules) ignored(s Sender) []RuleMatch {
	if t.Rules.SPF.Ignored.Domains.Empty() && t.Rules.SPF.Ignored.Nets.Empty() {
		return nil
	}
	return []RuleMatch{t.match(policy.RuleIgnoredPeers, func(r *policy.Rules) (bool, policy.Day) {
		return r.SPF.Ignored.Match(s.From, s.IP, s.On)
	}, "the standalone SPF check leaves it alone", s.String())}
}

// forwarder reports a trusted forwarder that is identified by its address. Others can be
// identified only by a message.
func (t *EffectiveRules) forwarder(s Sender) []RuleMatch {
	const key = policy.RuleTrustedForwarders
	if len(t.Rules.DMARC.TrustedForwarders) == 0 {
		return nil
	}
	return []RuleMatch{t.client(key, s, func(r *policy.Rules) (bool, policy.Day) {
		for _, f := range r.DMARC.TrustedForwarders {
			if f.IP.Match(s.IP) {
				return true, 0
			}
		}
		return false, 0
	}, "the client is a trusted forwarder: a failure is let through")}
}

// client is finding for a list that looks at the client's address.
func (t *EffectiveRules) client(key string, s Sender, match matcher, means string) RuleMatch {
	if !s.IP.IsValid() {
		return RuleMatch{Key: key, Origin: t.Origin(key), Means: "hangs on the client; name it with --ip"}
	}
	return t.match(key, match, means, s.IP.String())
}

// matcher reports whether a list of the rules matches a sender; if not, ended is the
// latest end of an entry that did, 0 for none.
type matcher func(r *policy.Rules) (ok bool, ended policy.Day)

// match looks for the first entry of a list that matches; match is called with rules that
// have one entry only. Whom describes the sender.
func (t *EffectiveRules) match(key string, match matcher, means, whom string) RuleMatch {
	one := t.newSolo(key)
	none := RuleMatch{Key: key, Origin: t.Origin(key), Means: "no entry for " + whom}
	for _, e := range t.Entries(key) {
		rules := one.rules(e)
		ok, ended := match(&rules)
		if ok {
			return RuleMatch{Key: key, Entry: e.Text, Origin: t.originOf(key, e), Means: means}
		}
		if ended != 0 {
			none.Origin = t.originOf(key, e)
			none.Means = fmt.Sprintf("no entry for %s: that for it ended on %s", whom, ended)
		}
	}
	return none
}

func (t *EffectiveRules) originOf(key string, e Entry) Origin {
	return Origin{At: e.At, Inherited: t.Origin(key).Inherited}
}

// String names the sender.
func (s Sender) String() string {
	if s.IP.IsValid() {
		return s.From.String() + " or " + s.IP.String()
	}
	return s.From.String()
}

// Prediction is what happens to the sender's mail with one result under one published
// policy.
type Prediction struct {
	Published Published
	Result    string // pass, fail or temperror
	Decision  policy.Decision
	Origin    Origin // of the key that decided
}

// Predict returns what happens to the sender's mail for every policy that its domain may
// publish and every result. Pass means that SPF and DKIM both pass for the From domain,
// fail that SPF fails and there is no signature, temperror that DNS trouble prevented
// both checks.
func (t *EffectiveRules) Predict(s Sender) []Prediction {
	results := []struct {
		name string
		spf  spf.Status
		dkim dkim.Status
	}{
		{"pass", spf.Pass, dkim.Pass},
		{"fail", spf.Fail, dkim.None},
		{"temperror", spf.TempError, dkim.TempError},
	}
	p := Policy{Default: t.Rules}
	var out []Prediction
	for _, published := range []Published{PublishedNone, PublishedQuarantine, PublishedReject, PublishedNoRecord} {
		for _, r := range results {
			from := message.Address{Local: "sender", Host: s.From.String(), Domain: s.From}
			d := p.decideOn(&Test{
				From: from, MailFrom: from, IP: s.IP, Policy: published,
				SPF: SPFCase{Result: r.spf}, DKIM: DKIMCase{Result: r.dkim},
			}, s.On)
			m := Prediction{Published: published, Result: r.name, Decision: d}
			if d.Rule != "" {
				m.Origin = t.Origin(d.Rule)
			}
			out = append(out, m)
		}
	}
	return out
}

// ClientMatches returns the daemon settings that apply to a client before any rules; none
// if there are none.
func (s *Settings) ClientMatches(ip netip.Addr) []RuleMatch {
	if !ip.IsValid() {
		return nil
	}
	at := Origin{At: Place{File: s.File}}
	for _, from := range s.ClientIPFrom {
		if from.Relay.Contains(ip) {
			return []RuleMatch{{
				Key: "client_ip_from", Entry: showPrefix(from.Relay), Origin: at,
				Means: "a relay: what counts is the client before it",
			}}
		}
	}
	if p, ok := s.TrustedNetworks.Find(ip); ok {
		return []RuleMatch{{
			Key: "trusted_networks", Entry: showPrefix(p), Origin: at,
			Means: "mail from there is not inbound: it is neither checked nor stamped, whatever stands below",
		}}
	}
	return nil
}
