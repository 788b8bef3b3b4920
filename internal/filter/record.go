package filter

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds on what a record keeps of the client's own texts.
const (
	maxHelo       = 255 // RFC 5321 section 4.5.3.1.2
	maxRecipients = 1000
)

// Remember is what a record needs besides the outcome.
type Remember struct {
	Settings *settings.Settings // those that the message was judged by
	Host     string             // the name of this host
	MTA      string             // the MTA's name for itself; "" if not known
	Sampled  bool               // the DNS answers are kept although the message passed
	Offline  bool               // for a command: include the fields even if the message would be refused
}

// preallocated is a record together with the space that most of them need: one allocation.
type preallocated struct {
	memory.Record
	outcomes [1]memory.Outcome
	added    [2]string
}

// Record is the record of a judged message; it must not be called for a bypassed one.
// Unless log.addresses is set, it holds no local parts. Decide gives the same result for
// its verdict and facts as for the outcome's.
func (o *Result) Record(m Remember) *memory.Record {
	room := new(preallocated)
	r := &room.Record
	env := &o.Envelope
	addresses := m.Settings.Log.Addresses
	*r = memory.Record{
		At:            env.Received.UTC().Truncate(time.Microsecond),
		QueueID:       text.ASCII(env.QueueID, maxShown),
		MessageID:     o.MessageID,
		MTA:           m.MTA,
		ClientIP:      env.ClientIP,
		Helo:          env.Helo[:min(len(env.Helo), maxHelo)],
		NullSender:    env.NullSender(),
		Sender:        env.MailFrom.Host[:min(len(env.MailFrom.Host), maxHelo)],
		EnvelopeFrom:  env.MailFrom.Domain,
		Verdict:       o.Verdict,
		DeferLapsed:   o.DeferLapsed,
		Forged:        o.Forged,
		ForgedKept:    o.ForgedKept,
		Dropped:       o.Dropped,
		Decision:      o.Decision,
		Chosen:        o.Chosen,
		Outcomes:      room.outcomes[:0],
		Hold:          o.QuarantineReason(),
		Redirect:      o.Redirect,
		CarriesReport: o.carriesReport(m.Settings),
		PSL:           o.PSL,
		Host:          m.Host,
		Policy:        m.Settings.Policy.ID,
	}
	if addresses {
		r.Sender = env.MailFrom.String()
		for _, a := range env.Rcpts[:min(len(env.Rcpts), maxRecipients)] {
			r.Recipients = append(r.Recipients, a.String())
		}
	} else {
		r.Verdict = redacted(&o.Verdict)
	}
	for i := range o.Domains {
		r.Outcomes = append(r.Outcomes, o.outcome(&o.Domains[i], &r.Verdict, m.Settings))
	}
	if o.Chosen >= 0 {
		r.Decision = r.Outcomes[o.Chosen].Decision
	}
	if len(o.Domains) > 1 {
		r.Mixed = string(m.Settings.Policy.MixedRecipients)
	}
	if o.carriedOut() || m.Offline {
		if len(o.Change) > 0 { // a tag is all that changes a field
			r.Tag = o.Rules.DMARC.TagSubject
		}
		r.Added, r.Removed = o.added(room.added[:0], addresses), o.removed()
	}
	if m.Sampled || o.Notable() {
		r.Trace = o.Trace(addresses)
	}
	r.Bound(m.Settings.Limits.Signatures)
	return r
}

// outcome is the part of one set of recipient domains; v is the verdict to be recorded.
func (o *Result) outcome(d *DomainDecision, v *policy.Verdict, s *settings.Settings) memory.Outcome {
	out := memory.Outcome{
		Domains: d.Domains, Decision: d.Decision, Mode: d.Rules.Mode, Quarantine: d.Rules.Quarantine.Method,
		DailyReports: d.Rules.DMARC.DailyReports, Criteria: d.Rules.DMARC.Criteria,
	}
	if v.SPF.Explanation != o.Verdict.SPF.Explanation && d.Decision.Reply != (policy.Reply{}) && d.Decision.Reason != policy.ReasonForged {
		// The reply may quote what was taken out.
		out.Decision.Reply = policy.Decide(v, o.facts(), d.Rules).Reply
	}
	if rule := d.Decision.Rule; rule != "" && len(d.Domains) > 0 {
		at := s.Policy.RulePlace(d.Domains[0], rule)
		out.File, out.Line = at.File, at.Line
	}
	return out
}

