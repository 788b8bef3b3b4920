package outgoing_test

import (
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestRelayDenied suppresses a destination that was never relayed to while others
// were, and none where our server relays nowhere.
func TestRelayDenied(t *testing.T) {
	denied := reply(554, smtp.EnhancedCode{5, 7, 1}, "relay access denied")
	for name, others := range map[string]bool{"others are sent to": true, "nothing is": false} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				r.to("x@bad.example", "y@good.example")
				r.server.refuse("x@bad.example", denied)
				if !others {
					r.server.refuse("y@good.example", denied)
				}
				r.night()
				for range 11 {
					r.clock.add(5 * time.Hour)
					r.drain()
				}
				r.wantState("x@bad.example", "expired policy")
				s, silent := r.suppressed()["x@bad.example"]
				if silent != others || silent && (s.ByHand || s.AutomaticCount != 1 || s.Until.IsZero()) || !others && len(r.suppressed()) > 0 {
					t.Errorf("suppressed: %v", r.suppressed())
				}
			})
		})
	}
}
