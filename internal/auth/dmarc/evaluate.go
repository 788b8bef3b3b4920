package dmarc

import (
	"errors"
	"fmt"

	"dmarcd/internal/dns"
)

// Reasons in Result.Err that are not DNS errors.
var (
	// ErrNoAuthor: there is no single author domain (RFC 9989 section 5.3.1).
	ErrNoAuthor = errors.New("dmarc: no single author domain")
	// ErrUnusable: the governing record has no valid policy and no reporting URI, so
	// DMARC is not applied (RFC 9989 section 4.10.1).
	ErrUnusable = errors.New("dmarc: record without a valid policy and a reporting URI")
	// ErrUndecided: SPF or DKIM has a temporary error for a domain that aligns.
	ErrUndecided = errors.New("dmarc: the outcome for an identifier that could align is unknown")
)

// NoAuthor is the result for a message without a single author domain: none, several,
// or an unreadable From (RFC 9989 sections 5.3.1 and 11.5). err is the reason and
// may be nil.
func NoAuthor(err error) Result {
	if err == nil {
		err = ErrNoAuthor
	} else {
		err = fmt.Errorf("%w: %w", ErrNoAuthor, err)
	}
	return Result{Status: PermError, Err: err}
}

// Evaluate returns the result for the identifiers of SPF and DKIM. It waits only for
// look-ups that affect it. It may be called again with other identifiers.
//
// A record that certainly applies is used even if other look-ups of the walk failed.
// An error counts only if another answer could have changed the result (RFC 9989
// sections 4.10.1 and 5.3.6).
func (d *Discovery) Evaluate(ids []Identifier) Result {
	if d.author.IsZero() {
		return NoAuthor(nil)
	}
	own := d.wait(&d.answers[0])
	look := d.await
	switch {
	case own.transient:
		look = d.awaitDomains // see Result.Inherited
	case own.record != nil && !d.wantsOrg(own.record, ids):
		look = d.peek // nothing depends on the rest: show what has arrived
	}
	w := d.authorWalk(look)
	r := Result{Author: d.author, OrgDomain: w.org, Walk: w.trace()}

	switch g := w.governing(); {
	case g == nil && w.err != nil: // RFC 9989 section 4.10.1
		r.Status, r.Err = TempError, w.err
	case g == nil:
		r.Status, r.Err = None, w.dropped()
	case g.record.Unusable:
		r.Status, r.Err = None, fmt.Errorf("%w: %s", ErrUnusable, g.query)
	default:
		d.apply(&r, g)
	}
	err := d.alignAll(&r, &w, ids)
	if r.Record != nil {
		r.decide(ids, err)
	}
	return r
}

// wantsOrg reports whether an alignment depends on the author's organizational domain,
// given the author domain's own record.
func (d *Discovery) wantsOrg(own *Record, ids []Identifier) bool {
	for _, id := range ids {
		if modeFor(own, id.Method) == Relaxed && id.Domain != d.author && shareTop(id.Domain, d.author) {
			return true
		}
	}
	return false
}

// shareTop reports whether two names have the same top-level domain. Otherwise they
// never align.
func shareTop(a, b dns.Name) bool { return a.Last(1) == b.Last(1) }

// modeFor returns the alignment mode for a mechanism; relaxed unless a record says
// otherwise.
func modeFor(r *Record, m Method) Mode {
	switch {
	case r == nil || r.Unusable:
		return Relaxed
	case m == SPF:
		return r.ASPF
	}
	return r.ADKIM
}

// trace lists the names consulted, without those not answered.
func (w *walk) trace() []Step {
	steps := make([]Step, 0, w.n)
	for _, a := range w.steps[:w.n] {
		if !a.pending {
			steps = append(steps, a.step())
		}
	}
	return steps
}

// dropped returns why a record was dropped; nil if none was.
func (w *walk) dropped() error {
	for _, a := range w.steps[:w.n] {
		if errors.Is(a.err, ErrSeveralRecords) || errors.Is(a.err, ErrNotDMARC) {
			return a.err
		}
	}
	return nil
}

// apply sets the governing record and the policy that it requests (RFC 9989 section
// 4.10.1).
func (d *Discovery) apply(r *Result, g *answer) {
	r.Record, r.PolicyDomain = g.record, g.name
	if g == &d.answers[0] {
		r.Requested, r.Source = g.record.P, "p"
	} else {
		d.applyBelow(r, g.record)
	}
	r.Policy = r.Requested
	if g.record.Testing {
		r.Policy = lowered(r.Requested)
	}
}

// applyBelow takes the policy for a subdomain from sp or np. It queries the existence
// of the author domain only if that makes a difference.
func (d *Discovery) applyBelow(r *Result, rec *Record) {
	sp, spTag := rec.forExisting()
	np, npTag := rec.forMissing()
	r.Requested, r.Source = sp, spTag
	if !needsExistence(rec) {
		return
	}
	switch exists := d.existence(); {
	case exists.transient:
		r.Err, r.ExistenceHidden = exists.err, true
		if weaker(np, sp) {
			r.Requested, r.Source = np, npTag
		}
	case !exists.exists:
		r.NonExistent = true
		r.Requested, r.Source = np, npTag
	}
}

