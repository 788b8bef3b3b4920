package settings

import "dmarcd/internal/policy"

// checkRules looks at what the parts of one set of rules say together.
func checkRules(s *scope, r *policy.Rules) {
	if r.DMARC.Enabled || r.SPF.Enabled || r.DKIM.Enabled || len(r.SenderIPMatch) > 0 {
		return
	}
	s.warn("dmarc", "nothing is checked: dmarc, spf and dkim are off and sender_ip_match is empty")
}

// checkDMARC warns of what works as written but is hardly meant.
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
	for _, p := range r.Exceptions.Prefixes() {
		if p.Bits() == 0 {
			s.warn("exceptions", "%s is every address: DMARC never runs", p)
		}
	}
	checkSlots(s, r)
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
	if r.EnforcedPeers.Empty() {
		return
	}
	if r.EnforcedPeerAction == policy.PeerBypass || r.EnforcedPeerAction == policy.PeerSlot {
		s.warn("enforced_peer_action", "with %s, an enforced peer that fails is let through where its slot of actions is bypass", r.EnforcedPeerAction)
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
	a := r.Actions
	if r.Enabled && allBypass(a.Fail, a.Softfail, a.Neutral, a.None, a.Permerror, a.Temperror) && !r.XHeader {
		s.warn("actions", "every action is bypass and x_header is off: the check does nothing")
	}
}

// checkDKIM warns of a check that does nothing.
func checkDKIM(s *scope, r *policy.DKIMRules) {
	a := r.Actions
	if r.Enabled && allBypass(a.Fail, a.None, a.Temperror) && !r.XHeader {
		s.warn("actions", "every action is bypass and x_header is off: the check does nothing")
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
