// Package metrics counts what dmarcd does, in Prometheus form. Labels come from
// closed lists only: never a domain, an address or anything else that the
// network chose.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
)

// Metrics are dmarcd's own metrics. Safe for concurrent use.
type Metrics struct {
	messages  *prometheus.CounterVec
	answered  prometheus.Histogram
	forged    prometheus.Counter
	held      prometheus.Counter
	split     prometheus.Counter
	unmanaged prometheus.Counter
	unknown   prometheus.Counter
	queries   *prometheus.CounterVec
	queryTime *prometheus.HistogramVec
	reloadOK  prometheus.Gauge
	reloaded  prometheus.Gauge
}

// New makes the metrics and registers them.
func New(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dmarcd_messages_total",
			Help: "Messages answered, by DMARC result (RFC 9989; \"bypassed\" for mail that was not judged), action carried out and reason.",
		}, []string{"result", "action", "reason"}),
		answered: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "dmarcd_end_of_message_seconds",
			Help:    "Time from end of message to the answer.",
			Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10},
		}),
		forged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dmarcd_forged_fields_total",
			Help: "Header fields that claimed to be ours and were removed.",
		}),
		held: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dmarcd_held_messages_total",
			Help: "Messages put into the MTA's hold queue (quarantine by method hold).",
		}),
		split: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dmarcd_split_recipients_total",
			Help: "Recipients sent away for now (452), because their domain wants something else than the first recipient's.",
		}),
		unmanaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dmarcd_unmanaged_recipients_total",
			Help: "Recipients of inbound messages that have none of ours (neither below domains nor in managed, nor local): those messages are not judged.",
		}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dmarcd_unrecovered_clients_total",
			Help: "Messages from a relay of client_ip_from whose true client could not be read.",
		}),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dmarcd_dns_queries_total",
			Help: "DNS queries sent, by record type and outcome.",
		}, []string{"type", "outcome"}),
		queryTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dmarcd_dns_query_seconds",
			Help:    "Time of one DNS query, by record type.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3},
		}, []string{"type"}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dmarcd_config_reload_success",
			Help: "1 if the last load of the configuration succeeded, 0 if it had a fault and the old one stays in force.",
		}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dmarcd_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was loaded, Unix time.",
		}),
	}
	reg.MustRegister(m.messages, m.answered, m.forged, m.held, m.split, m.unmanaged, m.unknown, m.queries, m.queryTime, m.reloadOK, m.reloaded)
	return m
}

// Message counts one message; it makes Metrics an observer of what comes in.
func (m *Metrics) Message(o *filter.Result, took time.Duration) {
	result := "bypassed"
	if o.Bypassed == "" {
		result = string(o.Verdict.DMARC.Status)
	}
	m.messages.WithLabelValues(result, string(o.Decision.Action), string(o.Decision.Reason)).Inc()
	m.answered.Observe(took.Seconds())
	if o.QuarantineReason() != "" {
		m.held.Inc()
	}
	if o.Bypassed == policy.ReasonNotOurs {
		m.unmanaged.Add(float64(len(o.Envelope.Rcpts)))
	}
	if o.Unrecovered {
		m.unknown.Inc()
	}
	if o.Decision.Action != policy.Reject && o.Decision.Action != policy.Defer {
		m.forged.Add(float64(len(o.Remove)))
	}
}

// Split counts one recipient that was sent away for now.
func (m *Metrics) Split() { m.split.Inc() }

// Query counts one DNS query on the wire.
func (m *Metrics) Query(qtype, outcome string, took time.Duration) {
	m.queries.WithLabelValues(qtype, outcome).Inc()
	m.queryTime.WithLabelValues(qtype).Observe(took.Seconds())
}

// Reload notes the result of loading the configuration at a time.
func (m *Metrics) Reload(ok bool, at time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloaded.Set(float64(at.Unix()))
}

// Gauge registers a gauge that is read when asked for, such as open connections.
func Gauge(reg prometheus.Registerer, name, help string, read func() float64) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Counter registers a counter that is read when asked for; read must never go down.
func Counter(reg prometheus.Registerer, name, help string, read func() float64) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}
