package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/policy"
)

func TestPolicyHistory(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, ctx := db.open(t), t.Context()
		text := func(n int) policy.Source {
			return policy.Source{{Name: "/etc/dmarcd/policy.yaml", Text: fmt.Sprintf("mode: monitor # %d\n", n) + strings.Repeat("# a comment\n", 1000)}, {Name: "domains/日本.yaml", Text: "domains: {}\n"}}
		}
		note := func(host string, day, n int) {
			t.Helper()
			if err := s.NotePolicy(ctx, host, epoch0.AddDate(0, 0, day), text(n)); err != nil {
				t.Fatal(err)
			}
		}
		note("mx1", 0, 1)
		note("mx1", 1, 1) // a restart
		note("mx2", 1, 1)
		note("mx1", 2, 2)
		note("mx1", 3, 1) // taken back
		var got []string
		for before := int64(0); ; {
			page := must(s.PolicyHistory(ctx, before, 2))
			for _, use := range page {
				got = append(got, fmt.Sprint(use.Host, int(use.At.Sub(epoch0).Hours()/24), slices.Index([]policy.SourceID{{}, text(1).ID(), text(2).ID()}, use.Policy)))
				before = use.Key
			}
			if len(page) < 2 {
				break
			}
		}
		if want := []string{"mx13 1", "mx12 2", "mx21 1", "mx10 1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if kept := must(s.PolicySource(ctx, text(2).ID())); !slices.Equal(kept, text(2)) {
			t.Errorf("%q", kept)
		}
		if none := must(s.PolicySource(ctx, text(3).ID())); none != nil {
			t.Errorf("%q", none)
		}
		// What is old goes, but for what is in force.
		if err := s.dropPolicies(ctx, epoch0.AddDate(0, 0, 30)); err != nil {
			t.Fatal(err)
		}
		if left := must(s.PolicyHistory(ctx, 0, 10)); len(left) != 2 {
			t.Errorf("%d uses left", len(left))
		}
		if rowCount(t, s, "policies") != 1 {
			t.Error("a text that nobody uses is left")
		}
		if _, err := unpackSource([]byte("no policy")); err == nil {
			t.Error("what is no text of a policy is read")
		}
	})
}
