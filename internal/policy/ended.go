package policy

import "dmarcd/internal/dns"

// Ended is an entry of a list that matched such a message and was valid until the end of
// an earlier day. The zero Ended is none.
type Ended struct {
	Rule string // the list
	Day  Day    // the last on which it held
}

// ends reports whether an entry of some list ends. Most policies have none.
func (r *Rules) ends() bool {
	peers := &r.DMARC.EnforcedPeers
	return r.DMARC.Exceptions.ends || peers.both.ends || peers.either.ends ||
		r.SPF.Ignored.Domains.ends || r.SPF.Ignored.Nets.ends || r.DKIM.EnforcedPeers.ends
}

// ended is the first list, in the order of the rules, that would have judged the message
// otherwise while an entry of it was valid.
func (r *Rules) ended(v *Verdict, f Facts) Ended {
	on := f.day()
	if on == 0 || !r.ends() {
		return Ended{}
	}
	if r.SPF.Enabled {
		if _, day := r.SPF.Ignored.Match(v.SPF.Domain, f.ClientIP, on); day != 0 {
			return Ended{RuleIgnoredPeers, day}
		}
	}
	if r.DKIM.applies(f) && v.singleAuthor() {
		if _, day := r.DKIM.EnforcedPeers.MatchOn(v.DMARC.Author, on); day != 0 {
			return Ended{RuleDKIMEnforcedPeers, day}
		}
	}
	if !r.DMARC.Enabled {
		return Ended{}
	}
	excepted, day := r.DMARC.Exceptions.MatchOn(f.ClientIP, on)
	switch {
	case excepted:
		return Ended{}
	case day != 0:
		return Ended{RuleExceptions, day}
	}
	authors := v.Authors
	if v.singleAuthor() {
		authors = []dns.Name{v.DMARC.Author}
	}
	for _, author := range authors {
		day = max(day, r.DMARC.EnforcedPeers.Ended(author, on))
	}
	if day != 0 {
		return Ended{RuleEnforcedPeers, day}
	}
	return Ended{}
}