// needsExistence reports whether sp and np differ.
func needsExistence(r *Record) bool {
	sp, _ := r.forExisting()
	np, _ := r.forMissing()
	return sp != np
}

// forExisting is the policy for subdomains that exist, and its tag (RFC 9989
// section 4.7, sp).
func (r *Record) forExisting() (Policy, string) {
	if r.SP != "" {
		return r.SP, "sp"
	}
	return r.P, "p"
}

// forMissing is the policy for subdomains that do not exist, and its tag (RFC
// 9989 section 4.7, np).
func (r *Record) forMissing() (Policy, string) {
	if r.NP != "" {
		return r.NP, "np"
	}
	return r.forExisting()
}

// weaker reports whether a is weaker than b.
func weaker(a, b Policy) bool { return a == PolicyNone || a == PolicyQuarantine && b == PolicyReject }

// lowered is the policy of a domain in test mode (RFC 9989 section 4.7, t).
func lowered(p Policy) Policy {
	if p == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

// alignAll sets the alignment of each identifier. It returns the first error that
// leaves the alignment unknown for an identifier that passed or may have.
func (d *Discovery) alignAll(r *Result, author *walk, ids []Identifier) (hidden error) {
	if d.psl || r.Status != TempError { // no alignment could change the result, so do not wait
		d.walkAll(r, author, ids)
	}
	r.Alignments = make([]Alignment, len(ids))
	for i, id := range ids {
		r.Alignments[i] = Unaligned
		if id.Domain == d.author {
			r.Alignments[i] = Aligned // in either mode (RFC 9989 section 4.4)
			continue
		}
		if !d.needsWalk(r, author, id) {
			continue
		}
		w := d.walkOf(id.Domain)
		switch {
		case w != nil && w.overLimit: // the sender chose how many there are
		case w != nil:
			r.Alignments[i] = align(author, w)
		case r.Status == TempError:
			r.Alignments[i] = AlignmentUnknown
		}
		if w != nil && r.Alignments[i] == AlignmentUnknown && id.State != NotPassed && hidden == nil {
			if hidden = author.err; hidden == nil {
				hidden = w.err
			}
		}
	}
	return hidden
}

// needsWalk reports whether the alignment of an identifier depends on its
// organizational domain: in relaxed mode, for a name at or below that of the author
// (RFC 9989 section 4.10.2).
func (d *Discovery) needsWalk(r *Result, author *walk, id Identifier) bool {
	return !id.Domain.IsZero() && id.Domain != d.author &&
		modeFor(r.Record, id.Method) == Relaxed && within(id.Domain, author.widest)
}

// walkAll walks the identifiers that need it. It starts all look-ups before it waits
// for the first.
func (d *Discovery) walkAll(r *Result, author *walk, ids []Identifier) {
	var missing []*answer
	done := len(d.walks)
	for _, id := range ids {
		if !d.needsWalk(r, author, id) || d.walkOf(id.Domain) != nil {
			continue
		}
		if len(d.walks) == maxIdentifiers {
			break
		}
		w := walk{start: id.Domain}
		if d.psl {
			w.org = ListOrg(id.Domain)
			w.widest = w.org
		} else {
			missing = d.ask(id.Domain, missing)
		}
		d.walks = append(d.walks, w)
	}
	if d.psl {
		return
	}
	d.start(missing)
	for i := done; i < len(d.walks); i++ {
		names, n := walkNames(d.walks[i].start)
		d.walks[i] = newWalk(names[:n], d.await)
	}
}

// walkOf is the walk of an identifier's domain; nil if there was none.
func (d *Discovery) walkOf(domain dns.Name) *walk {
	for i := range d.walks {
		if d.walks[i].start == domain {
			return &d.walks[i]
		}
	}
	return nil
}

// decide sets the status of a message to which a record applies (RFC 9989 sections
// 5.3.5 and 5.3.6). hidden is the error from alignAll.
func (r *Result) decide(ids []Identifier, hidden error) {
	r.Status = Fail
	undecided := false
	for i, id := range ids {
		switch {
		case r.Alignments[i] == Unaligned || id.State == NotPassed:
		case id.State == Passed && r.Alignments[i] == Aligned:
			r.Status = Pass
			r.SPFAligned = r.SPFAligned || id.Method == SPF
			r.DKIMAligned = r.DKIMAligned || id.Method == DKIM
		default:
			undecided = true
		}
	}
	if r.Status == Pass || !undecided {
		return
	}
	r.Status = TempError
	if hidden == nil {
		hidden = ErrUndecided
	}
	if r.Err != nil {
		hidden = fmt.Errorf("%w; %w", r.Err, hidden)
	}
	r.Err = hidden
}
