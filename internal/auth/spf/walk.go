package spf

import "dmarcd/internal/dns"

// maxSteps bounds a Walk. Records may have a thousand terms, of which the ten
// that look something up lead to further records.
const maxSteps = 100

// TermResult is what came of one term.
type TermResult string

// Results of terms.
const (
	Match   TermResult = "match"
	NoMatch TermResult = "no match"
	// Broken tells that the check ended here in the TempError or PermError of its
	// Result, or in one that such a term brought about further down.
	Broken TermResult = "error"
)

// Step is one term that was evaluated.
type Step struct {
	Domain  dns.Name   // whose record the term stands in
	Term    string     // as written, such as "include:_spf.example.com"
	Depth   int        // 0 in the record of the identity, one more behind each include and redirect
	Outcome TermResult // for exp=, whether there is such a name; a redirect that applies is a match
	// Result is what the record says that an include or redirect leads to; "" for
	// other terms, and where that record could not be evaluated.
	Result Status
	Target dns.Name // the name looked up, or whose record was; zero for none
	// LocalPart tells that Target was made of the sender's local part.
	LocalPart bool
}

// walk notes the steps of one check.
type walk struct {
	steps []Step
	cut   bool
	at    int // the step whose target is next to be known; -1 for one that is not kept
}

// makeRoom is called with each record: the first says how many terms to expect,
// with some of each record that it leads to.
func (w *walk) makeRoom(rec *record) {
	if w.steps != nil {
		return
	}
	const each = 4 // of a record further down, as a guess
	n := len(rec.mechanisms)
	for i := range rec.mechanisms {
		if rec.mechanisms[i].kind == kindInclude {
			n += each
		}
	}
	if rec.redirect.text != "" {
		n += 1 + each
	}
	w.steps = make([]Step, 0, min(n, maxSteps))
}

// enter notes a term that is about to be evaluated, and gives its index.
func (w *walk) enter(domain dns.Name, term string, depth int) int {
	w.at = -1
	if len(w.steps) == maxSteps {
		w.cut = true
		return w.at
	}
	w.steps = append(w.steps, Step{Domain: domain, Term: term, Depth: depth})
	w.at = len(w.steps) - 1
	return w.at
}

// led notes what the record says that a step led to.
func (w *walk) led(step int, v evalResult, fault *Error) {
	if step >= 0 && fault == nil {
		w.steps[step].Result = v.status
	}
}

// leave notes what came of a step.
func (w *walk) leave(step int, o TermResult, fault *Error) {
	if step < 0 {
		return
	}
	if fault != nil {
		o = Broken
	}
	w.steps[step].Outcome = o
}

func outcomeOf(matched bool) TermResult {
	if matched {
		return Match
	}
	return NoMatch
}

// aimAt notes the name that the term at work is about.
func (e *evaluation) aimAt(name dns.Name, localPart bool) {
	e.madeOfLocalPart = localPart
	if at := e.walk.at; at >= 0 && at < len(e.walk.steps) {
		s := &e.walk.steps[at]
		s.Target, s.LocalPart = name, localPart
	}
}

// usesLocalPart reports whether a domain-spec expands to something of the sender's
// local part: by its own macros, or by those that made the current domain.
func (e *evaluation) usesLocalPart(spec string) bool {
	for spec != "" {
		p, rest, err := nextPiece(spec, inTarget)
		if err != nil {
			return true // not reached: the parser checked it
		}
		if p.letter == 's' || p.letter == 'l' || p.letter == 'd' && e.inLocalPart() {
			return true
		}
		spec = rest
	}
	return false
}

// inLocalPart reports whether the current domain was made of the local part.
func (e *evaluation) inLocalPart() bool { return e.depth > 0 && e.stack[e.depth-1].localPart }

func (e *evaluation) keepLocalPart(name dns.Name, spec string) {
	for _, p := range e.localPart {
		if p.Name == name {
			return
		}
	}
	if !name.IsZero() {
		e.localPart = append(e.localPart, LocalPartName{Name: name, Spec: spec})
	}
}
