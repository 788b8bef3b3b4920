package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/source"
)

// Bounds of readiness.
const (
	ReadinessDays  = 30 // whole days that are evaluated
	ReadinessDelay = 3  // days before today that are not: reports arrive with that delay
	readyDays      = 14 // minimum whole days with reports, and for which a repair must hold
	readyReporters = 2
	fewFailing     = 20 // messages of a source below which its failures say nothing
	maxReadyRows   = 50 // sources and reporters that are listed
)

// FailingRow is mail of a domain that is not compliant, with the same source, reporter and
// cause.
type FailingRow struct {
	Service   string
	Label     Label
	Reporter  string
	Cause     FailureCause
	Selector  string // of CauseSignature
	Forwarded bool   // the reporter says that it was forwarded, or came by a mailing list
	Messages  int64
	First     memory.Day // with such mail
	Last      memory.Day
}

// FailingSums sums records to failing rows. The zero FailingSums is ready.
type FailingSums struct {
	sums map[FailingRow]*FailingRow // keyed by the row without figures and days
}

// maxFailingRows bounds the rows of FailingSums; further ones are summed without their
// reporter.
const maxFailingRows = 100_000

// Add counts a record, unless it is compliant.
func (f *FailingSums) Add(d *Detail) {
	if d.Compliant > 0 {
		return
	}
	key := FailingRow{Service: d.Service, Label: d.Label, Reporter: d.Reporter, Forwarded: forwardedBy(&d.Auth)}
	key.Cause, key.Selector = causeOf(d)
	if f.sums == nil {
		f.sums = map[FailingRow]*FailingRow{}
	}
	if len(f.sums) >= maxFailingRows {
		key.Reporter = ""
	}
	row := f.sums[key]
	if row == nil {
		one := key
		one.First = d.Day
		row = &one
		f.sums[key] = row
	}
	row.Messages += d.Messages
	row.First, row.Last = min(row.First, d.Day), max(row.Last, d.Day)
}

// Rows returns the sums, in no particular order.
func (f *FailingSums) Rows() []FailingRow {
	out := make([]FailingRow, 0, len(f.sums))
	for _, row := range f.sums {
		out = append(out, *row)
	}
	return out
}

func forwardedBy(a *AuthSet) bool {
	return slices.ContainsFunc(a.Reasons, func(r Reason) bool {
		return r.Type == report.ReasonForwarded || r.Type == report.ReasonTrustedForwarder || r.Type == report.ReasonMailingList
	})
}

// causeOf returns why a record is not compliant.
func causeOf(d *Detail) (FailureCause, string) {
	from := organization(cmp.Or(d.HeaderFrom, d.Domain.String()))
	for _, sig := range d.Auth.DKIM {
		if organization(sig.Domain) == from && sig.Result != report.ResultPass {
			return CauseSignature, sig.Selector
		}
	}
	if slices.ContainsFunc(d.Auth.SPF, func(s SPFResult) bool { return s.Result == report.ResultPass }) {
		return CauseUnsigned, ""
	}
	return CauseNothing, ""
}

// ReadinessFacts are the input of the assessment: figures of one period of whole days.
type ReadinessFacts struct {
	Domain     dns.Name
	From, To   memory.Day
	Sources    []SourceRow // by service
	Failing    []FailingRow
	Days       []memory.Day // with reports
	Reporters  int64
	Record     string        // as published now; "" for none
	Policy     report.Policy // the policy that it requests; "" for none
	Services   *source.Map
	OurAddress string     // for a domain without a record
	Keys       []Snapshot // DNS history of the keys of the domain's selectors
	Now        time.Time
}

// SourceClass classifies a source of failing mail.
type SourceClass string

