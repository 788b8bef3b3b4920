package policy

// Rule keys: the keys of the policy file that can decide, as Decision.Rule has them,
// relative to the domain's entry; RuleDeferLimit, RuleMixedRecipients and RuleManaged are
// top-level keys.
const (
	RuleEnabled            = "dmarc.enabled"
	RuleSenders            = "dmarc.senders"
	RuleExceptions         = "dmarc.exceptions"
	RuleEnforcedPeers      = "dmarc.enforced_peers"
	RuleEnforcedPeerAction = "dmarc.enforced_peer_action"
	RuleSkipNullSender     = "dmarc.skip_null_sender"
	RuleActionNone         = "dmarc.actions.none"
	RuleActionQuarantine   = "dmarc.actions.quarantine"
	RuleActionReject       = "dmarc.actions.reject"
	RuleActionNoRecord     = "dmarc.actions.no_record"
	RuleActionTemperror    = "dmarc.actions.temperror"
	RuleNoRecordWhen       = "dmarc.no_record_when"
	RuleMultipleFrom       = "dmarc.multiple_from"
	RuleTrustedSealers     = "dmarc.arc.trusted_sealers"
	RuleTrustedForwarders  = "dmarc.trusted_forwarders"
	RuleSenderIPMatch      = "sender_ip_match"
	RuleSPFActions         = "spf.actions." // and the result
	RuleIgnoredPeers       = "spf.ignored_peers"
	RuleDKIMActionFail     = "dkim.actions.fail"
	RuleDKIMActionNone     = "dkim.actions.none"
	RuleDKIMActionTemp     = "dkim.actions.temperror"
	RuleDKIMEnforcedPeers  = "dkim.enforced_peers"
	RuleDeferLimit         = "defer_limit"
	RuleMixedRecipients    = "mixed_recipients"
	RuleManaged            = "managed"
)
