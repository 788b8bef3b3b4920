package metrics

import "github.com/prometheus/client_golang/prometheus"

// family is one metric with one label, read when asked for.
type family struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values []string
	read   func() map[string]float64
}

// Counters registers a counter for each value of a label; what read leaves out is
// 0. The numbers must never go down.
func Counters(reg prometheus.Registerer, name, help, label string, values []string, read func() map[string]float64) {
	register(reg, prometheus.CounterValue, name, help, label, values, read)
}

// Gauges registers a gauge for each value of a label; what read leaves out is 0.
func Gauges(reg prometheus.Registerer, name, help, label string, values []string, read func() map[string]float64) {
	register(reg, prometheus.GaugeValue, name, help, label, values, read)
}

func register(reg prometheus.Registerer, kind prometheus.ValueType, name, help, label string, values []string, read func() map[string]float64) {
	reg.MustRegister(family{desc: prometheus.NewDesc(name, help, []string{label}, nil), kind: kind, values: values, read: read})
}

// Describe is prometheus.Collector's.
func (f family) Describe(to chan<- *prometheus.Desc) { to <- f.desc }

// Collect is prometheus.Collector's.
func (f family) Collect(to chan<- prometheus.Metric) {
	now := f.read()
	for _, v := range f.values {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, now[v], v)
	}
}