// Classes.
const (
	ClassOwn       SourceClass = "legitimate" // own servers, authorised services, and those that also send compliant mail
	ClassForwarded SourceClass = "forwarded"
	ClassUnclear   SourceClass = "unclear" // a service that may be used for the domain or against it
	ClassForged    SourceClass = "forged"  // nobody's, and never compliant
	ClassIgnored   SourceClass = "ignored" // by label
	ClassMended    SourceClass = "mended"  // it failed, and has not for 14 days
)

// FailureCause is why mail is not compliant.
type FailureCause string

// Causes.
const (
	CauseSignature FailureCause = "signature_fails" // the domain's own signature is there and not valid
	CauseUnsigned  FailureCause = "not_signed"      // SPF passes for another domain, and there is no signature of the domain
	CauseNothing   FailureCause = "nothing_passes"
)

// ReadySource is a source whose mail would be lost.
type ReadySource struct {
	Service   string       `json:"service"`
	Name      string       `json:"name,omitempty"`
	Class     SourceClass  `json:"class"`
	Label     Label        `json:"label,omitempty"`
	Messages  int64        `json:"messages"`
	Failing   int64        `json:"failing"`
	Share     float64      `json:"share"` // of all mail that is not forged, from 0 to 1
	Cause     FailureCause `json:"cause"` // of most of it
	Selector  string       `json:"selector,omitempty"`
	FirstFail memory.Day   `json:"first_failing"`
	LastFails memory.Day   `json:"last_failing"`
	Why       string       `json:"why,omitempty"` // what the history of the DNS tells of the cause
	Advice    string       `json:"advice"`
}

// ReadyReporter is a receiver that would reject mail.
type ReadyReporter struct {
	Reporter string  `json:"reporter"`
	Failing  int64   `json:"failing"` // without forgeries
	Share    float64 `json:"share"`   // of all that would be lost
}

// ReadyStep is the assessment of one policy.
type ReadyStep struct {
	Policy  report.Policy `json:"policy"`
	Ready   bool          `json:"ready"`
	InForce bool          `json:"in_force"`
	Because []string      `json:"because"`          // why not; empty if it is ready
	Record  string        `json:"record,omitempty"` // to publish
	Zone    string        `json:"zone,omitempty"`
}

// Readiness is the effect of a stricter policy.
type Readiness struct {
	Domain     dns.Name          `json:"domain"`
	Policy     report.Policy     `json:"policy"`
	Since      memory.Day        `json:"since"`
	Until      memory.Day        `json:"until"`
	Days       int               `json:"days"` // with reports
	Reporters  int64             `json:"reporters"`
	Messages   int64             `json:"messages"`
	Lost       int64             `json:"lost"`
	LostShare  float64           `json:"lost_share"`
	Forged     int64             `json:"forged"`
	Confidence source.Confidence `json:"confidence"`
	Steps      []ReadyStep       `json:"steps"`
	Sources    []ReadySource     `json:"sources"`
	ReportedBy []ReadyReporter   `json:"lost_at"`
	LookAgain  memory.Day        `json:"look_again"`
	RollBack   string            `json:"roll_back,omitempty"` // line of a zone file that restores what is published now
}

// readyLimits are what a policy may cost.
type readyLimits struct {
	policy report.Policy
	lost   float64 // of all mail that is not forged
	source float64 // of a legitimate source's mail
}

var readySteps = [...]readyLimits{{report.PolicyQuarantine, 0.02, 0.05}, {report.PolicyReject, 0.005, 0.02}}

