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

// teller tells one record.
type teller struct {
	r *memory.Record
	v *policy.Verdict
	d *dmarc.Result
	o Options
}

func (t *teller) message() Message {
	r := t.r
	m := Message{
		At: r.At, QueueID: clean(r.QueueID, maxShort), MessageID: clean(r.MessageID, maxShort), MTA: clean(r.MTA, maxShort),
		Helo: clean(r.Helo, maxShort), Sender: clean(r.Sender, maxShort), NullSender: r.NullSender,
		EnvelopeFrom: clean(r.EnvelopeFrom.String(), maxShort), From: names(t.v.Authors), Domains: []string{}, Report: r.CarriesReport,
	}
	if r.ClientIP.IsValid() {
		m.ClientIP = r.ClientIP.String()
	}
	if len(r.Recipients) > 0 {
		m.Recipients = cleanAll(r.Recipients, maxShort)
	}
	for i := range r.Outcomes {
		m.Domains = append(m.Domains, names(r.Outcomes[i].Domains)...)
	}
	m.Domains = cleanAll(m.Domains, maxShort)
	return m
}

// domains tells what each set of recipient domains decided.
func (t *teller) domains() []Domains {
	out := make([]Domains, 0, len(t.r.Outcomes))
	for i := range t.r.Outcomes {
		o := &t.r.Outcomes[i]
		d := &o.Decision
		out = append(out, Domains{
			Domains: cleanAll(names(o.Domains), maxShort), Action: word(d.Action), Would: word(d.Would), Mode: word(o.Mode), Criteria: word(o.Criteria),
			Result: word(d.Status), Reason: word(d.Reason), Rule: word(d.Rule), File: clean(o.File, maxShort), Line: o.Line,
			Enforced: d.Enforced, Override: clean(d.Comment, maxField), CarriedIt: i == t.r.Chosen, Text: t.because(o),
		})
	}
	return out
}

// place names the rule that decided, for a sentence; "" if none did.
func place(o *memory.Outcome) string {
	rule := o.Decision.Rule
	switch {
	case rule == "":
		return ""
	case o.File == "":
		return rule + " (the built-in default)"
	}
	return fmt.Sprintf("%s at %s:%d", rule, clean(o.File, maxShort), o.Line)
}

// because says why a recipient domain decided as it did.
func (t *teller) because(o *memory.Outcome) string {
	text := t.reason(o)
	d := &o.Decision
	if d.Enforced && d.Reason != policy.ReasonEnforcedPeer {
		text += "; " + t.d.Author.String() + " is an enforced peer, from which more is asked"
	} else if d.Status != "" && d.Status != t.d.Status && !d.Enforced && d.Reason != policy.ReasonSenderIP && d.Reason != policy.ReasonPass {
		text += fmt.Sprintf("; by the domain's criteria that is %s, by RFC 9989 %s", d.Status, t.d.Status)
	}
	return clean(text, maxField)
}

