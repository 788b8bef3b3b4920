package explain

import (
	"fmt"
	"strings"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// Programs that hold mail, as Held.MTA has them.
const (
	mtaPostfix  = "postfix"
	mtaSendmail = "sendmail"
)

// heldCommands are the commands for a held message on the MTA that it is held by,
// and on either where that is not known.
func heldCommands(mta, id string) []Held {
	if !isQueueID(id) {
		id = "ID"
	}
	postfix := Held{MTA: mtaPostfix, Commands: []Command{
		{Does: "list", Command: "postqueue -p"},
		{Does: "read", Command: "postcat -q " + id},
		{Does: "release", Command: "postsuper -H " + id + " && postqueue -i " + id},
		{Does: "delete", Command: "postsuper -d " + id},
	}}
	sendmail := Held{MTA: mtaSendmail, Commands: []Command{
		{Does: "list", Command: "mailq -qQ"},
		{Does: "read", Command: "cat /var/spool/mqueue/hf" + id + " /var/spool/mqueue/df" + id},
		{Does: "release", Command: "sendmail -qQ -qI" + id + " -Q && sendmail -qI" + id},
		{Does: "delete", Command: "rm /var/spool/mqueue/hf" + id + " /var/spool/mqueue/df" + id},
	}}
	switch kindOfMTA(mta) {
	case mtaPostfix:
		return []Held{postfix}
	case mtaSendmail:
		return []Held{sendmail}
	}
	return []Held{postfix, sendmail}
}

// kindOfMTA recognises an MTA by what it calls itself: Postfix by its name,
// Sendmail by its bare version.
func kindOfMTA(mta string) string {
	lower := strings.ToLower(mta)
	switch {
	case strings.Contains(lower, mtaPostfix):
		return mtaPostfix
	case strings.Contains(lower, mtaSendmail), strings.HasPrefix(lower, "8."):
		return mtaSendmail
	}
	return ""
}

// isQueueID reports whether an id may stand in a command: both MTAs use letters and
// digits only.
func isQueueID(id string) bool {
	const most = 64
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return id != "" && len(id) <= most
}

// hints are what the administrator may do about the decision, most useful first.
func (t *teller) hints() []Hint {
	out := []Hint{}
	o := t.decisive()
	if o == nil {
		return out
	}
	out = append(out, t.letThrough(o)...)
	out = append(out, t.intercept(o)...)
	return append(out, t.lookInto(o)...)
}

// decisive is the outcome that advice is about: the one carried out, else the first
// that intercepts, else nil.
func (t *teller) decisive() *memory.Outcome {
	if c := t.r.Chosen; c >= 0 && c < len(t.r.Outcomes) {
		return &t.r.Outcomes[c]
	}
	for i := range t.r.Outcomes {
		if t.r.Outcomes[i].Decision.Would != policy.Bypass {
			return &t.r.Outcomes[i]
		}
	}
	return nil
}

// letThrough says how to let such mail through that was, or would have been,
// intercepted.
func (t *teller) letThrough(o *memory.Outcome) []Hint {
	d := &o.Decision
	if d.Would == policy.Bypass || d.Would == policy.Defer {
		return nil
	}
	author := t.d.Author.String()
	switch d.Reason {
	case policy.ReasonSenderIP:
		return about(author, "to let %s send for %s, add its network there:", policy.RuleSenderIPMatch, t.client(), author)
	case policy.ReasonSPF:
		sender := t.v.SPF.Domain.String()
		return about(sender, "to take %s out of the standalone SPF check:", "spf.ignored_peers: [%s]", sender)
	case policy.ReasonMultipleFrom:
		return []Hint{{Text: "to let mail without a single From domain through:", Setting: "dmarc.multiple_from: bypass"}}
	case policy.ReasonPolicy:
		return append(t.vouchers(), t.exception()...)
	case policy.ReasonEnforcedPeer:
		var hints []Hint
		if t.d.SPFAligned || t.d.DKIMAligned {
			hints = about(author, "to ask for one aligned pass of %s only:", "dmarc.enforced_peers: [{domain: %s, require: either}]", author)
		}
		return append(hints, t.exception()...)
	case policy.ReasonNoRecord:
		var hints []Hint
		if t.v.SPF.Status == spf.Pass && t.v.SPFAlignment == dmarc.Aligned || t.alignedSignature() {
			hints = []Hint{{Text: "to let such mail through where SPF or DKIM passes for the From domain:", Setting: "dmarc.no_record_when: unauthenticated"}}
		}
		return append(hints, t.exception()...)
	}
	return nil
}

// about makes a hint whose setting names a domain, where that may stand in YAML as
// it is.
func about(name, text, setting string, args ...any) []Hint {
	if !isName(name) {
		return nil
	}
	return []Hint{{Text: fmt.Sprintf(text, args...), Setting: fmt.Sprintf(setting, args[:strings.Count(setting, "%")]...)}}
}

// alignedSignature reports whether a signature verified that aligns.
func (t *teller) alignedSignature() bool {
	i := t.v.Shown()
	return i >= 0 && t.v.DKIM[i].Status == dkim.Pass && i < len(t.v.DKIMAlignments) && t.v.DKIMAlignments[i] == dmarc.Aligned
}

// vouchers says by whom a message might be let through that came by way of others.
func (t *teller) vouchers() []Hint {
	var out []Hint
	for i := range t.v.DKIM {
		if s := &t.v.DKIM[i]; s.Status == dkim.Pass && !t.kin(s.Domain) {
			out = about(s.Domain.String(), "if %s forwards mail for you, trust what it signs:", "dmarc.trusted_forwarders: [{dkim: %s}]", s.Domain)
			break
		}
	}
	if s := &t.v.SPF; s.Status == spf.Pass && len(out) == 0 && !t.kin(s.Domain) {
		out = about(s.Domain.String(), "if %s forwards mail for you, trust what its hosts send:", "dmarc.trusted_forwarders: [{spf: %s}]", s.Domain)
	}
	if hops := t.v.ARC.Hops; t.v.ARC.Status == arc.Pass && len(hops) > 0 {
		sealer := hops[len(hops)-1].SealDomain
		out = append(out, about(sealer.String(), "if you trust what %s says it saw:", "dmarc.arc.trusted_sealers: [%s]", sealer)...)
	}
	return out
}

// kin reports whether a domain belongs to the author's organization: it does not
// forward the author's mail, it sends it.
func (t *teller) kin(n dns.Name) bool {
	org := t.d.OrgDomain
	if org.IsZero() {
		org = t.d.Author
	}
	return n == org || n.IsBelow(org)
}

func (t *teller) exception() []Hint {
	if !t.r.ClientIP.IsValid() {
		return nil
	}
	return []Hint{{Text: "to let all that this client sends through, whatever its From says:", Setting: "dmarc.exceptions: [" + t.client() + "]"}}
}

// intercept says how to intercept mail that failed and was let through.
func (t *teller) intercept(o *memory.Outcome) []Hint {
	d := &o.Decision
	if d.Would != policy.Bypass || d.Reason != policy.ReasonPolicy || d.Status != dmarc.Fail {
		return nil
	}
	switch d.Rule {
	case policy.RuleActionNone:
		return about(t.d.Author.String(), "to intercept such mail although %s does not ask for it:", "dmarc.enforced_peers: [%s]", t.d.Author)
	case policy.RuleActionQuarantine, policy.RuleActionReject:
		return []Hint{{Text: "to do what " + clean(t.d.Author.String(), maxShort) + " asks:", Setting: d.Rule + ": " + word(t.d.Policy)}}
	}
	return nil
}

// lookInto names the command that shows what else such a sender meets.
func (t *teller) lookInto(o *memory.Outcome) []Hint {
	list := names(o.Domains)
	if len(list) == 0 || t.d.Author.IsZero() || !isName(list[0]) || !isName(t.d.Author.String()) {
		return nil
	}
	command := fmt.Sprintf("dmarcd policy show %s --why %s", list[0], t.d.Author)
	if t.r.ClientIP.IsValid() {
		command += " --ip " + t.r.ClientIP.String()
	}
	return []Hint{{Text: "what mail from there meets at " + list[0] + ":", Command: command}}
}

// isName reports whether a domain name may stand in a command as it is.
func isName(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}
