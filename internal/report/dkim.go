package report

import "slices"

// MaxDKIM is the maximum number of DKIM results in a row (RFC 9990 section 3.1.3).
const MaxDKIM = 100

// Aligned is the relation of a signing domain to the Author Domain.
type Aligned int

// The relations. The zero value is no relation.
const (
	NotAligned     Aligned = iota
	RelaxedAligned         // same organizational domain
	StrictAligned          // same domain
)

// RankDKIM sorts results best first and drops those beyond MaxDKIM: passes in strict
// alignment, in relaxed alignment, other passes, then the rest. The sort is stable and in
// place; it returns the same slice, cut. aligned judges a signing domain; nil means that none
// is aligned.
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
