package outgoing_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"dmarcd/internal/report/outgoing"
)

// TestWildcardZone bounds what a zone of wildcards makes of a few messages.
func TestWildcardZone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		log := r.logged()
		var rua []string
		for i := range 10 {
			rua = append(rua, fmt.Sprintf("mailto:a%d@m%d.amp.example", i, i))
		}
		for i := range 60 {
			r.load(aggregate(yesterday, fmt.Sprintf("r%02d.amp.example", i), "v=DMARC1; p=none; rua="+strings.Join(rua, ","), failed(1)))
		}
		r.to("x@good.example")
		r.plan()
		states, each := map[outgoing.State]int{}, 0
		for _, report := range r.reports(outgoing.Filter{Limit: 1000}) {
			waiting := 0
			for _, d := range report.Delivered {
				states[d.State]++
				if d.State.Waiting() {
					waiting++
				}
				if d.State == outgoing.StateCapped && d.Error == "" {
					t.Errorf("%+v", d)
				}
			}
			each = max(each, waiting)
		}
		if want := (map[outgoing.State]int{outgoing.StateUnconfirmed: 100, outgoing.StateQueued: 1, outgoing.StateCapped: 500}); !maps.Equal(states, want) || each > 3 {
			t.Errorf("%v, want %v; of one report %d", states, want, each)
		}
		if n := r.p.Stats().Capped; n != 500 {
			t.Errorf("%d counted as capped", n)
		}
		if !strings.Contains(log.String(), "held back") || !strings.Contains(log.String(), "mails=500") {
			t.Errorf("log: %s", log)
		}
		if got := r.reports(outgoing.Filter{State: outgoing.StateCapped, Limit: 1000}); len(got) != 60 {
			t.Errorf("%d reports listed with capped deliveries", len(got))
		}
	})
}
