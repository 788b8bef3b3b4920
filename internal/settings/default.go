package settings

import (
	"path/filepath"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Default is the settings that two empty files give on a host of that name. The
// caller owns the result.
func Default(hostname string) *Settings {
	s := &Settings{
		PolicyFile:        "policy.yaml",
		Policy:            *defaultPolicy(),
		AuthServID:        hostname,
		Listen:            []Listen{{Socket: "inet:8893@127.0.0.1"}},
		StateDir:          "/var/lib/dmarcd",
		Store:             "sqlite:dmarcd.db",
		SkipAuthenticated: true,
		Resolver:          Resolver{Timeout: 2 * time.Second, Budget: 10 * time.Second, CacheEntries: 200_000},
		Discovery:         DiscoveryTreeWalk,
		Limits: Limits{
			Signatures: 10, HeaderBytes: 1 << 20, HeaderFields: 2000, Connections: 4000,
			RSABitsMin: 1024, RSABitsMax: 4096,
		},
		OnTrouble: TroubleAccept,
		HTTP:      HTTP{Listen: "127.0.0.1:8894"},
		Log:       Log{Level: LevelInfo, Format: FormatJSON},
		Retention: Retention{
			Messages: 30 * day, Traces: 7 * day, Aggregates: 400 * day, RawReports: 400 * day,
			Received: 400 * day, ReceivedRollups: 1825 * day, MaxBytes: 20 << 30,
		},
		Reports: Reports{
			At: 30, Scope: ScopeAll, SMTP: "127.0.0.1:25", MinMessages: 1,
			Failure: FailureReports{PerHour: 60},
		},
		Analysis: Analysis{
			Enabled: true,
			Alerts:  Alerts{Language: English},
			Poll:    6 * time.Hour,
			Limits:  AnalysisLimits{MailBytes: 25 << 20, ExpandedBytes: 100 << 20, Ratio: 200, Entries: 50, Records: 250_000},
		},
		Notify: Notify{SMTP: "127.0.0.1:25", PerHour: 60},
	}
	if from, err := parseMailbox("dmarcd@" + hostname); err == nil {
		s.Notify.From = from.String()
	}
	for _, network := range []string{"127.0.0.0/8", "::1/128"} {
		if p, err := parsePrefix(network); err == nil {
			s.TrustedNetworks.Add(p)
		}
	}
	return s
}

// Builtin is Default without any file: state is below stateDir, the policy is the
// built-in one.
func Builtin(hostname, stateDir string) (*Settings, error) {
	s := Default(hostname)
	s.PolicyFile = ""
	s.StateDir = filepath.Clean(stateDir)
	if _, err := parseAuthServID(hostname); err != nil {
		return nil, Faults{hostNameFault("", hostname)}
	}
	return s, nil
}

// hostNameFault reports that the host's name is not valid in Authentication-Results.
func hostNameFault(file, hostname string) Fault {
	return Fault{
		File: file, Key: "authserv_id",
		Problem: "the name of this host, \"" + printable(clip(hostname)) + "\", cannot be used; set authserv_id to a name such as mx.example.org",
	}
}

// defaultPolicy is the policy of an empty file.
func defaultPolicy() *Policy {
	rules := defaultRules(policy.Enforce)
	return &Policy{
		Mode:            policy.Enforce,
		MixedRecipients: OnConflict,
		DeferLimit:      4 * time.Hour,
		Default:         &rules,
		Domains:         map[dns.Name]*policy.Rules{},
	}
}

// defaultRules are the built-in rules: the values of omitted keys.
func defaultRules(mode policy.Mode) policy.Rules {
	text, _ := policy.ParseTemplate(policy.DefaultRejectText) // a test reads it
	return policy.Rules{
		Mode: mode,
		DMARC: policy.DMARCRules{
			Enabled:               true,
			Criteria:              policy.CriteriaRFC,
			Senders:               policy.DomainList{All: true},
			EnforcedPeerAction:    policy.PeerQuarantine,
			XHeader:               true,
			AuthenticationResults: true,
			DailyReports:          true,
			Actions: policy.Slots{
				None: policy.Bypass, Quarantine: policy.Quarantine, Reject: policy.Reject,
				NoRecord: policy.Bypass, Temperror: policy.TemperrorByPolicy,
			},
			NoRecordWhen: policy.NoRecordAlways,
			MultipleFrom: policy.Reject,
			RejectText:   text,
		},
		SPF: policy.SPFRules{Actions: policy.SPFActions{
			Fail: policy.Reject, Softfail: policy.Bypass, Neutral: policy.Bypass,
			None: policy.Bypass, Permerror: policy.Bypass, Temperror: policy.Bypass,
		}},
		DKIM: policy.DKIMRules{Actions: policy.DKIMActions{
			Fail: policy.Quarantine, None: policy.Bypass, Temperror: policy.Bypass,
		}},
		Quarantine: policy.QuarantineRules{Method: policy.QuarantineHold},
	}
}
