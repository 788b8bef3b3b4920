package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"dmarcd/internal/metrics"
	"dmarcd/internal/milter"
	"dmarcd/internal/notify"
	"dmarcd/internal/resolver"
)

// registerCounts registers the counts that the milter server and the resolver keep themselves.
func (d *Daemon) registerCounts(registry *prometheus.Registry) {
	stats := d.milter.Stats
	metrics.Gauge(registry, "dmarcd_milter_connections", "Open connections from MTAs.",
		func() float64 { return float64(stats().Open) })
	for _, c := range []struct {
		name, help string
		read       func(milter.Stats) uint64
	}{
		{"dmarcd_milter_connections_total", "Connections taken from MTAs.", func(s milter.Stats) uint64 { return s.Connections }},
		{"dmarcd_milter_refused_connections_total", "Connections closed because of limits.connections.", func(s milter.Stats) uint64 { return s.Refused }},
		{"dmarcd_milter_unfit_connections_total", "Connections closed because the MTA lacks what is needed.", func(s milter.Stats) uint64 { return s.Unfit }},
		{"dmarcd_milter_protocol_errors_total", "Connections closed because the MTA's side broke the protocol.", func(s milter.Stats) uint64 { return s.ProtocolErrors }},
		{"dmarcd_milter_timeouts_total", "Connections closed because the MTA's side was silent or slow.", func(s milter.Stats) uint64 { return s.Timeouts }},
		{"dmarcd_troubles_total", "Messages answered by on_trouble because dmarcd could not finish.", func(s milter.Stats) uint64 { return s.Troubles }},
		{"dmarcd_panics_total", "Faults of dmarcd that were caught while it judged a message.", func(s milter.Stats) uint64 { return s.Panics }},
	} {
		metrics.Counter(registry, c.name, c.help, func() float64 { return float64(c.read(stats())) })
	}
	d.registerCache(registry)
	d.registerNotifications(registry)
	d.registerRecorder(registry)
	d.receiving.register(registry)
	d.sources.register(registry)
	d.records.register(registry)
}

func (d *Daemon) registerNotifications(registry *prometheus.Registry) {
	stats := d.notifier.Stats
	for _, c := range []struct {
		name, help string
		read       func(notify.Stats) uint64
	}{
		{"dmarcd_notifications_sent_total", "Notification mails that the MTA took.", func(s notify.Stats) uint64 { return s.Sent }},
		{"dmarcd_notifications_folded_total", "Notifications counted in a digest instead of told of singly.", func(s notify.Stats) uint64 { return s.Folded }},
		{"dmarcd_notifications_lost_total", "Notifications dropped for want of room, or given up after errors.", func(s notify.Stats) uint64 { return s.Dropped + s.Failed }},
	} {
		metrics.Counter(registry, c.name, c.help, func() float64 { return float64(c.read(stats())) })
	}
}

func (d *Daemon) registerCache(registry *prometheus.Registry) {
	stats := d.resolver.Stats
	for _, c := range []struct {
		name, help string
		read       func(resolver.Stats) uint64
	}{
		{"dmarcd_dns_cache_hits_total", "DNS look-ups answered from the cache.", func(s resolver.Stats) uint64 { return s.Hits }},
		{"dmarcd_dns_cache_misses_total", "DNS look-ups that had to ask.", func(s resolver.Stats) uint64 { return s.Misses }},
		{"dmarcd_dns_joined_total", "DNS look-ups that waited for an equal one under way.", func(s resolver.Stats) uint64 { return s.Joined }},
	} {
		metrics.Counter(registry, c.name, c.help, func() float64 { return float64(c.read(stats())) })
	}
	metrics.Gauge(registry, "dmarcd_dns_cache_entries", "DNS answers kept.",
		func() float64 { return float64(stats().Entries) })
	metrics.Gauge(registry, "dmarcd_dns_cache_bytes", "Memory that kept DNS answers take, roughly.",
		func() float64 { return float64(stats().Bytes) })
}
