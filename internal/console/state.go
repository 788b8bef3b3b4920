package console

// mark is the presentation of a state: by colour, shape and word.
type mark struct {
	Kind string // of colour: ok, bad, none, held, stop, wait
	Icon string // shape
	Word string
}

// stateOf returns the mark of a word of the operations; an unknown word is shown unchanged.
func stateOf(lang language, word string) mark {
	kind, says := "none", word
	switch word {
	case "pass", "in_effect", "authenticated", "sent", "stored", "compliant", "ok", "yes", "published", "aligned", "authorised", "active":
		kind = "ok"
	case "fail", "softfail", "permerror", "broken", "failed", "missing", "refused", "expired", "unaligned", "fault", "no", "differs", "other_name", "non-compliant", "invalid":
		kind = "bad"
	case "quarantine", "held", "not_yet", "warning", "queued", "unconfirmed", "forwarder":
		kind = "held"
	case "reject", "discard", "suppressed":
		kind = "stop"
	case "temperror", "defer", "unknown":
		kind = "wait"
	}
	if en, ok := stateWords[word]; ok {
		says = say(lang, en)
	}
	return mark{Kind: kind, Icon: kind, Word: says}
}

// stateWords are the words of states that are not shown unchanged.
var stateWords = map[string]string{
	"bypass":        "Accepted",
	"quarantine":    "Quarantine",
	"reject":        "Reject",
	"defer":         "Defer",
	"discard":       "Discard",
	"held":          "Held",
	"compliant":     "Compliant",
	"non-compliant": "Non-compliant",
	"in_effect":     "In effect",
	"not_yet":       "Not yet",
	"missing":       "Missing",
	"broken":        "Broken",
	"unknown":       "Could not check",
	"stored":        "Stored",
	"empty":         "Empty",
	"duplicate":     "Duplicate",
	"differs":       "Differs",
	"replaced":      "Replaced",
	"aside":         "Set aside",
	"refused":       "Cannot be read",
	"authenticated": "Authenticated",
	"admin":         "Given by an admin",
	"not_known":     "Not known",
	"other_name":    "Under another name",
	"failed":        "Failed",
	"sent":          "Sent",
	"queued":        "Queued",
	"unconfirmed":   "Unconfirmed",
	"expired":       "Expired",
	"suppressed":    "Suppressed",
	"unverified":    "Unverified",
	"capped":        "Capped",
	"authorised":    "Authorised",
	"forwarder":     "Forwarder",
	"ignore":        "Ignore",
	"aligned":       "aligned",
	"unaligned":     "not aligned",
	"yes":           "Stored",
	"no":            "Cannot be read",
	"ok":            "OK",
	"warning":       "Look",
	"fault":         "Fault",
	"published":     "Published",
	"legitimate":    "own or authorised",
	"forwarded":     "forwarded",
	"unclear":       "unclear",
	"forged":        "forged",
	"ignored":       "ignored",
	"mended":        "mended",
	"certain":       "certain",
	"high":          "high",
	"medium":        "medium",
	"low":           "low",
}

// reasonOf returns the reason for an action in words.
func reasonOf(lang language, reason string) string {
	if en, ok := reasonWords[reason]; ok {
		return say(lang, en)
	}
	return reason
}

// reasonWords are the reasons of decisions.
var reasonWords = map[string]string{
	"pass":              "passed",
	"sender_ip_match":   "sender IP match",
	"spf":               "SPF by itself",
	"dkim":              "DKIM by itself",
	"trusted_forwarder": "trusted forwarder",
	"arc":               "trusted ARC seal",
	"published_policy":  "published policy",
	"no_record":         "no DMARC record",
	"enforced_peer":     "enforced peer failed",
	"temperror":         "DNS trouble",
	"multiple_from":     "no single author",
	"disabled":          "DMARC is off",
	"exception":         "exception",
	"sender_not_listed": "sender not listed",
	"null_sender":       "null sender",
	"trusted_network":   "trusted network",
	"authenticated":     "logged in",
	"not_ours":          "not our recipient",
	"mixed_recipients":  "recipients disagree",
	"forged_fields":     "too many forged fields",
}
