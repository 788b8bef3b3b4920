package yamldoc

import (
	"strings"
	"testing"
)

// TestBigFaults tells of slips in texts that are large, deep or odd, before anybody
// notices.
func TestBigFaults(t *testing.T) {
	for name, s := range map[string]string{
		"many lines":    strings.Repeat("a: &x {b: [c, d]}\n", 2) + strings.Repeat("- x\n", 20_000),
		"deep":          strings.Repeat("[\n", 9_000),
		"deep sections": strings.Repeat("- ", 5_000) + "\n]",
		"a long line":   "a: \"" + strings.Repeat("x", 1<<20) + "\nb: c\"d\n",
		"long slip":     "a: b\n" + strings.Repeat("x", 1<<20) + "\nc: d\n",
	} {
		_, f := Parse([]byte(s), 1<<20)
		if f == nil || len(f.Problem) > 300 || len(f.Hint) > 100 {
			t.Errorf("%s: %.500v", name, f)
		}
	}
}
