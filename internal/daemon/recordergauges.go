package daemon

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dmarcd/internal/journal"
	"dmarcd/internal/metrics"
	"dmarcd/internal/report/outgoing"
)

// registerRecorder registers the counts of the recorder and the reporting.
func (d *Daemon) registerRecorder(registry *prometheus.Registry) {
	d.recorder.registerJournal(registry)
	d.recorder.registerStore(registry)
	d.reporting.register(registry)
}

func (r *recorder) registerJournal(registry *prometheus.Registry) {
	stats := r.journal.Stats
	for _, c := range []struct {
		name, help string
		read       func(journal.Stats) uint64
	}{
		{"dmarcd_journal_records_total", "Records of judged messages given to the journal.", func(s journal.Stats) uint64 { return s.Appended }},
		{"dmarcd_journal_dropped_detail_total", "Records turned into counts for reports because the journal was full.", func(s journal.Stats) uint64 { return s.DetailDropped }},
		{"dmarcd_journal_late_total", "Records written only after their message was answered, because the disk was slow.", func(s journal.Stats) uint64 { return s.Late }},
		{"dmarcd_journal_sync_errors_total", "Times that the journal could not be synced to the disk: a power cut may cost more than the last moment.", func(s journal.Stats) uint64 { return s.SyncErrors }},
		{"dmarcd_store_loaded_records_total", "Records that the store took.", func(s journal.Stats) uint64 { return s.Loaded }},
		{"dmarcd_store_load_errors_total", "Attempts to ask or load the store that failed.", func(s journal.Stats) uint64 { return s.LoadErrors }},
	} {
		metrics.Counter(registry, c.name, c.help, func() float64 { return float64(c.read(stats())) })
	}
	metrics.Counters(registry, "dmarcd_journal_lost_records_total", "Judged messages of which nothing is remembered, by cause.", "cause",
		[]string{"full", "queue", "size", "unreadable"}, func() map[string]float64 {
			l := stats().Lost
			return map[string]float64{
				"full": float64(l.Disk + l.Dropped), "queue": float64(l.Queue), "size": float64(l.Large), "unreadable": float64(l.Unreadable + l.Refused),
			}
		})
	metrics.Gauge(registry, "dmarcd_journal_bytes", "Size of the journal on disk.", func() float64 { return float64(stats().Bytes) })
	metrics.Gauge(registry, "dmarcd_journal_unloaded_records", "Records in the journal that the store does not have, roughly.",
		func() float64 { return float64(stats().Unloaded) })
	metrics.Gauge(registry, "dmarcd_store_lag_seconds", "Age of the oldest record that the store does not have; 0 if there is none.",
		func() float64 { return stats().Lag.Seconds() })
}

// storePing is how long a scrape waits for the store.
const storePing = time.Second

func (r *recorder) registerStore(registry *prometheus.Registry) {
	metrics.Gauge(registry, "dmarcd_store_up", "1 if the store answers.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), storePing)
		defer cancel()
		return oneIf(r.store.Ping(ctx) == nil)
	})
	metrics.Gauge(registry, "dmarcd_leader", "1 if this daemon leads: it makes the reports, removes what is old, reads mailboxes and looks records up.",
		func() float64 { return oneIf(r.leading()) })
	metrics.Counter(registry, "dmarcd_store_undecodable_records_total", "Records read from the store that this version could not read.",
		func() float64 { return float64(r.store.Undecodable()) })
	metrics.Gauge(registry, "dmarcd_store_bytes", "Size of the store when this daemon last pruned it.",
		func() float64 { return float64(r.pruned.bytes.Load()) })
	metrics.Counters(registry, "dmarcd_store_pruned_total", "What retention removed from the store.", "what",
		[]string{"aggregates", "messages", "received", "traces"}, func() map[string]float64 {
			p := &r.pruned
			return map[string]float64{
				"aggregates": float64(p.aggregates.Load()), "messages": float64(p.messages.Load()), "received": float64(p.received.Load()), "traces": float64(p.traces.Load()),
			}
		})
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (r *reporting) register(registry *prometheus.Registry) {
	stats := r.pipeline.Stats
	for _, c := range []struct {
		name, help string
		read       func(outgoing.Stats) uint64
	}{
		{"dmarcd_reports_built_total", "Aggregate reports made.", func(s outgoing.Stats) uint64 { return s.Built }},
		{"dmarcd_reports_unmade_total", "Aggregate reports that could not be made of what was counted.", func(s outgoing.Stats) uint64 { return s.Unmade }},
		{"dmarcd_reports_lost_messages_total", "Messages that are in no report, as their days are too long ago.", func(s outgoing.Stats) uint64 { return s.Lost }},
		{"dmarcd_reports_capped_total", "Mails with reports held back because one organization asks for too many.", func(s outgoing.Stats) uint64 { return s.Capped }},
		{"dmarcd_reports_sent_total", "Mails with reports that the mail server took.", func(s outgoing.Stats) uint64 { return s.Sent }},
	} {
		metrics.Counter(registry, c.name, c.help, func() float64 { return float64(c.read(stats())) })
	}
	metrics.Counters(registry, "dmarcd_reports_failed_total", "Deliveries of reports given up, by cause.", "cause",
		[]string{"bounced", "expired", "refused", "size", "unverified"}, func() map[string]float64 {
			n := map[string]float64{}
			for end, count := range stats().Failed {
				if word := failureWord(end); word != "" {
					n[word] += float64(count)
				}
			}
			return n
		})
	metrics.Counters(registry, "dmarcd_failure_reports_total", "Failure reports (RFC 9991): queued, counted in the report on another message, or dropped.", "result",
		[]string{"collapsed", "dropped", "queued"}, func() map[string]float64 {
			s := stats()
			return map[string]float64{"queued": float64(s.FailuresSent), "collapsed": float64(s.FailuresCollapsed), "dropped": float64(s.FailuresDropped)}
		})
	states := make([]string, 0, len(outgoing.States()))
	for _, s := range outgoing.States() {
		states = append(states, string(s))
	}
	metrics.Gauges(registry, "dmarcd_reports_queue", "Deliveries of reports by state; 0 on daemons that do not lead.", "state",
		states, func() map[string]float64 {
			n := map[string]float64{}
			if g := stats().Gauges; g != nil {
				for state, count := range g.Deliveries {
					n[string(state)] = float64(count)
				}
			}
			return n
		})
	metrics.Gauge(registry, "dmarcd_report_suppressed_destinations", "Destinations that get no reports for now; 0 on daemons that do not lead.",
		func() float64 {
			if g := stats().Gauges; g != nil {
				return float64(g.Suppressed)
			}
			return 0
		})
}

// failureWord is the metric's word for why a delivery was given up; "" if it was not: a suppressed one
// was not tried.
func failureWord(end outgoing.Final) string {
	switch end.State {
	case outgoing.StateExpired:
		return "expired"
	case outgoing.StateUnverified:
		return "unverified"
	case outgoing.StateFailed:
	default:
		return ""
	}
	switch end.Cause {
	case outgoing.CauseBounced:
		return "bounced"
	case outgoing.CauseTooLarge:
		return "size"
	}
	return "refused"
}
