package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestFamilies shows every value of a label, those that nothing is known of as 0.
func TestFamilies(t *testing.T) {
	reg := prometheus.NewRegistry()
	Counters(reg, "c_total", "Counted.", "cause", []string{"a", "b"}, func() map[string]float64 { return map[string]float64{"b": 2, "strange": 3} })
	Gauges(reg, "g", "Now.", "state", []string{"x"}, func() map[string]float64 { return map[string]float64{"x": 1} })
	want := `
# HELP c_total Counted.
# TYPE c_total counter
c_total{cause="a"} 0
c_total{cause="b"} 2
# HELP g Now.
# TYPE g gauge
g{state="x"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
