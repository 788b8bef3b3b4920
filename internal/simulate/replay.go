package simulate

import (
	"slices"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// party is one recipient domain of a message.
type party struct {
	domain  dns.Name
	outcome int // what was decided for it
	group   int // index of its new rules; -1 where it is no longer ours
}

// unknown counts what a replay cannot know.
type unknown struct {
	arc, arcChanged int64 // fails, and ARC would count, but was not validated
	deferred        int64 // would be deferred, and was not
	split           int64 // would be split at RCPT
	discovery       int64 // the policy record was found in the other way
}

// Add replays one message. It keeps nothing of it but texts.
func (r *Replay) Add(rec *memory.Record) {
	r.sort(rec)
	if len(r.parties) == 0 {
		return
	}
	r.messages++
	if psl := rec.PSL; psl != r.opts.PSL && rec.Verdict.DMARC.Record != nil {
		r.unknown.discovery++
	}
	r.decisions = policy.DecideEach(r.decisions[:0], &rec.Verdict, rec.Facts(), r.rules, rec.ForgedKept)
	s := r.combine(rec)
	if s.split {
		r.unknown.split++
	}
	change := r.compare(rec, s)
	if r.unsealed(rec) {
		r.unknown.arc++
		if change == acted {
			r.unknown.arcChanged++
		}
	}
	switch change {
	case acted:
		r.changed++
	case watched:
		r.watched++
	}
}

// sort groups the recipient domains by their new rules. There is no group where the
// message does not concern the requested domain.
func (r *Replay) sort(rec *memory.Record) {
	r.rules, r.parties = r.rules[:0], r.parties[:0]
	wanted := r.opts.Domain.IsZero()
	file := func(domain dns.Name, outcome int) {
		wanted = wanted || domain == r.opts.Domain
		p := party{domain: domain, outcome: outcome, group: -1}
		if rules, ours := r.rulesFor(domain); ours {
			if p.group = slices.Index(r.rules, rules); p.group < 0 {
				p.group = len(r.rules)
				r.rules = append(r.rules, rules)
			}
		}
		r.parties = append(r.parties, p)
	}
	for i := range rec.Outcomes {
		domains := rec.Outcomes[i].Domains
		if len(domains) == 0 {
			file(dns.Name{}, i)
		}
		for _, domain := range domains {
			file(domain, i)
		}
	}
	if !wanted {
		r.parties = r.parties[:0]
	}
}

// rulesFor returns the new rules for a domain. A recipient without one is ours, as
// "<postmaster>" is.
func (r *Replay) rulesFor(domain dns.Name) (rules *policy.Rules, ours bool) {
	rules, ours = r.opts.New.RulesFor(domain)
	return rules, ours || domain.IsZero()
}

// combined is the new treatment of a message.
type combined struct {
	whole  policy.Decision // for all of it
	chosen *policy.Rules   // the rules that decided; nil if none did
	split  bool            // each set of rules would have got a message of its own
}

// combine takes the decisions together as the filter does.
func (r *Replay) combine(rec *memory.Record) combined {
	if len(r.rules) == 0 {
		return combined{whole: policy.Decision{Action: policy.Bypass, Would: policy.Bypass, Reason: policy.ReasonNotOurs, Rule: policy.RuleManaged}}
	}
	if len(r.rules) > 1 && r.opts.New.MixedRecipients == settings.Separate {
		return combined{whole: r.decisions[0], chosen: r.rules[0], split: true}
	}
	r.effects = policy.Effects(r.effects[:0], r.decisions, &rec.Verdict, rec.Facts(), r.rules)
	d, chosen := policy.Combine(r.decisions, r.effects, r.rules, r.choose)
	if chosen < 0 {
		return combined{whole: d}
	}
	return combined{whole: d, chosen: r.rules[chosen]}
}

// after is the new disposition of the message for one recipient domain. Recipients that
// are not ours go with the others, or with the first of messages that are split.
func (r *Replay) after(p party, s combined) disposition {
	whole, chosen := s.whole, s.chosen
	own, mode := s.whole, policy.Enforce
	if p.group >= 0 {
		own, mode = r.decisions[p.group], r.rules[p.group].Mode
		if s.split {
			whole, chosen = own, r.rules[p.group]
		}
	}
	f := dispositionOf(whole, own, mode)
	if chosen != nil {
		f.quarantined(chosen)
	}
	return f
}

// kind is how much changes.
type kind int

const (
	same    kind = iota
	watched      // only what mode monitor would do
	acted        // the action
)

// compare counts the change for each recipient domain, and for the message, which counts
// with the first of its greatest changes.
func (r *Replay) compare(rec *memory.Record, s combined) kind {
	most, deferred := same, false
	var shown change
	r.seen = r.seen[:0]
	for _, p := range r.parties {
		if !r.opts.Domain.IsZero() && p.domain != r.opts.Domain {
			continue
		}
		o := &rec.Outcomes[p.outcome]
		c := change{domain: p.domain, was: before(rec, o), is: r.after(p, s)}
		k := c.kind()
		if k == same {
			continue
		}
		c.is.blameMode(c.was)
		if c.is.Rule != "" && c.is.Reason != policy.ReasonNotOurs {
			c.is.place(r.opts.New.RulePlace(p.domain, c.is.Rule))
		}
		deferred = deferred || c.is.Action == policy.Defer && c.was.Action != policy.Defer && c.is.Reason != policy.ReasonConflict
		r.domains.add(rec, &c, k)
		if k > most {
			most, shown = k, c
		}
	}
	if deferred {
		r.unknown.deferred++
	}
	if most != same {
		r.authors.add(authorOf(rec), rec, &shown)
		r.sources.add(networkOf(rec.ClientIP), rec, &shown)
	}
	return most
}

// unsealed reports whether a trusted sealer might let the message through, but ARC was
// not validated.
func (r *Replay) unsealed(rec *memory.Record) bool {
	if rec.Verdict.ARC.Status != "" {
		return false
	}
	for i := range r.decisions {
		d, arc := &r.decisions[i], &r.rules[i].DMARC.ARC
		if arc.Enabled && !arc.TrustedSealers.Empty() && d.Evaluated && !d.Enforced && d.Would != policy.Bypass &&
			d.Status != dmarc.Pass && d.Reason != policy.ReasonMultipleFrom {
			return true
		}
	}
	return false
}

// change is the change for one recipient domain of one message.
type change struct {
	domain  dns.Name
	was, is disposition
}

func (c *change) kind() kind {
	switch {
	case c.was.carriedOut() != c.is.carriedOut():
		return acted
	case c.was.Would != c.is.Would:
		return watched
	}
	return same
}
