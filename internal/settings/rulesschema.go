package settings

import (
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// rulesFields are the keys of `default` and of each domain entry.
func rulesFields() []field[policy.Rules] {
	return []field[policy.Rules]{
		key("dmarc", dmarcSchema(), func(r *policy.Rules) *policy.DMARCRules { return &r.DMARC }),
		key("sender_ip_match", list(ipMatch()), func(r *policy.Rules) *[]policy.IPMatch { return &r.SenderIPMatch }),
		key("spf", spfSchema(), func(r *policy.Rules) *policy.SPFRules { return &r.SPF }),
		key("dkim", dkimSchema(), func(r *policy.Rules) *policy.DKIMRules { return &r.DKIM }),
		key("quarantine", quarantineSchema(), func(r *policy.Rules) *policy.QuarantineRules { return &r.Quarantine }),
	}
}

func dmarcSchema() kind[policy.DMARCRules] {
	type rules = policy.DMARCRules
	const maxTag = 100
	return section(checkDMARC,
		key("enabled", boolean(), func(r *rules) *bool { return &r.Enabled }),
		key("criteria", word(policy.CriteriaRFC, policy.CriteriaHES), func(r *rules) *policy.Criteria { return &r.Criteria }),
		key("senders", senders(), func(r *rules) *policy.DomainList { return &r.Senders }),
		key("exceptions", endingNetworks(), func(r *rules) *policy.NetList { return &r.Exceptions }),
		key("enforced_peers", peers(), func(r *rules) *policy.PeerList { return &r.EnforcedPeers }),
		key("enforced_peer_action", word(policy.PeerBypass, policy.PeerQuarantine, policy.PeerReject, policy.PeerSlot),
			func(r *rules) *policy.PeerAction { return &r.EnforcedPeerAction }),
		key("skip_null_sender", boolean(), func(r *rules) *bool { return &r.SkipNullSender }),
		key("x_header", boolean(), func(r *rules) *bool { return &r.XHeader }),
		key("authentication_results", boolean(), func(r *rules) *bool { return &r.AuthenticationResults }),
		key("daily_reports", boolean(), func(r *rules) *bool { return &r.DailyReports }),
		key("actions", slotsSchema(), func(r *rules) *policy.Slots { return &r.Actions }),
		key("no_record_when", word(policy.NoRecordAlways, policy.NoRecordUnauthenticated),
			func(r *rules) *policy.NoRecordWhen { return &r.NoRecordWhen }),
		key("multiple_from", slot(), func(r *rules) *policy.Action { return &r.MultipleFrom }),
		key("arc", section(checkARC,
			key("enabled", boolean(), func(a *policy.ARCRules) *bool { return &a.Enabled }),
			key("trusted_sealers", patterns(true), func(a *policy.ARCRules) *policy.DomainList { return &a.TrustedSealers }),
		), func(r *rules) *policy.ARCRules { return &r.ARC }),
		key("trusted_forwarders", list(forwarder()), func(r *rules) *[]policy.Forwarder { return &r.TrustedForwarders }),
		key("reject_text", rejectText(), func(r *rules) *policy.Template { return &r.RejectText }),
		key("tag_subject", freeText("a line of text", maxTag), func(r *rules) *string { return &r.TagSubject }),
		key("tag_signed", boolean(), func(r *rules) *bool { return &r.TagSigned }),
		key("notify", list(mailbox()), func(r *rules) *[]string { return &r.Notify }),
	)
}

// slot is an action of DMARC for failing mail.
func slot() kind[policy.Action] { return word(policy.Bypass, policy.Quarantine, policy.Reject) }

// standalone is an action of a check beside DMARC.
func standalone() kind[policy.Action] {
	k := word(policy.Bypass, policy.Quarantine, policy.Reject, policy.Discard)
	read := k.read
	k.read = func(d *decoder, n *yaml.Node, v *policy.Action) {
		if read(d, n, v); *v == policy.Discard {
			d.warn(n, "discard drops mail and tells nobody; reject lets the sender know")
		}
	}
	return k
}

// temporary is standalone for a check that DNS did not let finish.
func temporary() kind[policy.Action] {
	k := word(policy.Bypass, policy.Defer, policy.Quarantine, policy.Reject, policy.Discard)
	read := k.read
	k.read = func(d *decoder, n *yaml.Node, v *policy.Action) {
		switch read(d, n, v); *v {
		case policy.Reject, policy.Discard:
			d.warn(n, "%s refuses good mail for good whenever DNS fails; defer lets the sender try again", *v)
		}
	}
	return k
}

func slotsSchema() kind[policy.Slots] {
	return section(nil,
		key("none", slot(), func(s *policy.Slots) *policy.Action { return &s.None }),
		key("quarantine", slot(), func(s *policy.Slots) *policy.Action { return &s.Quarantine }),
		key("reject", slot(), func(s *policy.Slots) *policy.Action { return &s.Reject }),
		key("no_record", slot(), func(s *policy.Slots) *policy.Action { return &s.NoRecord }),
		key("temperror", word(policy.TemperrorByPolicy, policy.TemperrorBypass, policy.TemperrorDefer, policy.TemperrorQuarantine),
			func(s *policy.Slots) *policy.TemperrorAction { return &s.Temperror }),
	)
}

// forwarder is one of {dkim: DOMAIN}, {spf: DOMAIN} and {ip: NETWORK}.
func forwarder() kind[policy.Forwarder] {
	return section(
		func(s *scope, f *policy.Forwarder) {
			set := 0
			for _, name := range []string{"dkim", "spf", "ip"} {
				if s.has(name) {
					set++
				}
			}
			if set != 1 {
				s.d.fault(s.node, "expected one of dkim, spf and ip, found %d", set)
			}
			s.warnWide("ip", &f.IP, "whatever fails is let through from there")
		},
		key("dkim", domain(), func(f *policy.Forwarder) *dns.Name { return &f.DKIM }).unless(func(f *policy.Forwarder) bool { return f.DKIM.IsZero() }),
		key("spf", domain(), func(f *policy.Forwarder) *dns.Name { return &f.SPF }).unless(func(f *policy.Forwarder) bool { return f.SPF.IsZero() }),
		key("ip", oneNetwork(), func(f *policy.Forwarder) *policy.NetList { return &f.IP }).unless(func(f *policy.Forwarder) bool { return f.IP.Empty() }),
	)
}

// oneNetwork is a single network.
func oneNetwork() kind[policy.NetList] {
	return convert(prefix(),
		func(p netip.Prefix) policy.NetList {
			var l policy.NetList
			if p.IsValid() {
				l.Add(p)
			}
			return l
		},
		func(l policy.NetList) netip.Prefix {
			for _, p := range l.Prefixes() {
				return p
			}
			return netip.Prefix{}
		})
}

const maxRejectText = 400

// rejectText is the text of a 550 answer.
func rejectText() kind[policy.Template] {
	return scalarOf("one line of text",
		func(s string) (policy.Template, error) {
			if strings.TrimSpace(s) == "" {
				return policy.Template{}, &meant{reason: "it is empty"}
			}
			if len(s) > maxRejectText {
				return policy.Template{}, &meant{reason: "it is too long for one SMTP reply"}
			}
			// An enhanced code must agree with the 550 before it (RFC 3463 section 2).
			if isEnhanced(s) && s[0] != '5' {
				return policy.Template{}, &meant{reason: "the answer is always 550, so its code begins with 5"}
			}
			t, err := policy.ParseTemplate(s)
			if err != nil {
				return t, unknownVariable(s, err)
			}
			return t, nil
		},
		func(t policy.Template) *yaml.Node { return quoted(t.String()) })
}

// isEnhanced reports whether s begins like an enhanced status code.
func isEnhanced(s string) bool {
	digit := func(i int) bool { return i < len(s) && '0' <= s[i] && s[i] <= '9' }
	return digit(0) && len(s) > 1 && s[1] == '.' && digit(2)
}

// unknownVariable adds to a template's error the variable that is nearest to the
// first one unknown.
func unknownVariable(s string, err error) error {
	m := &meant{reason: err.Error()}
	for rest := s; ; {
		_, after, open := strings.Cut(rest, "{")
		name, next, closed := strings.Cut(after, "}")
		if !open || !closed {
			return m
		}
		if near := nearest(name, policy.TemplateVariables()); near != name && near != "" {
			m.hint = "{" + near + "}"
			return m
		}
		rest = next
	}
}

func ipMatch() kind[policy.IPMatch] {
	entry := section(
		func(s *scope, m *policy.IPMatch) {
			s.missing("domain")
			if m.Networks.Empty() {
				s.fault("networks", "at least one network is needed: the domain's mail comes from there alone")
			}
			s.warnWide("networks", &m.Networks, "whoever sends from there passes for the domain")
			if m.Domain.All && m.Action != policy.Bypass {
				s.warn("domain", "* is every domain: mail from outside the networks is never let through")
			}
		},
		key("domain", onePattern(), func(m *policy.IPMatch) *policy.DomainList { return &m.Domain }),
		key("networks", networks(true), func(m *policy.IPMatch) *policy.NetList { return &m.Networks }),
		key("action", standalone(), func(m *policy.IPMatch) *policy.Action { return &m.Action }),
	)
	return withDefault(entry, policy.IPMatch{Action: policy.Quarantine})
}

func spfSchema() kind[policy.SPFRules] {
	type actions = policy.SPFActions
	return section(checkSPF,
		key("enabled", boolean(), func(r *policy.SPFRules) *bool { return &r.Enabled }),
		key("ignored_peers", ignoredPeers(), func(r *policy.SPFRules) *policy.IgnoredPeers { return &r.Ignored }),
		key("x_header", boolean(), func(r *policy.SPFRules) *bool { return &r.XHeader }),
		key("actions", section(nil,
			key("fail", standalone(), func(a *actions) *policy.Action { return &a.Fail }),
			key("softfail", standalone(), func(a *actions) *policy.Action { return &a.Softfail }),
			key("neutral", standalone(), func(a *actions) *policy.Action { return &a.Neutral }),
			key("none", standalone(), func(a *actions) *policy.Action { return &a.None }),
			key("permerror", standalone(), func(a *actions) *policy.Action { return &a.Permerror }),
			key("temperror", temporary(), func(a *actions) *policy.Action { return &a.Temperror }),
		), func(r *policy.SPFRules) *actions { return &r.Actions }),
	)
}

// ignoredPeers are MAIL FROM domains, addresses and networks in one list.
func ignoredPeers() kind[policy.IgnoredPeers] {
	return entryList(entryForm{domains: true, networks: true, files: true, ends: true},
		func(l *policy.IgnoredPeers, e *entry) {
			if e.network.IsValid() {
				addNetwork(&l.Nets, e)
				return
			}
			addDomain(&l.Domains, e)
		},
		func(l policy.IgnoredPeers) []entry {
			return append(domainEntries(l.Domains), networkEntries(l.Nets)...)
		})
}

func dkimSchema() kind[policy.DKIMRules] {
	type actions = policy.DKIMActions
	return section(checkDKIM,
		key("enabled", boolean(), func(r *policy.DKIMRules) *bool { return &r.Enabled }),
		key("enforced_peers", endingPatterns(), func(r *policy.DKIMRules) *policy.DomainList { return &r.EnforcedPeers }),
		key("x_header", boolean(), func(r *policy.DKIMRules) *bool { return &r.XHeader }),
		key("skip_null_sender", boolean(), func(r *policy.DKIMRules) *bool { return &r.SkipNullSender }),
		key("actions", section(nil,
			key("fail", standalone(), func(a *actions) *policy.Action { return &a.Fail }),
			key("none", standalone(), func(a *actions) *policy.Action { return &a.None }),
			key("temperror", temporary(), func(a *actions) *policy.Action { return &a.Temperror }),
		), func(r *policy.DKIMRules) *actions { return &r.Actions }),
	)
}

func quarantineSchema() kind[policy.QuarantineRules] {
	return section(
		func(s *scope, q *policy.QuarantineRules) {
			switch {
			case !s.sound("method", "address"):
			case q.Method == policy.QuarantineRedirect && q.Address == "":
				s.fault("address", "method redirect needs the address to send to")
			case q.Method != policy.QuarantineRedirect && q.Address != "":
				s.warn("address", "only method redirect uses the address; method is %s", q.Method)
			}
		},
		key("method", word(policy.QuarantineHold, policy.QuarantineHeader, policy.QuarantineRedirect),
			func(q *policy.QuarantineRules) *policy.QuarantineMethod { return &q.Method }),
		key("address", orEmpty(mailbox()), func(q *policy.QuarantineRules) *string { return &q.Address }),
	)
}