// AssessReadiness assesses p=quarantine and p=reject by what was reported. It is a pure
// function of its argument.
func AssessReadiness(f *ReadinessFacts) (Readiness, error) {
	out := Readiness{
		Domain: f.Domain, Policy: f.Policy, Since: f.From, Until: f.To, Days: len(f.Days), Reporters: f.Reporters, Sources: []ReadySource{},
		ReportedBy: []ReadyReporter{}, LookAgain: f.To + ReadinessDelay + readyDays,
	}
	for i := range f.Sources {
		out.Messages += f.Sources[i].Messages
	}
	out.Sources = f.sources()
	counted := map[sourceKey]SourceClass{}
	for i := range out.Sources {
		s := &out.Sources[i]
		counted[sourceKey{s.Service, s.Label}] = s.Class
		if s.Class == ClassForged || s.Class == ClassIgnored {
			out.Forged += s.Failing
		}
	}
	rest := max(out.Messages-out.Forged, 1)
	for i := range out.Sources {
		s := &out.Sources[i]
		s.Share = float64(s.Failing) / float64(rest)
		if s.Class == ClassOwn || s.Class == ClassForwarded || s.Class == ClassUnclear {
			out.Lost += s.Failing
		}
	}
	out.LostShare = float64(out.Lost) / float64(rest)
	out.ReportedBy = f.reporters(counted, out.Lost)
	out.Confidence = confidenceOf(&out)
	if err := f.steps(&out); err != nil {
		return Readiness{}, err
	}
	out.Sources = out.Sources[:min(len(out.Sources), maxReadyRows)]
	return out, nil
}

func confidenceOf(r *Readiness) source.Confidence {
	switch {
	case r.Days >= ReadinessDays*9/10 && r.Reporters >= 5 && r.Messages >= 1000:
		return source.High
	case r.Days >= readyDays && r.Reporters >= readyReporters && r.Messages >= 100:
		return source.Medium
	}
	return source.Low
}

// failing is the failing mail of one service and label.
type failing struct {
	ReadySource
	causes    map[failureOf]int64
	forwarded int64
}

type failureOf struct {
	cause    FailureCause
	selector string
}

// sourceKey is a service, or the part of it with another label.
type sourceKey struct {
	service string
	label   Label
}

// sources sums failing mail by service, the most first. A service that has addresses with
// their own labels may occur more than once.
func (f *ReadinessFacts) sources() []ReadySource {
	all := map[sourceKey]*failing{}
	for i := range f.Failing {
		r := &f.Failing[i]
		k := sourceKey{r.Service, r.Label}
		one := all[k]
		if one == nil {
			one = &failing{ReadySource: ReadySource{Service: r.Service, Label: r.Label, FirstFail: r.First}, causes: map[failureOf]int64{}}
			all[k] = one
		}
		one.Failing += r.Messages
		one.FirstFail, one.LastFails = min(one.FirstFail, r.First), max(one.LastFails, r.Last)
		one.causes[failureOf{r.Cause, r.Selector}] += r.Messages
		if r.Forwarded {
			one.forwarded += r.Messages
		}
	}
	out := []ReadySource{}
	for _, one := range all {
		f.finish(one)
		out = append(out, one.ReadySource)
	}
	slices.SortFunc(out, func(a, b ReadySource) int {
		return cmp.Or(cmp.Compare(b.Failing, a.Failing), strings.Compare(a.Service, b.Service), strings.Compare(string(a.Label), string(b.Label)))
	})
	return out
}

// finish assesses the failing mail of a service.
func (f *ReadinessFacts) finish(one *failing) {
	compliant := int64(0)
	for i := range f.Sources {
		if s := &f.Sources[i]; s.Service == one.Service {
			one.Messages += s.Messages
			compliant += s.Compliant
		}
	}
	most := int64(-1)
	for c, n := range one.causes {
		if n > most || n == most && (c.cause < one.Cause || c.cause == one.Cause && c.selector < one.Selector) {
			most, one.Cause, one.Selector = n, c.cause, c.selector
		}
	}
	service := f.service(one.Service)
	if service != nil {
		one.Name = service.Label
	}
	one.Class = f.classOf(one, service, compliant)
	if one.Cause == CauseSignature && one.Selector != "" {
		one.Why = TellKey(f.Keys, keyName(one.Selector, f.Domain), one.FirstFail, one.LastFails, f.Now)
	}
	one.Advice = f.advise(one, service)
}