// reason says in words what the word of a reason means for this message.
func (t *teller) reason(o *memory.Outcome) string {
	d := &o.Decision
	author := t.d.Author.String()
	switch d.Reason {
	case policy.ReasonPass:
		return t.whyPass()
	case policy.ReasonPolicy:
		return fmt.Sprintf("%s publishes %s; %s", author, t.published(), t.found())
	case policy.ReasonNoRecord:
		return t.dmarcMeans()
	case policy.ReasonEnforcedPeer:
		return t.whyPeer()
	case policy.ReasonTemperror:
		return t.whyOpen()
	case policy.ReasonMultipleFrom:
		return t.dmarcMeans()
	case policy.ReasonSenderIP:
		if d.Evaluated {
			return fmt.Sprintf("%s may send for %s by sender_ip_match, which counts as an aligned SPF pass", t.client(), author)
		}
		return fmt.Sprintf("%s is not among the networks from which mail of %s may come", t.client(), author)
	case policy.ReasonSPF:
		return fmt.Sprintf("the standalone SPF check found %s: %s", t.v.SPF.Status, t.spfMeans())
	case policy.ReasonDKIM:
		return "the standalone DKIM check found that " + t.signatures()
	case policy.ReasonForwarder:
		return fmt.Sprintf("DMARC did not pass (%s), but a trusted forwarder brought the message", t.found())
	case policy.ReasonARC:
		return fmt.Sprintf("DMARC did not pass (%s), but a trusted sealer saw it pass", t.found())
	case policy.ReasonDisabled:
		return "DMARC is switched off for this domain"
	case policy.ReasonException:
		return t.client() + " is on the list of exceptions, so that DMARC was not applied"
	case policy.ReasonNotListed:
		return t.authors() + " is not on the list of senders to verify"
	case policy.ReasonNullSender:
		return "the null sender is not verified here"
	case policy.ReasonForged:
		return fmt.Sprintf("it bears %d forged results of this host, more than an MTA can be made to remove", t.r.Forged)
	}
	return word(d.Reason)
}

func (t *teller) authors() string {
	if list := names(t.v.Authors); len(list) > 0 {
		return listed(list)
	}
	return "the From domain"
}

func (t *teller) whyPass() string {
	if t.d.Status == dmarc.Pass {
		return fmt.Sprintf("DMARC passed for %s by %s", t.d.Author, t.passedBy())
	}
	return fmt.Sprintf("DMARC passed by the domain's own criteria (by RFC 9989 it is %s): %s", t.d.Status, t.found())
}

func (t *teller) whyPeer() string {
	author := t.d.Author.String()
	if author == "" {
		return t.dmarcMeans() + ", and one of them is an enforced peer"
	}
	if t.d.Record == nil {
		return author + " is an enforced peer and publishes no DMARC record"
	}
	return fmt.Sprintf("%s is an enforced peer; %s", author, t.found())
}

// whyOpen says why the result is open, and what came of that.
func (t *teller) whyOpen() string {
	text := t.dmarcMeans()
	switch {
	case t.d.Status == dmarc.None:
		text += ", and DNS left open whether SPF or a signature passes for it"
	case t.d.Status != dmarc.TempError:
		text = fmt.Sprintf("DNS trouble left the result open: %s", t.found())
	}
	if t.r.DeferLapsed {
		text += "; it was deferred for as long as defer_limit allows"
	}
	return text
}

// published is the policy that applies, as the record has it.
func (t *teller) published() string {
	d := t.d
	text := fmt.Sprintf("%s=%s", d.Source, d.Requested)
	if d.Source == "" {
		text = "p=" + word(d.Policy)
	}
	if d.PolicyDomain != d.Author && !d.PolicyDomain.IsZero() {
		text += " (at " + d.PolicyDomain.String() + ")"
	}
	if d.Policy != d.Requested {
		text += fmt.Sprintf(" in test mode (t=y: %s applies)", d.Policy)
	}
	return text
}

// found sums SPF and DKIM up in a clause.
func (t *teller) found() string { return t.spfFound() + " and " + t.signatures() }

func (t *teller) spfFound() string {
	s := &t.v.SPF
	if s.Status == "" {
		return "SPF was not checked"
	}
	text := "SPF was " + word(s.Status)
	switch s.Status {
	case spf.Pass:
		text = "SPF passed"
	case spf.Fail:
		text = "SPF failed"
	}
	if !s.Domain.IsZero() {
		text += " for " + s.Domain.String()
	}
	if s.Status == spf.Pass && t.v.SPFAlignment == dmarc.Unaligned {
		text += " (not aligned)"
	}
	return text
}

