package milter

import (
	"fmt"
	"strings"
	"testing"
)

func TestNamesAreBounded(t *testing.T) {
	n := names{common: commonNames()}
	for i := range 10 * maxOwnNames {
		for _, s := range []string{fmt.Sprint("X-", i), "Received", strings.Repeat("y", maxOwnName+1) + fmt.Sprint(i)} {
			if got := n.get([]byte(s)); got != s {
				t.Fatalf("%q became %q", s, got)
			}
		}
	}
	if len(n.own) != maxOwnNames {
		t.Errorf("%d names kept, want %d", len(n.own), maxOwnNames)
	}
	for s := range n.own {
		if len(s) > maxOwnName {
			t.Errorf("kept %q", s)
		}
	}
}
