package spf

import (
	"errors"
	"slices"

	"dmarcd/internal/dns"
)

// LocalPartName is a name that was looked up and whose macros contain part of the
// sender's local part.
type LocalPartName struct {
	Name dns.Name
	Spec string // its form in the record, such as "%{l}._spf.example.com"
}

// Redacted returns the result without anything that may contain the sender's local
// part: the explanation, and names that macros made of it. Chain has the text of
// the record instead of such a name, Walk no name.
func (r Result) Redacted() Result {
	r.Explanation = ""
	if len(r.LocalPart) == 0 {
		return r
	}
	r.Walk = slices.Clone(r.Walk)
	for i := range r.Walk {
		s := &r.Walk[i]
		if _, is := r.LocalPartSpec(s.Domain); is {
			s.Domain = dns.Name{}
		}
		if s.LocalPart {
			s.Target = dns.Name{}
		}
	}
	r.Chain = slices.Clone(r.Chain)
	for i, d := range r.Chain {
		for _, p := range r.LocalPart {
			if p.Name.String() == d {
				r.Chain[i] = p.Spec
			}
		}
	}
	if e := (*Error)(nil); errors.As(r.Err, &e) {
		plain := *e
		if _, is := r.LocalPartSpec(e.Domain); is {
			plain.Domain = dns.Name{}
		}
		plain.Err = bare(e.Err)
		r.Err = &plain
	}
	r.LocalPart = nil
	return r
}

// LocalPartSpec returns the text of the record for a personal name; false for
// other names.
func (r *Result) LocalPartSpec(name dns.Name) (spec string, is bool) {
	for _, p := range r.LocalPart {
		if p.Name == name {
			return p.Spec, true
		}
	}
	return "", false
}

// bare returns a reason without the names and texts attached to it.
func bare(err error) error {
	for _, reason := range []error{
		ErrSyntax, ErrRecordSize, ErrMultipleRecords, ErrNoRecord, ErrTarget, ErrLookupLimit, ErrVoidLimit, ErrMXLimit, ErrQueryLimit,
		dns.ErrTemporary, dns.ErrNXDomain, dns.ErrNoData,
	} {
		if errors.Is(err, reason) {
			return reason
		}
	}
	return errors.New("spf: no reason that may be told")
}
