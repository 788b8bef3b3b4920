package settings

import (
	"net/netip"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// testEntry is a verdict that the admin expects.
func testEntry() kind[Test] {
	spfWord := word(spf.None, spf.Neutral, spf.Pass, spf.Fail, spf.Softfail, spf.TempError, spf.PermError)
	dkimWord := word(dkim.None, dkim.Pass, dkim.Fail, dkim.Policy, dkim.Neutral, dkim.TempError, dkim.PermError)
	entry := section(
		func(s *scope, t *Test) {
			s.missing("rcpt", "from", "policy", "expect")
			t.At = Place{File: s.d.file, Line: s.node.Line, Column: s.node.Column}
			if !s.has("mailfrom") {
				t.MailFrom = t.From
			}
		},
		key("name", freeText("a name", maxName), func(t *Test) *string { return &t.Name }),
		key("rcpt", mailAddress(), func(t *Test) *message.Address { return &t.Rcpt }),
		key("from", mailAddress(), func(t *Test) *message.Address { return &t.From }),
		key("mailfrom", reversePath(), func(t *Test) *message.Address { return &t.MailFrom }),
		key("ip", address(), func(t *Test) *netip.Addr { return &t.IP }),
		key("helo", freeText("a HELO name", maxName), func(t *Test) *string { return &t.Helo }),
		key("spf", wordOr(
			convert(spfWord, func(r spf.Status) SPFCase { return SPFCase{Result: r} }, func(c SPFCase) spf.Status { return c.Result }),
			section(
				func(s *scope, _ *SPFCase) { s.missing("result") },
				key("result", spfWord, func(c *SPFCase) *spf.Status { return &c.Result }),
				key("d", domain(), func(c *SPFCase) *dns.Name { return &c.Domain })),
			func(c SPFCase) bool { return c.Domain.IsZero() },
		), func(t *Test) *SPFCase { return &t.SPF }),
		key("dkim", wordOr(
			convert(dkimWord, func(r dkim.Status) DKIMCase { return DKIMCase{Result: r} }, func(c DKIMCase) dkim.Status { return c.Result }),
			section(
				func(s *scope, _ *DKIMCase) { s.missing("result") },
				key("result", dkimWord, func(c *DKIMCase) *dkim.Status { return &c.Result }),
				key("d", domain(), func(c *DKIMCase) *dns.Name { return &c.Domain })),
			func(c DKIMCase) bool { return c.Domain.IsZero() },
		), func(t *Test) *DKIMCase { return &t.DKIM }),
		key("policy", word(PublishedNone, PublishedQuarantine, PublishedReject, PublishedNoRecord), func(t *Test) *Published { return &t.Policy }),
		key("expect", word(policy.Bypass, policy.Quarantine, policy.Reject, policy.Defer, policy.Discard), func(t *Test) *policy.Action { return &t.Expect }),
	)
	return withDefault(entry, Test{SPF: SPFCase{Result: spf.None}, DKIM: DKIMCase{Result: dkim.None}})
}

// mailAddress is an e-mail address in its parts.
func mailAddress() kind[message.Address] {
	return scalarOf(expectedMailbox, parseMailbox, func(a message.Address) *yaml.Node { return quoted(a.String()) })
}

// reversePath is an address, a domain, or <> for the null sender.
func reversePath() kind[message.Address] {
	const null = "<>"
	return scalarOf("an e-mail address, a domain or <>",
		func(s string) (message.Address, error) {
			if s == null {
				return message.Address{}, nil
			}
			if n, err := parseDomain(s); err == nil {
				return message.Address{Host: n.String(), Domain: n}, nil
			}
			return parseMailbox(s)
		},
		func(a message.Address) *yaml.Node {
			switch {
			case a == message.Address{}:
				return quoted(null)
			case a.Local == "":
				return quoted(a.Host)
			}
			return quoted(a.String())
		})
}
