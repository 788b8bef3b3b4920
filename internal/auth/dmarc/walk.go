package dmarc

import (
	"errors"
	"fmt"

	"golang.org/x/net/publicsuffix"

	"dmarcd/internal/dns"
)

// Limits of one tree walk (RFC 9989 section 4.10): names queried in total, and the
// labels left after the jump from a name of at least that many.
const (
	maxQueries = 8
	jumpLabels = 7
)

// ErrSeveralRecords means that a name has more than one DMARC record. All are dropped
// (RFC 9989 section 4.10).
var ErrSeveralRecords = errors.New("dmarc: several DMARC records at one name")

// walkNames returns the names of a tree walk from start in the order of RFC 9989
// section 4.10, down to the single label: the records found decide where the walk
// stops.
func walkNames(start dns.Name) (names [maxQueries]dns.Name, n int) {
	labels := start.Labels()
	next := start.Last(min(labels-1, jumpLabels))
	names[0] = start
	for n = 1; n < maxQueries && !next.IsZero(); n++ {
		names[n] = next
		next = next.Parent()
	}
	return names, n
}

// answer is the DNS answer for one name.
type answer struct {
	name  dns.Name // without "_dmarc."
	query dns.Name // the name to query; zero if no query can carry it

	// Set once, before done is closed.
	record    *Record // the only DMARC record there; nil if none, or several
	err       error   // transient, or why there is no record despite some text
	transient bool    // the answer is unknown
	overLimit bool    // the message has used up its queries
	exists    bool    // the query was not answered with NXDOMAIN
	crashed   any     // the value of a panic in the resolver
	pending   bool    // the answer has not arrived; transient too

	done  chan struct{} // nil if the answer was available at once
	first bool          // a name of the author's own walk
}

// take parses the resolver's answer.
func (a *answer) take(texts []string, err error) {
	switch {
	case errors.Is(err, dns.ErrNXDomain):
		a.exists = dns.Exists(err) // an alias without a target (RFC 9989 appendix A.4)
		return
	case err != nil && !errors.Is(err, dns.ErrNoData):
		// The author's own walk is required, and the query limit of a message allows for it:
		// a limit must not make the result milder.
		a.overLimit = !a.first && errors.Is(err, dns.ErrQueryLimit)
		a.transient = !a.overLimit
		a.err = fmt.Errorf("dmarc: %w", err)
		return
	}
	a.exists = true
	if a.query == a.name { // queried only for its existence
		return
	}
	for _, text := range texts {
		r, err := ParseRecord(text)
		switch {
		case err != nil:
			if a.err == nil && a.record == nil {
				a.err = fmt.Errorf("%w, at %s", err, a.query)
			}
		case a.record != nil: // RFC 9989 section 4.10: several are all discarded
			a.record, a.err = nil, fmt.Errorf("%w: %s", ErrSeveralRecords, a.query)
			return
		default:
			a.record, a.err = r, nil
		}
	}
}

// stops reports whether a tree walk ends here (RFC 9989 section 4.10, steps 2 and 6).
func (a *answer) stops() bool { return a.record != nil && a.record.PSD != PSDUnknown }

func (a *answer) step() Step {
	s := Step{Name: a.name, Record: a.record, Err: a.err}
	if a.record != nil {
		s.Text = a.record.Text
	}
	return s
}

// walk is what one tree walk found.
type walk struct {
	start dns.Name
	steps [maxQueries]*answer // the names consulted, in order
	n     int

	org dns.Name // the organizational domain of start; zero if an error hides it
	// widest is org or, if that is unknown, the highest name that it could be: org is at
	// or below this name.
	widest dns.Name
	err    error // the first transient error
	// overLimit reports that the message has used up its queries.
	overLimit bool
}

// newWalk consults names in order until the walk stops. look returns what is known
// about a name, and may wait for it.
func newWalk(names []dns.Name, look func(dns.Name) *answer) walk {
	w := walk{start: names[0]}
	for _, name := range names {
		a := look(name)
		w.steps[w.n] = a
		w.n++
		if a.transient && w.err == nil {
			w.err = a.err
		}
		w.overLimit = w.overLimit || a.overLimit
		if a.stops() {
			break
		}
	}
	w.widest = w.selectOrg()
	if w.err == nil {
		w.org = w.widest
	}
	return w
}

