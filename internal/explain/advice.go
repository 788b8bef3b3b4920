package explain

import (
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

// What a Command does.
const (
	doesList    = "list"
	doesRead    = "read"
	doesRelease = "release"
	doesDelete  = "delete"
)

// heldCommands are the commands for a held message on the MTA that holds it, or for both
// where that is not known.
func heldCommands(mta, id string) []Held {
	if !isQueueID(id) {
		id = "ID"
	}
	postfix := Held{MTA: mtaPostfix, Commands: []Command{
		{Does: doesList, Command: "postqueue -p"},
		{Does: doesRead, Command: "postcat -q " + id},
		{Does: doesRelease, Command: "postsuper -H " + id + " && postqueue -i " + id},
		{Does: doesDelete, Command: "postsuper -d " + id},
	}}
	sendmail := Held{MTA: mtaSendmail, Commands: []Command{
		{Does: doesList, Command: "mailq -qQ"},
		{Does: doesRead, Command: "cat /var/spool/mqueue/hf" + id + " /var/spool/mqueue/df" + id},
		{Does: doesRelease, Command: "sendmail -qQ -qI" + id + " -Q && sendmail -qI" + id},
		{Does: doesDelete, Command: "rm /var/spool/mqueue/hf" + id + " /var/spool/mqueue/df" + id},
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

// isQueueID reports whether an id is safe in a command: both MTAs use letters and digits
// only.
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

// hints are what the administrator can do about the decision, most useful first.
func (x *explainer) hints() []Hint {
	out := []Hint{}
	o := x.decisive()
	if o == nil {
		return out
	}
	if x.r.Hold != "" && !x.o.Offline && isQueueID(x.r.QueueID) {
		out = append(out, Hint{Text: x.say(hintRelease), Command: "dmarcd held release " + x.r.QueueID})
	}
	out = append(out, x.letThrough(o)...)
	out = append(out, x.intercept(o)...)
	return append(out, x.lookInto(o)...)
}

// decisive is the outcome that advice refers to: the one carried out, else the first that
// intercepts, else nil.
func (x *explainer) decisive() *memory.Outcome {
	if c := x.r.Chosen; c >= 0 && c < len(x.r.Outcomes) {
		return &x.r.Outcomes[c]
	}
	for i := range x.r.Outcomes {
		if x.r.Outcomes[i].Decision.Would != policy.Bypass {
			return &x.r.Outcomes[i]
		}
	}
	return nil
}

// letThrough says how to let such mail through if it was, or would have been,
// intercepted.
func (x *explainer) letThrough(o *memory.Outcome) []Hint {
	d := &o.Decision
	if d.Would == policy.Bypass || d.Would == policy.Defer {
		return nil
	}
	author := x.d.Author.String()
	switch d.Reason {
	case policy.ReasonSenderIP:
		return x.about(author, x.say(hintSenderIP, x.client(), author), policy.RuleSenderIPMatch)
	case policy.ReasonSPF:
		sender := x.v.SPF.Domain.String()
		return x.about(sender, x.say(hintIgnoredPeer, sender), "spf.ignored_peers: ["+sender+"]")
	case policy.ReasonMultipleFrom:
		return []Hint{{Text: x.say(hintMultipleFrom), Setting: "dmarc.multiple_from: bypass"}}
	case policy.ReasonPolicy:
		return append(x.vouchers(), x.exception()...)
	case policy.ReasonEnforcedPeer:
		var hints []Hint
		if x.d.SPFAligned || x.d.DKIMAligned {
			hints = x.about(author, x.say(hintEither, author), "dmarc.enforced_peers: [{domain: "+author+", require: either}]")
		}
		return append(hints, x.exception()...)
	case policy.ReasonNoRecord:
		var hints []Hint
		if x.v.SPF.Status == spf.Pass && x.v.SPFAlignment == dmarc.Aligned || x.alignedSignature() {
			hints = []Hint{{Text: x.say(hintNoRecord), Setting: "dmarc.no_record_when: unauthenticated"}}
		}
		return append(hints, x.exception()...)
	}
	return nil
}

// about makes a hint whose setting names a domain, if that needs no quoting in YAML.
func (x *explainer) about(name, hint, setting string) []Hint {
	if !isName(name) {
		return nil
	}
	return []Hint{{Text: hint, Setting: setting}}
}

// alignedSignature reports whether a signature verified that aligns.
func (x *explainer) alignedSignature() bool {
	i := x.v.Shown()
	return i >= 0 && x.v.DKIM[i].Status == dkim.Pass && i < len(x.v.DKIMAlignments) && x.v.DKIMAlignments[i] == dmarc.Aligned
}

// vouchers says who might vouch for a message that came through others.
func (x *explainer) vouchers() []Hint {
	var out []Hint
	if signer := x.otherSigner(); !signer.IsZero() {
		name := signer.String()
		out = x.about(name, x.say(hintForwarderDKIM, name), "dmarc.trusted_forwarders: [{dkim: "+name+"}]")
	}
	if s := &x.v.SPF; s.Status == spf.Pass && len(out) == 0 && !x.isAuthors(s.Domain) {
		name := s.Domain.String()
		out = x.about(name, x.say(hintForwarderSPF, name), "dmarc.trusted_forwarders: [{spf: "+name+"}]")
	}
	if hops := x.v.ARC.Hops; x.v.ARC.Status == arc.Pass && len(hops) > 0 {
		sealer := hops[len(hops)-1].SealDomain.String()
		out = append(out, x.about(sealer, x.say(hintSealer, sealer), "dmarc.arc.trusted_sealers: ["+sealer+"]")...)
	}
	return out
}

// otherSigner is the domain of a verified signature that is not the author's; zero if
// there is none.
func (x *explainer) otherSigner() dns.Name {
	for i := range x.v.DKIM {
		if s := &x.v.DKIM[i]; s.Status == dkim.Pass && !x.isAuthors(s.Domain) {
			return s.Domain
		}
	}
	return dns.Name{}
}

// isAuthors reports whether a domain belongs to the author's organization: it does
// not forward the author's mail, it sends it.
func (x *explainer) isAuthors(n dns.Name) bool {
	org := x.d.OrgDomain
	if org.IsZero() {
		org = x.d.Author
	}
	return n == org || n.IsBelow(org)
}

func (x *explainer) exception() []Hint {
	if !x.r.ClientIP.IsValid() {
		return nil
	}
	return []Hint{{Text: x.say(hintException), Setting: "dmarc.exceptions: [" + x.client() + "]"}}
}

// intercept says how to intercept mail that failed and was let through.
func (x *explainer) intercept(o *memory.Outcome) []Hint {
	d := &o.Decision
	if d.Would != policy.Bypass || d.Reason != policy.ReasonPolicy || d.Status != dmarc.Fail {
		return nil
	}
	author := x.d.Author.String()
	switch d.Rule {
	case policy.RuleActionNone:
		return x.about(author, x.say(hintEnforce, author), "dmarc.enforced_peers: ["+author+"]")
	case policy.RuleActionQuarantine, policy.RuleActionReject:
		return []Hint{{Text: x.say(hintAsPublished, author), Setting: d.Rule + ": " + string(x.d.Policy)}}
	}
	return nil
}

// lookInto names the command that shows which other rules match such a sender.
func (x *explainer) lookInto(o *memory.Outcome) []Hint {
	list, author := names(o.Domains), x.d.Author.String()
	if len(list) == 0 || !isName(list[0]) || !isName(author) {
		return nil
	}
	command := "dmarcd policy show " + list[0] + " --why " + author
	if x.r.ClientIP.IsValid() {
		command += " --ip " + x.r.ClientIP.String()
	}
	return []Hint{{Text: x.say(hintLookInto, list[0]), Command: command}}
}

// isName reports whether a domain name needs no quoting in a command.
func isName(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}
