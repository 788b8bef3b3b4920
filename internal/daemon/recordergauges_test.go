package daemon

import (
	"testing"

	"dmarcd/internal/report/outgoing"
)

// TestFailureWord goes through all ends that there are.
func TestFailureWord(t *testing.T) {
	// By cause, of what failed; of the other states the cause does not matter.
	failed := map[outgoing.Cause]string{
		"":                       "refused",
		outgoing.CauseServer:     "refused",
		outgoing.CauseTemporary:  "refused",
		outgoing.CauseTimeout:    "refused",
		outgoing.CausePolicy:     "refused",
		outgoing.CauseDNS:        "refused",
		outgoing.CauseRefused:    "refused",
		outgoing.CauseContent:    "refused",
		outgoing.CauseTooLarge:   "size",
		outgoing.CauseBounced:    "bounced",
		outgoing.CauseUnverified: "refused",
		outgoing.CauseSuppressed: "refused",
		outgoing.CauseMail:       "refused",
		outgoing.CauseCapped:     "refused",
	}
	states := map[outgoing.State]string{
		outgoing.StateQueued: "", outgoing.StateUnconfirmed: "", outgoing.StateSent: "", outgoing.StateReplaced: "", outgoing.StateCapped: "",
		outgoing.StateSuppressed: "", outgoing.StateExpired: "expired", outgoing.StateUnverified: "unverified",
	}
	for _, state := range outgoing.States() {
		want, ok := states[state]
		if !ok && state != outgoing.StateFailed {
			t.Errorf("the state %s is not in this table", state)
		}
		for cause, word := range failed {
			if state != outgoing.StateFailed {
				word = want
			}
			if got := failureWord(outgoing.Final{State: state, Cause: cause}); got != word {
				t.Errorf("%s, %q: %q, want %q", state, cause, got, word)
			}
		}
	}
}
