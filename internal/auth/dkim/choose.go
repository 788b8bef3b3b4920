package dkim

import (
	"errors"

	"dmarcd/internal/dns"
)

// choose selects the pending signatures to check, at most Options.MaxSignatures:
// those nearest to the author domain first and, among these, the lowest, because
// the author's own system signed before anybody added fields on top. Extra
// signatures therefore cannot displace the one that counts.
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
	related            // one is above the other: probably the same organization
	sibling            // both below a name of two labels: possibly the same
	unrelated          // aligns at most if a public suffix signs
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

// faulty is the conclusion for a signature that cannot be checked.
func faulty(err error) conclusion {
	if errors.Is(err, ErrLimit) {
		return conclusion{status: Policy, err: err}
	}
	return conclusion{status: PermError, err: err}
}
