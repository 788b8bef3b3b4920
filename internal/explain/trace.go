package explain

import (
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
	"dmarcd/internal/text"
)

func (x *explainer) dns() DNS {
	trace := x.r.Trace
	if trace == nil {
		return DNS{Missing: x.whyNoTrace()}
	}
	out := DNS{Cut: trace.Cut}
	for i := range trace.Answers {
		a := &trace.Answers[i]
		out.Answers = append(out.Answers, Answer{
			Name: a.Name, Type: a.Type, Records: a.Texts, Error: a.Error,
			Took: a.Took.Microseconds(), Failed: strings.HasPrefix(a.Error, "temporary"),
		})
	}
	if len(out.Answers) == 0 {
		out.Missing = x.say(dnsNothing)
	}
	return out
}

// whyNoTrace says why the DNS answers are missing.
func (x *explainer) whyNoTrace() string {
	switch {
	case x.o.Bypassed:
		return x.say(dnsNothing)
	case x.o.Traces > 0 && !x.o.Now.IsZero() && x.o.Now.Sub(x.r.At) >= x.o.Traces:
		return x.say(dnsOlderBy, text.Span(x.o.Traces))
	case x.passed():
		return x.say(dnsSampled)
	}
	return x.say(dnsOlder)
}

// passed reports whether nothing kept the message from passing, so that its DNS
// answers were not kept as a matter of course.
func (x *explainer) passed() bool {
	fine := func(s dmarc.Status) bool { return s == "" || s == dmarc.Pass || s == dmarc.None }
	for i := range x.r.Outcomes {
		if d := &x.r.Outcomes[i].Decision; d.Would != policy.Bypass || !fine(d.Status) {
			return false
		}
	}
	return x.r.Decision.Action == policy.Bypass && fine(x.d.Status)
}
