package spf

import "dmarcd/internal/dns"

// maxSteps bounds a Walk. Records may have a thousand terms, and ten of them may
// lead to further records.
const maxSteps = 100

// TermResult is the outcome of one term.
type TermResult string

// Results of terms.
const (
	Match   TermResult = "match"
	NoMatch TermResult = "no match"
	// Broken means that the check ended here in the TempError or PermError of its
	// Result, or in such an error at a term further down.
	Broken TermResult = "error"
)

// Step is one term that was evaluated.
type Step struct {
	Domain  dns.Name   // whose record the term stands in
	Term    string     // as written, such as "include:_spf.example.com"
	Depth   int        // 0 in the record of the identity, one more for each include and redirect
	Outcome TermResult // for exp=, whether the name exists; a redirect that applies is a match
	// Result is the result of the record that an include or redirect leads to; "" for
	// other terms, and if that record could not be evaluated.
	Result Status
	Target dns.Name // the name looked up, or whose record was; zero if there is none
	// LocalPart reports that Target contains part of the sender's local part.
	LocalPart bool
}

// walk records the steps of one check.
type walk struct {
	steps []Step
	cut   bool
	at    int // the step whose target is not known yet; -1 if it is not recorded
}

// makeRoom allocates steps. The first record sets how many terms to expect, plus
// some for each record that it leads to.
func (w *walk) makeRoom(rec *record) {
	if w.steps != nil {
		return
	}
	const each = 4 // guessed terms of each further record
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

// enter records a term before its evaluation and returns its index.
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

// led records the result of the record that a step led to.
func (w *walk) led(step int, v evalResult, fault *Error) {
	if step >= 0 && fault == nil {
		w.steps[step].Result = v.status
	}
}

// leave records the outcome of a step.
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

// aimAt records the name that the current term refers to.
func (e *evaluation) aimAt(name dns.Name, localPart bool) {
	e.madeOfLocalPart = localPart
	if at := e.walk.at; at >= 0 && at < len(e.walk.steps) {
		s := &e.walk.steps[at]
		s.Target, s.LocalPart = name, localPart
	}
}

// usesLocalPart reports whether the expansion of a domain-spec contains part of the
// sender's local part: by its own macros, or by those of the current domain.
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

// inLocalPart reports whether the current domain contains part of the local part.
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
