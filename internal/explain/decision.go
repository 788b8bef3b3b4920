package explain

import (
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

func (x *explainer) message() Message {
	r := x.r
	m := Message{
		At: r.At, QueueID: r.QueueID, MessageID: r.MessageID, MTA: r.MTA, Helo: r.Helo, MailFrom: r.Sender,
		From: names(x.v.Authors), Rcpt: []string{}, Recipients: r.Recipients, Report: r.CarriesReport,
	}
	if r.NullSender {
		m.MailFrom = nullSender
	}
	if r.ClientIP.IsValid() {
		m.Client = r.ClientIP.String()
	}
	for i := range r.Outcomes {
		m.Rcpt = append(m.Rcpt, names(r.Outcomes[i].Domains)...)
	}
	return m
}

// nullSender is the null sender, as in the log.
const nullSender = "<>"

// decisions returns the decision of each set of recipient domains.
func (x *explainer) decisions() []Decision {
	out := make([]Decision, 0, len(x.r.Outcomes))
	for i := range x.r.Outcomes {
		o := &x.r.Outcomes[i]
		d := &o.Decision
		out = append(out, Decision{
			Domains: names(o.Domains), Action: string(d.Action), Would: string(d.Would), Mode: string(o.Mode), Criteria: string(o.Criteria),
			Result: string(d.Status), Reason: string(d.Reason), Rule: d.Rule, File: o.File, Line: o.Line, LineText: lineOf(x.o.Policy, o.File, o.Line),
			Enforced: d.Enforced, Override: d.Comment, Carried: i == x.r.Chosen, Text: x.because(o),
		})
		if d.Ended != (policy.Ended{}) {
			out[i].Ended = &Ended{Rule: d.Ended.Rule, Until: d.Ended.Day}
		}
	}
	return out
}

// lineOf is a line of a policy's text; "" where it is not known.
func lineOf(source policy.Source, file string, line int) string {
	for _, f := range source {
		if f.Name != file {
			continue
		}
		n := 0
		for text := range strings.Lines(f.Text) {
			if n++; n == line {
				return strings.TrimSpace(text)
			}
		}
	}
	return ""
}

// place names the rule that decided, for a sentence; "" if none did.
func (x *explainer) place(o *memory.Outcome) string {
	return x.o.Language.place(o.Decision.Rule, o.File, o.Line)
}

func (l Language) place(rule, file string, line int) string {
	switch {
	case rule == "":
		return ""
	case file == "":
		return l.say(builtInRule, rule)
	}
	return l.say(ruleAt, rule, file, line)
}

// because says why a recipient domain decided so.
func (x *explainer) because(o *memory.Outcome) string {
	why := x.reason(o)
	d := &o.Decision
	switch {
	case d.Enforced && !d.Standalone() && d.Reason != policy.ReasonEnforcedPeer:
		return x.say(whyPeerMore, why, x.d.Author)
	case d.Status != "" && d.Status != x.d.Status && !d.Enforced && !d.Standalone() && d.Reason != policy.ReasonSenderIP && d.Reason != policy.ReasonPass:
		return x.say(whyCriteria, why, d.Status, x.d.Status)
	}
	return why
}

// reason explains a reason for this message.
func (x *explainer) reason(o *memory.Outcome) string {
	d := &o.Decision
	author := x.d.Author
	switch d.Reason {
	case policy.ReasonPass:
		return x.whyPass()
	case policy.ReasonPolicy:
		return x.say(whyPolicy, author, x.published(), x.found())
	case policy.ReasonNoRecord, policy.ReasonMultipleFrom:
		return x.dmarcMeans()
	case policy.ReasonEnforcedPeer:
		return x.whyPeer(o)
	case policy.ReasonTemperror:
		return x.whyOpen()
	case policy.ReasonSenderIP:
		if d.Evaluated && d.Would == policy.Bypass {
			return x.say(whySenderIPPass, x.client(), author)
		}
		return x.say(whySenderIP, x.client(), author)
	case policy.ReasonSPF:
		return x.say(whySPF, x.v.SPF.Status, x.spfMeans())
	case policy.ReasonDKIM:
		return x.say(whyDKIM, x.signatures())
	case policy.ReasonForwarder:
		return x.say(whyForwarder, x.found())
	case policy.ReasonARC:
		return x.say(whyARC, x.found())
	}
	return x.notApplied(d.Reason)
}

// notApplied says why DMARC, or dmarcd, did not come to a verdict.
func (x *explainer) notApplied(r policy.Reason) string {
	switch r {
	case policy.ReasonDisabled:
		return x.say(whyDisabled)
	case policy.ReasonException:
		return x.say(whyException, x.client())
	case policy.ReasonNotListed:
		return x.say(whyNotListed, x.authors())
	case policy.ReasonNullSender:
		return x.say(whyNullSender)
	case policy.ReasonForged:
		return x.say(whyForged, x.r.Forged)
	case policy.ReasonTrusted:
		return x.say(whyTrusted)
	case policy.ReasonLogin:
		return x.say(whyLogin)
	case policy.ReasonNotOurs:
		return x.say(whyNotOurs)
	}
	return string(r)
}

func (x *explainer) authors() string {
	if list := names(x.v.Authors); len(list) > 0 {
		return x.listed(list)
	}
	return x.say(theFromDomain)
}

func (x *explainer) whyPass() string {
	if x.d.Status == dmarc.Pass {
		return x.say(whyPass, x.d.Author, x.passedBy())
	}
	return x.say(whyPassCriteria, x.d.Status, x.found())
}

func (x *explainer) whyPeer(o *memory.Outcome) string {
	switch {
	case x.d.Author.IsZero():
		return x.say(whyPeerFrom, x.dmarcMeans())
	case x.d.Record == nil:
		return x.say(whyPeerNoRecord, x.d.Author)
	case x.d.Status == dmarc.Pass: // one aligned pass was not enough
		return x.say(whyPeer, x.d.Author, x.found())
	}
	return x.say(whyPeerEither, x.d.Author, x.found())
}

// whyOpen says why the result is open, and what followed.
func (x *explainer) whyOpen() string {
	why := x.dmarcMeans()
	switch x.d.Status {
	case dmarc.None:
		why = x.say(whyOpenNone, why)
	case dmarc.TempError:
		if above := x.d.Inherited(); above != "" {
			why = x.say(whyOpenInherited, why, above)
		}
	default:
		why = x.say(whyOpenFound, x.found())
	}
	if x.r.DeferLapsed {
		return x.say(whyOpenLapsed, why)
	}
	return why
}

// published is the policy that applies, as the record has it.
func (x *explainer) published() string {
	d := x.d
	what := fmt.Sprintf("%s=%s", d.Source, d.Requested)
	if d.Source == "" {
		what = "p=" + string(d.Policy)
	}
	if d.PolicyDomain != d.Author && !d.PolicyDomain.IsZero() {
		what = x.say(whyPublishedAt, what, d.PolicyDomain)
	}
	if d.Policy != d.Requested {
		what = x.say(whyPublishedTest, what, d.Policy)
	}
	return what
}

// found sums SPF and DKIM up in a clause.
func (x *explainer) found() string { return x.say(foundBoth, x.spfFound(), x.signatures()) }

func (x *explainer) spfFound() string {
	s := &x.v.SPF
	switch {
	case s.Status == "":
		return x.say(spfUnchecked)
	case s.Domain.IsZero():
		return x.say(foundSPF, s.Status)
	case s.Status == spf.Pass && x.v.SPFAlignment == dmarc.Unaligned:
		return x.say(foundSPFUnalign, s.Domain)
	case s.Status == spf.Pass:
		return x.say(foundSPFPass, s.Domain)
	case s.Status == spf.Fail:
		return x.say(foundSPFFail, s.Domain)
	}
	return x.say(foundSPFFor, s.Status, s.Domain)
}

// signatures summarizes the signatures in a clause: those that align, else those that
// verified, else those that did not.
func (x *explainer) signatures() string {
	var aligned, passed, failed []string
	for i := range x.v.DKIM {
		s := &x.v.DKIM[i]
		who := s.Domain.String()
		if who == "" {
			who = x.say(unreadableDomain)
		}
		switch {
		case s.Status != dkim.Pass:
			failed = append(failed, who+" ("+string(s.Status)+")")
		case i < len(x.v.DKIMAlignments) && x.v.DKIMAlignments[i] == dmarc.Aligned:
			aligned = append(aligned, who)
		default:
			passed = append(passed, who)
		}
	}
	if n := x.v.Unchecked; n > 0 {
		failed = append(failed, x.say(foundUnchecked, n))
	}
	switch {
	case len(aligned) > 0:
		return x.say(foundSigned, x.listed(unique(aligned)))
	case len(passed) > 0:
		return x.say(foundUnaligned, x.listed(unique(passed)))
	case len(failed) > 0:
		return x.say(foundFailed, x.listed(unique(failed)))
	}
	return x.say(foundUnsigned)
}

func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mixed says how disagreeing recipient domains got one answer.
func (x *explainer) mixed() string {
	r := x.r
	if len(r.Outcomes) < 2 {
		return ""
	}
	if r.Decision.Reason == policy.ReasonConflict {
		return x.say(mixedConflict)
	}
	differs := func(o memory.Outcome) bool { return o.Decision.Action != r.Outcomes[0].Decision.Action }
	if r.Chosen < 0 || !slices.ContainsFunc(r.Outcomes, differs) {
		return ""
	}
	return x.say(mixedChosen, r.Mixed)
}

func reply(r *policy.Reply) string {
	if r.Code == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text))
}
