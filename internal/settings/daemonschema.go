package settings

import (
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

const (
	day = 24 * time.Hour

	maxName = 200  // octets of a name or a host
	maxText = 1000 // octets of a line of text
	year    = 366 * day
)

// daemonSchema is every key of dmarcd.yaml.
func daemonSchema() kind[Settings] {
	return section(checkDaemon,
		key("authserv_id", orStandard(authServID()), func(s *Settings) *string { return &s.AuthServID }),
		key("remove_authserv_ids", list(authServID()), func(s *Settings) *[]string { return &s.RemoveAuthServIDs }),
		key("listen", list(listenEntry()), func(s *Settings) *[]Listen { return &s.Listen }),
		key("policy", required(path()), func(s *Settings) *string { return &s.PolicyFile }),
		key("state_dir", absolute(), func(s *Settings) *string { return &s.StateDir }),
		key("store", storeName(), func(s *Settings) *string { return &s.Store }),
		key("store_password_file", path(), func(s *Settings) *string { return &s.StorePasswordFile }),
		key("trusted_networks", networks(false), func(s *Settings) *policy.NetList { return &s.TrustedNetworks }),
		key("skip_authenticated", boolean(), func(s *Settings) *bool { return &s.SkipAuthenticated }),
		key("client_ip_from", clientIPSources(), func(s *Settings) *[]ClientIPSource { return &s.ClientIPFrom }),
		key("resolver", resolverSchema(), func(s *Settings) *Resolver { return &s.Resolver }),
		key("discovery", word(DiscoveryTreeWalk, DiscoveryPSL), func(s *Settings) *Discovery { return &s.Discovery }),
		key("limits", limitsSchema(), func(s *Settings) *Limits { return &s.Limits }),
		key("on_trouble", word(TroubleAccept, TroubleDefer), func(s *Settings) *OnTrouble { return &s.OnTrouble }),
		key("http", httpSchema(), func(s *Settings) *HTTP { return &s.HTTP }),
		key("log", logSchema(), func(s *Settings) *Log { return &s.Log }),
		key("retention", retentionSchema(), func(s *Settings) *Retention { return &s.Retention }),
		key("reports", reportsSchema(), func(s *Settings) *Reports { return &s.Reports }),
		key("analysis", analysisSchema(), func(s *Settings) *Analysis { return &s.Analysis }),
		key("notify", notifySchema(), func(s *Settings) *Notify { return &s.Notify }),
	)
}

func resolverSchema() kind[Resolver] {
	return section(
		func(s *scope, r *Resolver) {
			if s.sound("timeout", "budget") && r.Budget < r.Timeout {
				s.fault("budget", "%s for all look-ups of a message is less than the %s of one try (resolver.timeout)",
					measured(int64(r.Budget), timeUnits), measured(int64(r.Timeout), timeUnits))
			}
		},
		key("servers", list(hostPort("a DNS server as host or host:port", 53)), func(r *Resolver) *[]string { return &r.Servers }),
		key("timeout", duration(10*time.Millisecond, time.Minute), func(r *Resolver) *time.Duration { return &r.Timeout }),
		key("budget", duration(10*time.Millisecond, 5*time.Minute), func(r *Resolver) *time.Duration { return &r.Budget }),
		key("cache_entries", integer(1, 100_000_000), func(r *Resolver) *int { return &r.CacheEntries }),
	)
}

// limitsSchema keeps the key sizes within what RFC 8301 section 3.2 requires of a
// verifier: never below 1024 bits, and at least up to 4096 unless configured.
func limitsSchema() kind[Limits] {
	const leastBits, mostBits = 1024, 16384
	return section(
		func(s *scope, l *Limits) {
			if s.sound("rsa_bits_min", "rsa_bits_max") && l.RSABitsMax < l.RSABitsMin {
				s.fault("rsa_bits_max", "%d is less than rsa_bits_min, %d", l.RSABitsMax, l.RSABitsMin)
			}
		},
		key("signatures", integer(1, 100), func(l *Limits) *int { return &l.Signatures }),
		key("header_bytes", size(1<<10, 64<<20), func(l *Limits) *int64 { return &l.HeaderBytes }),
		key("header_fields", integer(10, 100_000), func(l *Limits) *int { return &l.HeaderFields }),
		key("connections", integer(1, 1_000_000), func(l *Limits) *int { return &l.Connections }),
		key("rsa_bits_min", integer(leastBits, mostBits), func(l *Limits) *int { return &l.RSABitsMin }),
		key("rsa_bits_max", integer(leastBits, mostBits), func(l *Limits) *int { return &l.RSABitsMax }),
	)
}

func httpSchema() kind[HTTP] {
	listen := orEmpty(hostPort("host:port, or \"\" for none", 0))
	return section(checkHTTP,
		key("listen", listen, func(h *HTTP) *string { return &h.Listen }),
		key("tls_cert", path(), func(h *HTTP) *string { return &h.TLSCert }),
		key("tls_key", path(), func(h *HTTP) *string { return &h.TLSKey }),
		key("proxy", section(checkProxy,
			key("header", orEmpty(fieldName()), func(p *Proxy) *string { return &p.Header }),
			key("network", orNoPrefix(prefix()), func(p *Proxy) *netip.Prefix { return &p.Network }),
		), func(h *HTTP) *Proxy { return &h.Proxy }),
		key("metrics_listen", listen, func(h *HTTP) *string { return &h.MetricsListen }),
	)
}

func logSchema() kind[Log] {
	return section(nil,
		key("level", word(LevelDebug, LevelInfo, LevelWarn, LevelError), func(l *Log) *LogLevel { return &l.Level }),
		key("format", word(FormatJSON, FormatText), func(l *Log) *LogFormat { return &l.Format }),
		key("addresses", boolean(), func(l *Log) *bool { return &l.Addresses }),
	)
}

func retentionSchema() kind[Retention] {
	span := duration(time.Hour, 20*year)
	return section(checkRetention,
		key("messages", span, func(r *Retention) *time.Duration { return &r.Messages }),
		key("traces", span, func(r *Retention) *time.Duration { return &r.Traces }),
		key("aggregates", span, func(r *Retention) *time.Duration { return &r.Aggregates }),
		key("raw_reports", span, func(r *Retention) *time.Duration { return &r.RawReports }),
		key("received", span, func(r *Retention) *time.Duration { return &r.Received }),
		key("received_rollups", span, func(r *Retention) *time.Duration { return &r.ReceivedRollups }),
		key("max_bytes", size(1<<20, 1<<50), func(r *Retention) *int64 { return &r.MaxBytes }),
	)
}

func reportsSchema() kind[Reports] {
	return section(checkReports,
		key("enabled", boolean(), func(r *Reports) *bool { return &r.Enabled }),
		key("org_name", freeText("a name", maxName), func(r *Reports) *string { return &r.OrgName }),
		key("email", orEmpty(mailbox()), func(r *Reports) *string { return &r.Email }),
		key("contact", freeText("a line of text", maxText), func(r *Reports) *string { return &r.Contact }),
		key("at", timeOfDay(), func(r *Reports) *TimeOfDay { return &r.At }),
		key("scope", word(ScopeAll, ScopeFailureDays, ScopeFailures), func(r *Reports) *Scope { return &r.Scope }),
		key("smtp", smtpServer(), func(r *Reports) *string { return &r.SMTP }),
		key("username", freeText("a user name", maxName), func(r *Reports) *string { return &r.Username }),
		key("password_file", path(), func(r *Reports) *string { return &r.PasswordFile }),
		key("dkim", section(checkReportKey,
			key("domain", orNoDomain(domain()), func(k *ReportKey) *dns.Name { return &k.Domain }),
			key("selector", orEmpty(selector()), func(k *ReportKey) *string { return &k.Selector }),
			key("key_file", path(), func(k *ReportKey) *string { return &k.KeyFile }),
		), func(r *Reports) *ReportKey { return &r.DKIM }),
		key("exclude", patterns(false), func(r *Reports) *policy.DomainList { return &r.Exclude }),
		key("min_messages", integer(1, 1_000_000), func(r *Reports) *int { return &r.MinMessages }),
		key("failure", section(nil,
			key("enabled", boolean(), func(f *FailureReports) *bool { return &f.Enabled }),
			key("per_hour", integer(1, 100_000), func(f *FailureReports) *int { return &f.PerHour }),
		), func(r *Reports) *FailureReports { return &r.Failure }),
	)
}

func notifySchema() kind[Notify] {
	return section(nil,
		key("smtp", smtpServer(), func(n *Notify) *string { return &n.SMTP }),
		key("from", orStandard(mailbox()), func(n *Notify) *string { return &n.From }),
		templateField(),
		key("per_hour", integer(1, 100_000), func(n *Notify) *int { return &n.PerHour }),
	)
}