// signatures sums the signatures up in a clause.
func (t *teller) signatures() string {
	var passed, failed []string
	aligned := false
	for i := range t.v.DKIM {
		s := &t.v.DKIM[i]
		who := s.Domain.String()
		if who == "" {
			who = "an unreadable domain"
		}
		if s.Status == dkim.Pass {
			passed = append(passed, who)
			aligned = aligned || i < len(t.v.DKIMAlignments) && t.v.DKIMAlignments[i] == dmarc.Aligned
		} else {
			failed = append(failed, who+" ("+word(s.Status)+")")
		}
	}
	if n := t.v.Unchecked; n > 0 {
		failed = append(failed, fmt.Sprintf("%d more that were not checked", n))
	}
	switch {
	case len(passed)+len(failed) == 0:
		return "there was no signature"
	case len(passed) > 0 && aligned:
		return "the signature of " + listed(unique(passed)) + " verified"
	case len(passed) > 0:
		return "the signature of " + listed(unique(passed)) + " verified (not aligned)"
	}
	return "no signature verified: " + listed(unique(failed))
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		found := false
		for _, o := range out {
			found = found || o == s
		}
		if !found {
			out = append(out, clean(s, maxShort))
		}
	}
	return out
}

// settled tells how recipient domains that disagreed got one answer.
func (t *teller) settled() string {
	r := t.r
	if len(r.Outcomes) < 2 {
		return ""
	}
	ds := make([]policy.Decision, len(r.Outcomes))
	for i := range r.Outcomes {
		ds[i] = r.Outcomes[i].Decision
	}
	if r.Decision.Reason == policy.ReasonConflict {
		return "the recipients' domains want different things, so the message was put off (mixed_recipients): when it comes again, " +
			"recipients with different settings are taken one at a time, and each gets its own answer"
	}
	if r.Chosen < 0 || !slices.ContainsFunc(ds, func(d policy.Decision) bool { return d.Action != ds[0].Action }) {
		return ""
	}
	return "the " + word(r.Mixed) + " decision of the recipients' domains was carried out for all of them (mixed_recipients)"
}

func reply(r *policy.Reply) string {
	if r.Code == 0 {
		return ""
	}
	return clean(strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text)), maxField)
}

func (t *teller) dns() DNS {
	trace := t.r.Trace
	if trace == nil {
		return DNS{Missing: t.whyNoTrace()}
	}
	out := DNS{Cut: trace.Cut}
	for i := range trace.Answers {
		a := &trace.Answers[i]
		one := Answer{
			Name: clean(a.Name, maxShort), Type: clean(a.Type, maxShort), Error: clean(a.Error, maxField),
			Took: a.Took.Microseconds(), Failed: strings.HasPrefix(a.Error, "temporary"),
		}
		for _, text := range a.Texts {
			one.Records = append(one.Records, clean(text, maxRecord))
		}
		out.Answers = append(out.Answers, one)
	}
	if len(out.Answers) == 0 {
		out.Missing = "nothing was asked"
	}
	return out
}

// whyNoTrace says why the DNS answers are not there.
func (t *teller) whyNoTrace() string {
	const older = "they are older than retention.traces"
	switch {
	case t.o.Traces > 0 && !t.o.Now.IsZero() && t.o.Now.Sub(t.r.At) >= t.o.Traces:
		return fmt.Sprintf("%s (%s)", older, Span(t.o.Traces))
	case t.passed():
		return "of messages that pass they are kept of one in a hundred only"
	}
	return older + ", or the store had no room for them"
}

// passed reports whether nothing was amiss with the message, so that its DNS
// answers were not kept as a matter of course.
func (t *teller) passed() bool {
	fine := func(d *policy.Decision) bool {
		return d.Would == policy.Bypass && (d.Status == "" || d.Status == dmarc.Pass || d.Status == dmarc.None)
	}
	for i := range t.r.Outcomes {
		if !fine(&t.r.Outcomes[i].Decision) {
			return false
		}
	}
	s := t.d.Status
	return t.r.Decision.Action == policy.Bypass && (s == "" || s == dmarc.Pass || s == dmarc.None)
}
