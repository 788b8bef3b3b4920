package authres

import "dmarcd/internal/message"

// maxTracked bounds the memory of a Finder to half a MiB: one bit for each
// Authentication-Results field of a message.
const maxTracked = 4 << 20

// Ref names one field of a message in the way an MTA counts: the Index-th of that
// name, from 1 at the top.
type Ref struct {
	Name  string // case-insensitive
	Index int
}

// kind is the kind of a field that a Finder examines.
type kind int

const (
	other kind = iota
	authenticationResults
	tmAuthenticationResults
	tmReceivedSPF
	tmQuarantine
	tmOriginalRecipients
	kinds
)

func (k kind) name() string {
	switch k {
	case authenticationResults:
		return FieldName
	case tmAuthenticationResults:
		return TMFieldName
	case tmReceivedSPF:
		return ReceivedSPFName
	case tmQuarantine:
		return QuarantineName
	default:
		return OriginalRecipientsName
	}
}

// kindOf compares lengths first, so that other fields cost next to nothing. It ignores
// the obsolete blanks before the colon (RFC 5322 section 4.5.8).
func kindOf(name string) kind {
	n := len(name)
	for n > 0 && isBlank(name[n-1]) {
		n--
	}
	k := other
	switch n {
	case len(FieldName):
		k = authenticationResults
	case len(TMFieldName):
		k = tmAuthenticationResults
	case len(ReceivedSPFName):
		k = tmReceivedSPF
	case len(QuarantineName):
		k = tmQuarantine
	case len(OriginalRecipientsName):
		k = tmOriginalRecipients
	default:
		return other
	}
	want := k.name()
	for i := 0; i < n; i++ {
		a, b := name[i], want[i]
		if a != b && (a|0x20 != b|0x20 || !isAlnum(a)) {
			return other
		}
	}
	return k
}

// Finder finds the fields of one message that claim to be ours: every
// X-TM-Authentication-Results, X-TM-Received-SPF, X-TM-Quarantine and
// X-TM-Original-Recipients, and each Authentication-Results that has one of our ids
// or may be read so (RFC 8601 section 5). Other fields, such as ARC's, never count.
//
// It must see every field of the message in order, even those dropped elsewhere
// because of a limit: it counts fields as the MTA does. It keeps a bit for each
// Authentication-Results field. If a message has more than 4,194,304 of them, it
// takes all further ones for forged.
//
// A Finder is for one goroutine. The zero Finder knows no ids of ours and finds the
// X-TM fields.
type Finder struct {
	ids    *IDs
	counts [kinds]int
	forged []uint64 // bit i: the Authentication-Results field of index i+1 is forged
	found  int
	fields int   // examined so far
	depth  int64 // sum for the forged ones
}

// NewFinder returns a Finder for one message, or for several with Reset.
func NewFinder(ours *IDs) *Finder { return &Finder{ids: ours} }

// Reset prepares f for another message.
func (f *Finder) Reset() { *f = Finder{ids: f.ids} }

// Add examines the next field of the message. value is the text after the colon, with
// its folds; Add does not keep it.
func (f *Finder) Add(name string, value []byte) {
	f.fields++
	k := kindOf(name)
	if k == other {
		return
	}
	i := f.counts[k]
	f.counts[k]++
	if k == authenticationResults {
		if i < maxTracked && !f.ids.claimedBy(value) {
			return
		}
		f.mark(i)
	}
	f.found++
	f.depth += int64(f.fields)
}

func (f *Finder) mark(i int) {
	if i >= maxTracked {
		return
	}
	for len(f.forged) <= i/64 {
		f.forged = append(f.forged, 0)
	}
	f.forged[i/64] |= 1 << (i % 64)
}

// Found is the number of forged fields so far.
func (f *Finder) Found() int { return f.found }

// Depth is the sum of the positions of the forged fields, counted from 1 at the top of
// the message. It measures the cost of deleting them, because Postfix reads the header
// from the top for each.
func (f *Finder) Depth() int64 { return f.depth }

// Refs names the forged fields, the last of each name first, so that they can be
// deleted one after the other. Names have their standard spelling, which Postfix
// needs if the message has a blank before the colon. It is nil if there are none.
func (f *Finder) Refs() []Ref {
	if f.found == 0 {
		return nil
	}
	refs := make([]Ref, 0, f.found)
	for k := authenticationResults; k < kinds; k++ {
		for i := f.counts[k]; i > 0; i-- {
			if k != authenticationResults || f.isForged(i-1) {
				refs = append(refs, Ref{Name: k.name(), Index: i})
			}
		}
	}
	return refs
}

func (f *Finder) isForged(i int) bool {
	if i >= maxTracked {
		return true
	}
	return i/64 < len(f.forged) && f.forged[i/64]>>(i%64)&1 == 1
}

// Forged returns the Refs of a Finder for the fields of h and our authserv-ids. It
// does not see fields beyond a truncation of h: use a Finder instead.
func Forged(h *message.Header, ours []string) []Ref {
	f := NewFinder(NewIDs(ours...))
	for _, field := range h.Fields {
		f.Add(field.Name, field.Value())
	}
	return f.Refs()
}
