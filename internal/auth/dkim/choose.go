package dkim

import (
	"errors"

	"dmarcd/internal/dns"
)

// choose picks the signatures to check among those not concluded, at most
// Options.MaxSignatures: those nearest to the author domain first and, of these,
// the lowest, for the author's own system signed before anybody put anything
// on top. So signatures piled on a message do not push out the one that counts.
func (v *Verifier) choose() {
	open := 0
	for i := range v.signatures {
		if !v.signatures[i].concluded() {
			open++
		}
	}
	if over := open - v.options.MaxSignatures; over > 0 {
		v.leaveOut(over)
		open -= over
	}
	v.checked = make([]*signature, 0, open)
	for i := range v.signatures {
		if s := &v.signatures[i]; !s.concluded() {
			v.checked = append(v.checked, s)
		}
	}
}

// leaveOut concludes the n signatures that matter least.
func (v *Verifier) leaveOut(n int) {
	for d := unrelated; d >= same && n > 0; d-- {
		for i := range v.signatures {
			s := &v.signatures[i]
			if n > 0 && !s.concluded() && distanceOf(s.Domain, v.options.Prefer) == d {
				s.conclude(conclusion{status: Policy, err: ErrLimit})
				n--
			}
		}
	}
}

// distance tells how far a signing domain is from the author domain.
type distance int

const (
	same      distance = iota
	related            // one is above the other: likely of one organization
	sibling            // both below one name of two labels: possibly
	unrelated          // can align at most below a public suffix that signs
)

func distanceOf(d, author dns.Name) distance {
	switch {
	case author.IsZero():
		return unrelated
	case d == author:
		return same
	case d.IsBelow(author), author.IsBelow(d):
		return related
	case d.Last(2) == author.Last(2):
		return sibling
	}
	return unrelated
}

// faulty is the conclusion about a signature that cannot be checked.
func faulty(err error) conclusion {
	if errors.Is(err, ErrLimit) {
		return conclusion{status: Policy, err: err}
	}
	return conclusion{status: PermError, err: err}
}
