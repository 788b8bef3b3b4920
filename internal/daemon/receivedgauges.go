package daemon

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dmarcd/internal/metrics"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake"
)

// feedKinds are the kinds of feeds: the name of a mailbox contains a user and a host, which are
// unsuitable as labels.
var feedKinds = []string{intake.FeedFolder, "imap", intake.FeedLMTP, intake.FeedMilter}

// feedKind returns the kind of a feed; "" if it is none of feedKinds.
func feedKind(name string) string {
	for _, kind := range feedKinds {
		if name == kind || strings.HasPrefix(name, kind+":") {
			return kind
		}
	}
	return ""
}

// feedGauges are figures of all feeds of a kind.
type feedGauges struct{ backlog, failing, idle map[string]float64 }

func gaugeFeeds(states []analysis.FeedState, now time.Time) feedGauges {
	g := feedGauges{backlog: map[string]float64{}, failing: map[string]float64{}, idle: map[string]float64{}}
	for _, f := range states {
		kind := feedKind(f.Name)
		if kind == "" {
			continue
		}
		g.backlog[kind] += float64(f.Backlog)
		if f.Error != "" {
			g.failing[kind]++
		}
		if !f.LastOK.IsZero() {
			g.idle[kind] = max(g.idle[kind], now.Sub(f.LastOK).Seconds())
		}
	}
	return g
}

// register registers the counts of the intake of received reports.
func (r *receiving) register(registry *prometheus.Registry) {
	stats, spooled := r.path.Stats, r.spool.Stats
	kinds := []string{"aggregate", "bounce", "failure", "other", "tls", "too_large", "unreadable"}
	metrics.Counters(registry, "dmarcd_received_items_total", "Mails and files that were taken in as reports, by what they are.", "kind", kinds,
		func() map[string]float64 { return floats(stats().Items) })
	statuses := []string{"aside", "differs", "duplicate", "empty", "refused", "replaced", "stored"}
	metrics.Counters(registry, "dmarcd_received_reports_total", "Received reports, by what became of them.", "status", statuses,
		func() map[string]float64 { return floats(stats().Reports) })
	trusts := []string{"admin", "authenticated", "failed", "not_known", "other_name"}
	metrics.Counters(registry, "dmarcd_received_trust_total", "Received reports that were stored, by what is known of who sent them.", "trust", trusts,
		func() map[string]float64 { return floats(stats().Trust) })
	metrics.Counter(registry, "dmarcd_received_records_total", "Records of received reports that were stored.",
		func() float64 { return float64(stats().Records) })
	metrics.Counter(registry, "dmarcd_received_store_failures_total", "Batches of received reports that the store did not take at once.",
		func() float64 { return float64(stats().Failures) })
	metrics.Gauge(registry, "dmarcd_spool_mails", "Mails with reports that wait on disk.", func() float64 { return float64(spooled().Mails) })
	metrics.Gauge(registry, "dmarcd_spool_bytes", "Their size.", func() float64 { return float64(spooled().Bytes) })
	metrics.Counter(registry, "dmarcd_spool_refused_total", "Mails with reports that the spool could not keep.",
		func() float64 { return float64(spooled().Refused) })
	feeds := func() feedGauges { return gaugeFeeds(r.feeds.States(), time.Now()) }
	metrics.Gauges(registry, "dmarcd_feed_backlog", "What waits in the feeds of received reports.", "feed", feedKinds, func() map[string]float64 { return feeds().backlog })
	metrics.Gauges(registry, "dmarcd_feeds_failing", "Feeds of received reports whose last run failed.", "feed", feedKinds, func() map[string]float64 { return feeds().failing })
	metrics.Gauges(registry, "dmarcd_feed_idle_seconds", "Time since the last run without an error of a feed of received reports, the longest of its kind.", "feed", feedKinds,
		func() map[string]float64 { return feeds().idle })
}

// floats are counts by a word.
func floats[K ~string](counts map[K]uint64) map[string]float64 {
	out := map[string]float64{}
	for word, n := range counts {
		out[string(word)] = float64(n)
	}
	return out
}

// register registers the look-ups of sources.
func (i *identifier) register(registry *prometheus.Registry) {
	metrics.Counters(registry, "dmarcd_source_lookups_total", "Look-ups of the names of sending sources, by what they found.", "result",
		[]string{"named", "none", "trouble"}, func() map[string]float64 {
			i.counts.mu.Lock()
			defer i.counts.mu.Unlock()
			return map[string]float64{"named": float64(i.counts.named), "none": float64(i.counts.none), "trouble": float64(i.counts.trouble)}
		})
}

// register registers the states of the records of managed domains.
func (p *recordPoll) register(registry *prometheus.Registry) {
	metrics.Gauges(registry, "dmarcd_managed_domain_records", "Managed domains by the state of their DMARC record at the last look; 0 on daemons that do not lead.", "state",
		[]string{string(analysis.WordBroken), string(analysis.WordInEffect), string(analysis.WordMissing), string(analysis.WordUnknown)}, func() map[string]float64 {
			out := map[string]float64{}
			p.states.each(func(w analysis.Word, n int) { out[string(w)] = float64(n) })
			return out
		})
}
