package settings

import (
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// checkRules checks the parts of one set of rules against each other.
func checkRules(s *scope, r *policy.Rules) {
	if r.DMARC.Enabled || r.SPF.Enabled || r.DKIM.Enabled || len(r.SenderIPMatch) > 0 {
		return
	}
	s.warn("dmarc", "nothing is checked: dmarc, spf and dkim are off and sender_ip_match is empty")
}

// checkDMARC warns of rules that are valid but probably not intended.
func checkDMARC(s *scope, r *policy.DMARCRules) {
	if !r.Enabled {
		return
	}
	if r.Criteria == policy.CriteriaHES {
		s.warn("criteria", "hes lets a spoofer through who uses the From domain in MAIL FROM too, or in a forged HELO with a null sender, wherever SPF says softfail, neutral, none, permerror or temperror and the mail is unsigned; it refuses aligned mail whose other mechanism fails, such as forwarded mail with a good signature; rfc does neither")
	}
	if r.Senders.Empty() {
		s.warn("senders", "the list is empty, so DMARC runs for enforced peers alone")
	}
	s.warnWide("exceptions", &r.Exceptions, "DMARC never runs for their mail")
	checkSlots(s, r)
	checkPeers(s, r)
	if r.MultipleFrom == policy.Bypass {
		s.warn("multiple_from", "bypass lets any spoofer through who writes two From domains, or one that cannot be read")
	}
	if r.NoRecordWhen == policy.NoRecordUnauthenticated && r.Actions.NoRecord == policy.Bypass {
		s.warn("no_record_when", "actions.no_record is bypass, so that it makes no difference")
	}
	if r.ARC.Enabled && r.ARC.TrustedSealers.Empty() {
		s.warn("arc", "no sealer is trusted, so no chain overrides a failure")
	}
	if r.TagSigned && r.TagSubject == "" {
		s.warn("tag_signed", "there is no tag_subject to put before the Subject")
	}
}

// checkSlots warns of actions without teeth.
func checkSlots(s *scope, r *policy.DMARCRules) {
	switch a := r.Actions; {
	case a.Reject == policy.Bypass && a.Quarantine == policy.Bypass:
		s.warn("actions", "quarantine and reject are bypass: no published policy has an effect; to watch first, mode: monitor says what would be done")
	case a.Reject == policy.Bypass:
		s.warn("actions", "reject is bypass: mail that its domain asks to reject is let through")
	case a.Quarantine == policy.Bypass:
		s.warn("actions", "quarantine is bypass: mail that its domain asks to quarantine is let through")
	case severity(a.Reject) < severity(a.Quarantine):
		s.warn("actions", "reject is %s, milder than quarantine, which is %s", a.Reject, a.Quarantine)
	}
}

// checkPeers warns of enforced peers that fail without consequence, and of too many.
func checkPeers(s *scope, r *policy.DMARCRules) {
	if r.EnforcedPeers.Empty() {
		return
	}
	if require, all := r.EnforcedPeers.Match(dns.Name{}); all { // which only "*" matches
		must := "SPF and DKIM both pass"
		if require == policy.RequireEither {
			must = "one of SPF and DKIM passes and aligns"
		}
		s.warn("enforced_peers", "* makes every domain an enforced peer: mail passes only if %s, and never where its domain has no DMARC record", must)
	}
	if r.EnforcedPeerAction != policy.PeerBypass && r.EnforcedPeerAction != policy.PeerSlot {
		return
	}
	var mild []string
	slots := []struct {
		action policy.Action
		means  string
	}{
		{r.Actions.None, "p=none"}, {r.Actions.Quarantine, "p=quarantine"}, {r.Actions.Reject, "p=reject"}, {r.Actions.NoRecord, "no record"},
	}
	for _, slot := range slots {
		if slot.action == policy.Bypass {
			mild = append(mild, slot.means)
		}
	}
	switch len(mild) {
	case 0:
	case len(slots):
		s.warn("enforced_peer_action", "with %s, nothing becomes of an enforced peer that fails: every slot of actions is bypass", r.EnforcedPeerAction)
	default:
		s.warn("enforced_peer_action", "with %s, an enforced peer that fails is let through where it publishes %s: that slot of actions is bypass",
			r.EnforcedPeerAction, strings.Join(mild, " or "))
	}
}

// checkARC warns of a list of sealers without effect, or without limit.
func checkARC(s *scope, r *policy.ARCRules) {
	switch {
	case !r.Enabled && !s.has("enabled") && !r.TrustedSealers.Empty():
		s.warn("trusted_sealers", "no chain is looked at, because enabled is false")
	case r.Enabled && r.TrustedSealers.All:
		s.warn("trusted_sealers", "* trusts every sealer: anybody can have a failure overridden by a chain of his own")
	}
}

func severity(a policy.Action) int {
	switch a {
	case policy.Quarantine:
		return 1
	case policy.Reject:
		return 2
	}
	return 0
}

// checkSPF warns of a check that does nothing.
func checkSPF(s *scope, r *policy.SPFRules) {
	a, standard := r.Actions, defaultRules(policy.Enforce).SPF.Actions
	ignores := !r.Ignored.Domains.Empty() || !r.Ignored.Nets.Empty()
	switch {
	case !r.Enabled:
		s.warnOff(s.has("actions") && a != standard || s.has("x_header") && r.XHeader || s.has("ignored_peers") && ignores)
		return
	case allBypass(a.Fail, a.Softfail, a.Neutral, a.None, a.Permerror, a.Temperror) && !r.XHeader:
		s.warn("actions", "every action is bypass and x_header is off: the check does nothing")
	case r.Ignored.Domains.All:
		s.warn("ignored_peers", "* is every domain: the check does nothing")
	}
	s.warnWide("ignored_peers", &r.Ignored.Nets, "the check leaves their mail alone")
}

// checkDKIM warns of a check that does nothing.
func checkDKIM(s *scope, r *policy.DKIMRules) {
	a, standard := r.Actions, defaultRules(policy.Enforce).DKIM.Actions
	switch {
	case !r.Enabled:
		s.warnOff(s.has("actions") && a != standard || s.has("x_header") && r.XHeader || s.has("enforced_peers") && !r.EnforcedPeers.Empty())
	case allBypass(a.Fail, a.None, a.Temperror) && !r.XHeader:
		s.warn("actions", "every action is bypass and x_header is off: the check does nothing")
	case allBypass(a.Fail, a.None) && !r.EnforcedPeers.Empty():
		s.warn("enforced_peers", "actions.fail is bypass, so a peer without a signature is let through")
	}
}

// warnOff warns of a check that was configured but not enabled, unless the file says
// enabled: false.
func (s *scope) warnOff(setUp bool) {
	if setUp && !s.has("enabled") {
		s.d.warn(s.node, "what is set here has no effect, because enabled is false")
	}
}

func allBypass(actions ...policy.Action) bool {
	for _, a := range actions {
		if a != policy.Bypass {
			return false
		}
	}
	return true
}