// selectOrg returns the organizational domain of the start (RFC 9989 section 4.10.2).
// It treats a name without an answer as one whose record has no psd: of all possible
// records, that leads highest.
func (w *walk) selectOrg() dns.Name {
	org := w.start // by default the start is its own organizational domain
	for i, a := range w.steps[:w.n] {
		switch {
		case a.transient:
			org = a.name
		case a.record == nil:
		case a.record.PSD == PSDNo:
			return a.name
		case a.record.PSD == PSDYes && i > 0:
			// One label below, taken from the start: after the jump from a long name, the name
			// queried before is a different one.
			return w.start.Last(a.name.Labels() + 1)
		default:
			org = a.name // the fewest labels win
		}
	}
	return org
}

// at returns the answer for a name of the walk; nil if it was not consulted.
func (w *walk) at(name dns.Name) *answer {
	for _, a := range w.steps[:w.n] {
		if a.name == name {
			return a
		}
	}
	return nil
}

// governing returns the answer with the record that applies to the start; nil if
// there is none or if errors hide it (RFC 9989 section 4.10.1).
func (w *walk) governing() *answer {
	if w.steps[0].record != nil {
		return w.steps[0]
	}
	if w.org.IsZero() {
		return nil
	}
	if a := w.at(w.org); a != nil && a.record != nil {
		return a
	}
	// Only the last name of the walk can be the public suffix domain.
	if a := w.steps[w.n-1]; a.record != nil && a.record.PSD == PSDYes {
		return a
	}
	return nil
}

// align reports whether two names have the same organizational domain, as far as is
// known.
func align(a, b *walk) Alignment {
	if !within(a.start, b.widest) || !within(b.start, a.widest) {
		return Unaligned // a common organizational domain would be above one of the two
	}
	switch {
	case !a.org.IsZero() && !b.org.IsZero():
		if a.org == b.org {
			return Aligned
		}
		return Unaligned
	case !a.org.IsZero() && !within(a.org, b.widest), !b.org.IsZero() && !within(b.org, a.widest):
		return Unaligned
	case meet(a, b):
		return Aligned
	}
	return AlignmentUnknown
}

// meet reports whether two walks reached, without an earlier error, a record that
// stops neither. From there on the walks are identical, and so is the organizational
// domain that they find.
func meet(a, b *walk) bool {
	for _, s := range a.steps[:a.n] {
		if s.transient {
			return false
		}
		if s.record != nil && !s.stops() && b.reaches(s) {
			return true
		}
	}
	return false
}

// reaches reports whether the walk came to an answer without an error before it.
func (w *walk) reaches(a *answer) bool {
	for _, s := range w.steps[:w.n] {
		if s == a || s.transient {
			return s == a
		}
	}
	return false
}

// within reports whether n is top or below it.
func within(n, top dns.Name) bool { return n == top || n.IsBelow(top) }

// ListOrg returns the organizational domain by the public suffix list (RFC 7489
// section 3.2): the public suffix plus one label. A public suffix is its own.
func ListOrg(n dns.Name) dns.Name {
	suffix, _ := publicsuffix.PublicSuffix(n.String())
	labels := 2
	for i := range len(suffix) {
		if suffix[i] == '.' {
			labels++
		}
	}
	return n.Last(labels)
}

// newListWalk looks for the record of start and, without one, for that of its
// organizational domain (RFC 7489 section 6.6.3). Several records end the search.
func newListWalk(start dns.Name, look func(dns.Name) *answer) walk {
	w := walk{start: start, org: ListOrg(start)}
	w.widest = w.org
	w.steps[0] = look(start)
	w.n = 1
	first := w.steps[0]
	if first.record == nil && !first.transient && !errors.Is(first.err, ErrSeveralRecords) && w.org != start {
		w.steps[1] = look(w.org)
		w.n = 2
	}
	w.err = w.steps[w.n-1].transientErr()
	return w
}

func (a *answer) transientErr() error {
	if a.transient {
		return a.err
	}
	return nil
}