// facts are those by which the message was judged.
func (o *Result) facts() policy.Facts {
	env := &o.Envelope
	return policy.Facts{ClientIP: env.ClientIP, NullSender: env.NullSender(), QueueID: env.QueueID, Received: env.Received, DeferExpired: o.DeferLapsed}
}

// carriedOut reports whether the message goes on, with our changes.
func (o *Result) carriedOut() bool {
	return o.Decision.Reply == (policy.Reply{}) && o.Decision.Action != policy.Discard
}

// added lists the fields of ours as lines, topmost first.
func (o *Result) added(room []string, addresses bool) []string {
	size := 0
	for _, f := range o.Insert {
		size += len(f.Name) + 1 + len(f.Value)
	}
	var b strings.Builder
	b.Grow(size)
	for _, f := range slices.Backward(o.Insert) {
		start := b.Len()
		value := f.Value
		if f.redacted != "" && !addresses {
			value = f.redacted
		}
		b.WriteString(f.Name)
		b.WriteByte(':')
		for line := range strings.SplitSeq(value, "\r\n") {
			b.WriteString(line)
		}
		room = append(room, b.String()[start:])
	}
	if len(room) == 0 {
		return nil
	}
	return room
}

func (o *Result) removed() (out []string) {
	for _, ref := range o.Remove {
		out = append(out, ref.Name+"["+strconv.Itoa(ref.Index)+"]")
	}
	return out
}

// redacted is a verdict without what may name a person.
func redacted(v *policy.Verdict) policy.Verdict {
	out := *v
	out.SPF = v.SPF.Redacted()
	named := func(s dkim.Result) bool { return strings.LastIndexByte(s.Identity, '@') != 0 && s.Identity != "" }
	if slices.ContainsFunc(v.DKIM, named) {
		out.DKIM = slices.Clone(v.DKIM)
		for i := range out.DKIM {
			out.DKIM[i].Identity = withoutLocal(out.DKIM[i].Identity)
		}
	}
	if len(v.ARC.Hops) > 0 {
		out.ARC.Hops = make([]arc.Hop, len(v.ARC.Hops))
		for i, hop := range v.ARC.Hops {
			hop.Results = authres.Pare(hop.Results)
			out.ARC.Hops[i] = hop
		}
	}
	return out
}

// Notable reports whether something kept the message from passing: it was
// intercepted or would have been, it failed, or DMARC could not be concluded.
func (o *Result) Notable() bool {
	if o.Decision.Action != policy.Bypass || notPassed(o.Verdict.DMARC.Status) {
		return true
	}
	return slices.ContainsFunc(o.Domains, func(d DomainDecision) bool {
		return d.Decision.Would != policy.Bypass || notPassed(d.Decision.Status)
	})
}

func notPassed(s dmarc.Status) bool { return s != "" && s != dmarc.Pass && s != dmarc.None }

// sampleEvery is the number of passing messages for each one whose DNS answers are kept.
const sampleEvery = 100

// Sampled picks the passing messages whose DNS answers are kept too. The choice is
// deterministic: by queue id and time.
func (o *Result) Sampled() bool {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	sum := uint64(offset)
	for _, c := range []byte(o.Envelope.QueueID) {
		sum = (sum ^ uint64(c)) * prime
	}
	sum = (sum ^ uint64(o.Envelope.Received.UnixMicro())) * prime
	return sum>>32%sampleEvery == 0
}

// carriesReport reports whether the message is a report that passes DMARC, or goes
// only to addresses that take reports.
func (o *Result) carriesReport(s *settings.Settings) bool {
	if o.Header != nil && o.Verdict.DMARC.Status == dmarc.Pass && mayBeReport(o.Header) && report.IsReportMail(o.Header) {
		return true
	}
	rcpts := o.Envelope.Rcpts
	if len(rcpts) == 0 {
		return false
	}
	for i := range rcpts {
		if !takesReports(s, rcpts[i]) {
			return false
		}
	}
	return true
}
