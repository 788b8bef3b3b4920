package report

import "slices"

// MaxDKIM is the number of DKIM results that a row holds at most (RFC 9990
// section 3.1.3).
const MaxDKIM = 100

// Aligned tells how a signing domain relates to the Author Domain.
type Aligned int

// The relations. The zero value is no relation.
const (
	NotAligned     Aligned = iota
	RelaxedAligned         // same organizational domain
	StrictAligned          // same domain
)

// RankDKIM orders results best first and drops what is over MaxDKIM: passes in
// strict alignment, in relaxed alignment, other passes, then the rest. Among
// equals the order stays. It sorts in place and returns the same slice, cut.
// aligned judges a signing domain; nil judges all as not aligned.
func RankDKIM(results []DKIMResult, aligned func(domain string) Aligned) []DKIMResult {
	rank := func(r DKIMResult) int {
		switch {
		case r.Result != ResultPass:
			return 1
		case aligned == nil:
			return 0
		}
		return -int(aligned(r.Domain))
	}
	slices.SortStableFunc(results, func(a, b DKIMResult) int { return rank(a) - rank(b) })
	return results[:min(len(results), MaxDKIM)]
}
