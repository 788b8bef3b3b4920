package settings

import (
	"io/fs"
	"maps"
	"net/netip"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
)

// analysisSchema is every key below `analysis`.
func analysisSchema() kind[Analysis] {
	return section(nil,
		key("enabled", boolean(), func(a *Analysis) *bool { return &a.Enabled }),
		key("domains", list(domain()), func(a *Analysis) *[]dns.Name { return &a.Domains }),
		key("addresses", list(reportAddress()), func(a *Analysis) *[]ReportAddress { return &a.Addresses }),
		key("discard", boolean(), func(a *Analysis) *bool { return &a.Discard }),
		key("lmtp", lmtpSocket(), func(a *Analysis) *LMTP { return &a.LMTP }),
		key("folder", reportFolder(), func(a *Analysis) *ReportFolder { return &a.Folder }),
		key("source_map", path(), func(a *Analysis) *string { return &a.SourceMap }),
		key("mmdb", path(), func(a *Analysis) *string { return &a.MMDB }),
		key("failure_reports", boolean(), func(a *Analysis) *bool { return &a.FailureReports }),
		key("imap", list(imapEntry()), func(a *Analysis) *[]IMAP { return &a.IMAP }),
		key("alerts", alertsSchema(), func(a *Analysis) *Alerts { return &a.Alerts }),
		key("poll", duration(10*time.Minute, 30*day), func(a *Analysis) *time.Duration { return &a.Poll }),
		key("limits", section(nil,
			key("mail_bytes", size(64<<10, 1<<30), func(l *AnalysisLimits) *int64 { return &l.MailBytes }),
			key("expanded_bytes", size(1<<20, 10<<30), func(l *AnalysisLimits) *int64 { return &l.ExpandedBytes }),
			key("ratio", integer(10, 100_000), func(l *AnalysisLimits) *int { return &l.Ratio }),
			key("entries", integer(1, 10_000), func(l *AnalysisLimits) *int { return &l.Entries }),
			key("records", integer(1000, 10_000_000), func(l *AnalysisLimits) *int { return &l.Records }),
		), func(a *Analysis) *AnalysisLimits { return &a.Limits }),
	)
}

// reportAddress is a mailbox for reports, or one with a domain's worth of local parts.
func reportAddress() kind[ReportAddress] {
	const expected = "an e-mail address, or {address, domains_by_local_part}"
	short := convert(scalarOf(expected, func(s string) (string, error) {
		a, err := parseMailbox(s)
		if err == nil && a.Local == "*" {
			err = &meant{reason: "* needs domains_by_local_part"}
		}
		return a.String(), err
	}, quoted), func(s string) ReportAddress { return ReportAddress{Address: s} },
		func(a ReportAddress) string { return a.Address })
	long := section(
		func(s *scope, a *ReportAddress) {
			s.missing("address")
			switch star := strings.HasPrefix(a.Address, "*@"); {
			case !s.has("address") || !s.sound("address", "domains_by_local_part"):
			case star && len(a.DomainsByLocalPart) == 0:
				s.fault("domains_by_local_part", "%s needs a local part with its domains", a.Address)
			case !star && len(a.DomainsByLocalPart) > 0:
				s.fault("address", "local parts of its own need an address of the form *@%s", a.Address[strings.LastIndexByte(a.Address, '@')+1:])
			}
		},
		key("address", mailbox(), func(a *ReportAddress) *string { return &a.Address }),
		key("domains_by_local_part", mapOf(localPart, list(domain())), func(a *ReportAddress) *map[string][]dns.Name { return &a.DomainsByLocalPart }))
	return wordOr(short, long, func(a ReportAddress) bool { return len(a.DomainsByLocalPart) == 0 })
}

func localPart(d *decoder, k *yaml.Node, s string) (string, bool) {
	if _, err := parseMailbox(s + "@localhost"); err != nil {
		d.wrong(k, "the part of an address before the @", s, err)
		return "", false
	}
	return strings.ToLower(s), true
}

// lmtpSocket is the LMTP listener: a socket as in listen, alone or with its options. Its
// section may call the socket path, as folder does.
func lmtpSocket() kind[LMTP] {
	socket := required(milterSocket())
	long := section(
		func(s *scope, l *LMTP) {
			switch {
			case s.has("path") && s.has("socket"):
				s.fault("path", "path and socket are two names of the same; write one")
			case s.has("path"):
				if s.sound("path") && isUnix(l.Socket) && l.Mode == 0 {
					l.Mode = unixMode
				}
			default:
				checkListen(s, &l.Listen)
			}
		},
		key("socket", socket, func(l *LMTP) *string { return &l.Socket }),
		hidden(key("path", socket, func(l *LMTP) *string { return &l.Socket })),
		key("mode", fileMode(), func(l *LMTP) *fs.FileMode { return &l.Mode }).unless(func(l *LMTP) bool { return !isUnix(l.Socket) }),
		key("group", orEmpty(groupName()), func(l *LMTP) *string { return &l.Group }).unless(func(l *LMTP) bool { return !isUnix(l.Socket) }),
		key("trust_results", boolean(), func(l *LMTP) *bool { return &l.TrustResults }))
	short := convert(orEmpty(milterSocket()), func(s string) LMTP { return LMTP{Listen: listenOn(s)} },
		func(l LMTP) string { return l.Socket })
	return aValue(wordOr(short, long, func(l LMTP) bool { return l.bare() && !l.TrustResults }))
}