func (f *ReadinessFacts) service(domain string) *source.Service {
	name, err := dns.Parse(domain)
	if err != nil || f.Services == nil {
		return nil
	}
	return f.Services.Get(name)
}

// own reports whether a service is the managed domain itself.
func (f *ReadinessFacts) own(service string) bool {
	return service == f.Domain.String() || strings.HasSuffix(service, "."+f.Domain.String())
}

func (f *ReadinessFacts) classOf(one *failing, s *source.Service, compliant int64) SourceClass {
	legitimate := one.Label == LabelAuthorised || f.own(one.Service)
	switch {
	case one.Label == LabelIgnore:
		return ClassIgnored
	case one.Label == LabelForwarder || !legitimate && 2*one.forwarded >= one.Failing:
		return ClassForwarded
	case one.Service == ServiceUnknown && !legitimate:
		return ClassForged
	case !legitimate && compliant == 0 && s != nil && s.Kind != source.KindAccess && s.Kind != source.KindHosting:
		return ClassUnclear
	case !legitimate && compliant*20 < one.Messages: // an occasional pass is forwarded mail
		return ClassForged
	case one.LastFails+readyDays <= f.To && one.Messages > one.Failing:
		return ClassMended
	}
	return ClassOwn
}

// advise names the one step that repairs a source.
func (f *ReadinessFacts) advise(one *failing, s *source.Service) string {
	name := cmp.Or(one.Name, one.Service)
	switch one.Class {
	case ClassForwarded:
		return "Nothing: this mail is forwarded. Never put a forwarder into the SPF record."
	case ClassForged:
		return "Nothing: this mail is forged, and a stricter policy stops it."
	case ClassIgnored:
		return "Nothing: its label says to ignore it."
	case ClassMended:
		return fmt.Sprintf("Nothing: it has been compliant since %s.", one.LastFails+1)
	case ClassUnclear:
		return fmt.Sprintf("Find out whether %s sends for %s, and label it: authorised, or ignore.", name, f.Domain)
	}
	switch {
	case one.Cause == CauseSignature:
		return fmt.Sprintf("Mend the DKIM signature: compare the key at %s with what %s signs with.", keyName(one.Selector, f.Domain), name)
	case f.own(one.Service):
		return fmt.Sprintf("Sign the mail of your own servers with DKIM for %s, or name their addresses in its SPF record.", f.Domain)
	case s != nil && s.SignStep != "":
		return fmt.Sprintf("Set up DKIM for %s at %s, which calls it: %s.", f.Domain, name, s.SignStep)
	case s != nil && s.PathStep != "":
		return fmt.Sprintf("Set up a return path below %s at %s, which calls it: %s.", f.Domain, name, s.PathStep)
	}
	return fmt.Sprintf("Have %s sign with DKIM for %s.", name, f.Domain)
}

func keyName(selector string, domain dns.Name) string {
	return cmp.Or(selector, "SELECTOR") + "._domainkey." + domain.String()
}

// reporters distributes what would be lost among those who reported it.
func (f *ReadinessFacts) reporters(class map[sourceKey]SourceClass, lost int64) []ReadyReporter {
	sums := map[string]int64{}
	for i := range f.Failing {
		switch r := &f.Failing[i]; class[sourceKey{r.Service, r.Label}] {
		case ClassOwn, ClassForwarded, ClassUnclear:
			sums[r.Reporter] += r.Messages
		}
	}
	out := []ReadyReporter{}
	for name, n := range sums {
		out = append(out, ReadyReporter{Reporter: name, Failing: n, Share: float64(n) / float64(max(lost, 1))})
	}
	slices.SortFunc(out, func(a, b ReadyReporter) int {
		return cmp.Or(cmp.Compare(b.Failing, a.Failing), strings.Compare(a.Reporter, b.Reporter))
	})
	return out[:min(len(out), maxReadyRows)]
}
