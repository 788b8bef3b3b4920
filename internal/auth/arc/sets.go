package arc

import (
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/message"
)

const (
	// maxSets is the maximum number of sets in a chain (RFC 8617 section 5.2 step 1).
	maxSets = 50

	// maxDigits is the maximum length of an instance (RFC 8617 section 4.2.1).
	maxDigits = 2

	// maxOctets bounds the ARC fields of a message. A set takes some 3 KiB, or 10 with
	// many results.
	maxOctets = 512 << 10
)

// kind is one of the three fields of a set, in the order in which seals cover them
// (RFC 8617 section 5.1.1).
type kind int

const (
	results kind = iota // ARC-Authentication-Results
	messageSignature
	seal
	kinds
)

func (k kind) String() string { return fieldNames[k] }

// fieldNames are those of RFC 8617 section 4.1. All lengths differ.
var fieldNames = [kinds]string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"}

// kindOf reports whether a field is an ARC field, and which.
func kindOf(f *message.Field) (kind, bool) {
	if f.Name == "" || f.Name[0]|0x20 != 'a' {
		return 0, false // nearly all fields
	}
	for k, name := range fieldNames {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return kind(k), true
		}
	}
	return 0, false
}

// set is one ARC set.
type set struct {
	fields  [kinds]message.Field
	has     [kinds]bool
	message *dkim.ChainSignature
	relaxed *dkim.ChainSignature // the message signature without c=, read the other way; usually nil
	seal    *dkim.ChainSignature
	payload string // of the results
}

// measure counts the ARC fields of a header and their octets.
func measure(h *message.Header) (fields, octets int) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if _, ok := kindOf(f); ok {
			fields++
			octets += len(f.Raw)
		}
	}
	return fields, octets
}

// collect sorts the ARC fields of a header into sets, the first at index 0. The error
// is the first fault and wraps ErrStructure or ErrLimit; the sets are then those that
// could be read, possibly with gaps.
func collect(h *message.Header, now time.Time) ([]set, error) {
	var sets []set
	var fault error
	for i := range h.Fields {
		k, ok := kindOf(&h.Fields[i])
		if !ok {
			continue
		}
		one := set{}
		at, err := one.read(h, i, k, now)
		if err == nil {
			for len(sets) < at {
				sets = append(sets, set{})
			}
			err = sets[at-1].take(&one, k)
		}
		if err != nil && fault == nil {
			fault = err
		}
	}
	return sets, fault
}

// read parses the field at index i, which is of kind k, and returns its instance.
func (s *set) read(h *message.Header, i int, k kind, now time.Time) (int, error) {
	s.fields[k] = h.Fields[i]
	var text string
	var why error
	switch k {
	case results:
		text, s.payload = readResults(h.Fields[i].Value())
	case messageSignature:
		s.message = dkim.ParseMessageSignature(h, i, now)
		s.relaxed = s.message.AsRelaxed()
		text, why = s.message.Instance, s.message.Result().Err
	case seal:
		s.seal = dkim.ParseSeal(h, i)
		text, why = s.seal.Instance, s.seal.Result().Err
	}
	n, ok := parseInstance(text)
	switch {
	case ok && n > maxSets:
		return 0, fmt.Errorf("%w: %s with i=%d", ErrLimit, k, n)
	case ok:
		return n, nil
	case why != nil && text == "":
		return 0, fmt.Errorf("%w: %s: %w", ErrStructure, k, why)
	}
	return 0, fmt.Errorf("%w: %s with i=%q", ErrStructure, k, text)
}

// parseInstance parses a number from 1 of at most two digits (RFC 8617 section 4.2.1).
func parseInstance(text string) (int, bool) {
	if len(text) > maxDigits {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, n > 0
}

// take adds the field of kind k from other.
func (s *set) take(other *set, k kind) error {
	if s.has[k] {
		return fmt.Errorf("%w: two fields %s of one instance", ErrStructure, k)
	}
	s.has[k], s.fields[k] = true, other.fields[k]
	switch k {
	case results:
		s.payload = other.payload
	case messageSignature:
		s.message, s.relaxed = other.message, other.relaxed
	case seal:
		s.seal = other.seal
	}
	return nil
}

// complete reports whether the set has all three fields.
func (s *set) complete() bool { return s.has == [kinds]bool{true, true, true} }

// checkStructure performs steps 2 and 3 of RFC 8617 section 5.2, apart from the checks
// of collect.
func checkStructure(sets []set) error {
	if newest := sets[len(sets)-1].seal; newest != nil && newest.Validation == string(Fail) {
		return ErrBroken
	}
	for i := range sets {
		s := &sets[i]
		want := Pass
		if i == 0 {
			want = None
		}
		switch {
		case !s.complete():
			return fmt.Errorf("%w: set %d is not complete", ErrStructure, i+1)
		case s.seal.Result().Err != nil:
			return fmt.Errorf("%w: i=%d: %w", ErrSeal, i+1, s.seal.Result().Err)
		case s.seal.Validation != string(want):
			return fmt.Errorf("%w: %s %d says cv=%q", ErrStructure, seal, i+1, s.seal.Validation)
		}
	}
	return nil
}

// messageFault returns why the message signature cannot verify, whatever its key and
// the message; nil if it may.
func (s *set) messageFault() error {
	if err := s.message.Result().Err; err != nil {
		return err
	}
	if s.message.Lists(fieldNames[seal]) { // RFC 8617 section 4.1.2
		return errCoversSeal
	}
	return nil
}

// hops describes the sets, up to the first incomplete one.
func hops(sets []set) []Hop {
	var out []Hop
	for i := range sets {
		s := &sets[i]
		if !s.complete() {
			break
		}
		sealed, signed := s.seal.Result(), s.message.Result()
		out = append(out, Hop{
			Instance:     i + 1,
			SealDomain:   sealed.Domain,
			SealSelector: sealed.Selector,
			AMSDomain:    signed.Domain,
			AMSSelector:  signed.Selector,
			FromSigned:   s.message.Lists("From"),
			Results:      s.payload,
		})
	}
	return out
}