// reportFolder is a folder, alone or with trust_results.
func reportFolder() kind[ReportFolder] {
	long := section(
		func(s *scope, _ *ReportFolder) { s.missing("path") },
		key("path", required(path()), func(f *ReportFolder) *string { return &f.Path }),
		key("trust_results", boolean(), func(f *ReportFolder) *bool { return &f.TrustResults }))
	short := convert(path(), func(s string) ReportFolder { return ReportFolder{Path: s} }, func(f ReportFolder) string { return f.Path })
	return aValue(wordOr(short, long, func(f ReportFolder) bool { return !f.TrustResults }))
}

// The ports of IMAP (RFC 8314 section 7.2 and RFC 3501 section 2.1).
const (
	portIMAPS = 993
	portIMAP  = 143
)

func imapEntry() kind[IMAP] {
	entry := section(checkIMAP,
		key("host", required(hostName()), func(i *IMAP) *string { return &i.Host }),
		key("port", integer(1, 65535), func(i *IMAP) *int { return &i.Port }),
		key("tls", word(IMAPImplicit, IMAPStartTLS, IMAPNone), func(i *IMAP) *IMAPSecurity { return &i.TLS }),
		key("ca_file", path(), func(i *IMAP) *string { return &i.CAFile }),
		key("user", required(freeText("a user name", maxName)), func(i *IMAP) *string { return &i.User }),
		key("password_file", path(), func(i *IMAP) *string { return &i.PasswordFile }),
		key("oauth_token_file", path(), func(i *IMAP) *string { return &i.OAuthTokenFile }),
		key("folder", required(freeText("a folder", maxName)), func(i *IMAP) *string { return &i.Folder }),
		key("done_folder", freeText("a folder", maxName), func(i *IMAP) *string { return &i.DoneFolder }),
		key("poll", duration(10*time.Second, day), func(i *IMAP) *time.Duration { return &i.Poll }),
		key("trust_results", boolean(), func(i *IMAP) *bool { return &i.TrustResults }),
	)
	return withDefault(entry, IMAP{TLS: IMAPImplicit, Folder: "INBOX", Poll: 5 * time.Minute})
}

func checkIMAP(s *scope, i *IMAP) {
	s.missing("host", "user")
	if i.Port == 0 {
		if i.Port = portIMAPS; i.TLS != IMAPImplicit {
			i.Port = portIMAP
		}
	}
	if s.sound("password_file", "oauth_token_file") {
		switch {
		case i.PasswordFile == "" && i.OAuthTokenFile == "":
			s.fault("password_file", "password_file or oauth_token_file is needed here")
		case i.PasswordFile != "" && i.OAuthTokenFile != "":
			s.fault("oauth_token_file", "one of password_file and oauth_token_file logs in; write one")
		}
	}
	if s.sound("host", "tls") && i.TLS == IMAPNone && i.Host != "" && !isLoopbackHost(i.Host) {
		s.fault("tls", "without TLS the password could be read on the way to %s; only a server on this host may be asked so", i.Host)
	}
	if i.DoneFolder != "" && i.DoneFolder == i.Folder {
		s.fault("done_folder", "read mail cannot be moved to the folder that it is read from")
	}
}

// isLoopbackHost reports whether a name or an address refers to this host only.
func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func alertsSchema() kind[Alerts] {
	language := word(English, Japanese)
	one := section(nil,
		key("to", list(mailbox()), func(a *DomainAlerts) *[]string { return &a.To }),
		key("language", language, func(a *DomainAlerts) *Language { return &a.Language }).unless(func(a *DomainAlerts) bool { return a.Language == "" }))
	return section(
		func(s *scope, a *Alerts) {
			if s.sound("webhook", "webhook_secret_file") && a.WebhookSecretFile != "" && a.Webhook == "" {
				s.fault("webhook_secret_file", "there is no webhook whose posts it could sign")
			}
		},
		key("to", list(mailbox()), func(a *Alerts) *[]string { return &a.To }),
		key("by_domain", byDomain(one), func(a *Alerts) *map[dns.Name]DomainAlerts { return &a.ByDomain }),
		key("webhook", webhook(), func(a *Alerts) *string { return &a.Webhook }),
		key("webhook_secret_file", path(), func(a *Alerts) *string { return &a.WebhookSecretFile }),
		key("language", language, func(a *Alerts) *Language { return &a.Language }),
	)
}

// byDomain is a mapping whose keys are domains.
func byDomain[V any](k kind[V]) kind[map[dns.Name]V] {
	name := func(d *decoder, k *yaml.Node, s string) (string, bool) {
		n, err := parseDomain(s)
		if err != nil {
			d.wrong(k, "a domain", s, err)
		}
		return n.String(), err == nil
	}
	return convert(mapOf(name, k),
		func(m map[string]V) map[dns.Name]V {
			if m == nil {
				return nil
			}
			out := make(map[dns.Name]V, len(m))
			for s, v := range m {
				if n, err := dns.Parse(s); err == nil {
					out[n] = v
				}
			}
			return out
		},
		func(m map[dns.Name]V) map[string]V {
			out := make(map[string]V, len(m))
			for n := range maps.Keys(m) {
				out[n.String()] = m[n]
			}
			return out
		})
}
