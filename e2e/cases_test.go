//go:build e2e

package e2e

import "testing"

// Where mail of the cases comes from.
const (
	goodClient  = "198.51.100.10" // in the SPF record of good.example
	bareClient  = "198.51.100.11" // too, and Sendmail takes bare LF from it
	exception   = "198.51.100.99" // in the policy's list of exceptions
	stranger    = "203.0.113.66"  // in no SPF record
	seedsClient = "10.204.148.40" // of the seed's example header
)

// disposition is what happens to a message.
type disposition string

const (
	delivered disposition = "delivered"
	held      disposition = "held"
	refused   disposition = "refused"
)

// scenario is one message: who sends it, and what must come of it.
type scenario struct {
	name   string
	client string // address of the SMTP client
	helo   string // "client.example" if empty
	from   string // MAIL FROM; empty: the null sender
	to     string // domain of the recipient; "example.org" if empty
	letter letter

	want  disposition
	reply string // part of the answer to the end of the message
	ar    string // our Authentication-Results, unfolded, "*" for any word; "none": there must be none
	xtm   string // X-TM-Authentication-Results likewise
}

var scenarios = []scenario{
	{
		name:   "signed and aligned",
		client: goodClient, helo: "mail.good.example", from: "bounce@good.example",
		letter: letter{from: "good.example", signer: "good.example"},
		want:   delivered,
		ar: "spf=pass smtp.mailfrom=good.example; dkim=pass header.d=good.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=good.example policy.dmarc=reject",
		xtm: "spf=pass (sender IP address: 198.51.100.10) smtp.mailfrom=good.example; " +
			"dkim=pass (signatures verified) header.d=good.example; dmarc=pass action=none header.from=good.example;",
	},
	{
		name:   "the same by IPv6",
		client: clientV6, helo: "mail.good.example", from: "bounce@good.example",
		letter: letter{from: "good.example"},
		want:   delivered,
		ar:     "spf=pass smtp.mailfrom=good.example; dkim=none; dmarc=pass header.from=good.example policy.dmarc=reject",
		xtm: "spf=pass (sender IP address: 2001:db8::66) smtp.mailfrom=good.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=pass action=none header.from=good.example;",
	},
	{
		name:   "null sender",
		client: goodClient, helo: "mail.good.example",
		letter: letter{from: "good.example"},
		want:   delivered,
		ar:     "spf=pass smtp.helo=mail.good.example; dkim=none; dmarc=pass header.from=good.example policy.dmarc=reject",
		xtm: "spf=pass (sender IP address: 198.51.100.10) smtp.mailfrom=none; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=pass action=none header.from=good.example;",
	},
	{
		name:   "spoof of a domain with p=reject",
		client: stranger, from: "ceo@bank.example",
		letter: letter{from: "bank.example"},
		want:   refused, reply: "5.7.1 bank.example asks to reject mail that fails DMARC: SPF fail, DKIM none",
	},
	{
		name:   "own words for a refusal, with a percent sign",
		client: stranger, from: "ceo@bank.example", to: "strict.example",
		letter: letter{from: "bank.example"},
		want:   refused, reply: "5.7.1 bank.example refuses this 100% (SPF fail, DKIM none)",
	},
	{
		name:   "spoof of a domain with p=quarantine",
		client: stranger, from: "ceo@shop.example",
		letter: letter{from: "shop.example"},
		want:   held,
		ar:     "spf=fail smtp.mailfrom=shop.example; dkim=none; dmarc=fail header.from=shop.example policy.dmarc=quarantine",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=shop.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=fail action=quarantine header.from=shop.example;",
	},
	{
		name:   "spoof of a domain with p=none",
		client: stranger, from: "ceo@news.example",
		letter: letter{from: "news.example"},
		want:   delivered,
		ar:     "spf=fail smtp.mailfrom=news.example; dkim=none; dmarc=fail header.from=news.example policy.dmarc=none",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=news.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=fail action=none header.from=news.example;",
	},
	{
		name:   "spoof of a domain without a record",
		client: stranger, from: "ceo@silent.example",
		letter: letter{from: "silent.example"},
		want:   delivered,
		ar:     "spf=fail smtp.mailfrom=silent.example; dkim=none; dmarc=none header.from=silent.example",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=silent.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=none action=none header.from=silent.example;",
	},
	{
		name:   "no record, and the recipient quarantines that",
		client: stranger, from: "ceo@silent.example", to: "norecord.example",
		letter: letter{from: "silent.example"},
		want:   held,
		ar:     "spf=fail smtp.mailfrom=silent.example; dkim=none; dmarc=none header.from=silent.example",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=silent.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=none action=quarantine header.from=silent.example;",
	},
	{
		name:   "spoof from an exception address",
		client: exception, from: "ceo@bank.example",
		letter: letter{from: "bank.example"},
		want:   delivered,
		ar:     "spf=fail smtp.mailfrom=bank.example; dkim=none",
		xtm:    "none",
	},
	{
		name:   "a partner's signed mail from a host its SPF record lacks",
		client: stranger, from: "sales@partner.example",
		letter: letter{from: "partner.example", signer: "partner.example"},
		want:   delivered,
		ar: "spf=softfail smtp.mailfrom=partner.example; dkim=pass header.d=partner.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=partner.example policy.dmarc=none",
	},
	{
		name:   "the same where the partner is an enforced peer",
		client: stranger, from: "sales@partner.example", to: "strict.example",
		letter: letter{from: "partner.example", signer: "partner.example"},
		want:   held,
		ar: "spf=softfail smtp.mailfrom=partner.example; dkim=pass header.d=partner.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=partner.example policy.dmarc=none",
		xtm: "spf=softfail (sender IP address: 203.0.113.66) smtp.mailfrom=partner.example; " +
			"dkim=pass (signatures verified) header.d=partner.example; dmarc=fail action=quarantine header.from=partner.example;",
	},
	{
		name:   "spoof to a monitored domain",
		client: stranger, from: "ceo@bank.example", to: "watched.example",
		letter: letter{from: "bank.example"},
		want:   delivered,
		ar:     "spf=fail smtp.mailfrom=bank.example; dkim=none; dmarc=fail header.from=bank.example policy.dmarc=reject",
		xtm: "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=bank.example; " +
			"dkim=none (no processed signatures) header.d=none; dmarc=fail action=reject header.from=bank.example;",
	},
	{
		name:   "the seed's example header",
		client: seedsClient, from: "user@test.com", to: "legacy.example",
		letter: letter{from: "test.com"},
		want:   delivered,
		ar:     "spf=fail smtp.mailfrom=test.com; dkim=none; dmarc=fail header.from=test.com policy.dmarc=reject",
		xtm: "spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=test.com; " +
			"dkim=pass (no processed signatures) header.d=none; dmarc=fail action=reject header.from=test.com;",
	},
	{
		name:   "from a trusted network",
		client: "127.0.0.1", from: "ceo@bank.example",
		letter: letter{from: "bank.example"},
		want:   delivered, ar: "none", xtm: "none",
	},
	{
		name:   "a sender whose name servers are dead",
		client: stranger, from: "ceo@dead.example",
		letter: letter{from: "dead.example"},
		want:   delivered,
		ar:     "spf=temperror smtp.mailfrom=dead.example; dkim=none; dmarc=temperror header.from=dead.example",
	},
	{
		name:   "signed simple, with odd leading space",
		client: goodClient, from: "bounce@good.example",
		letter: letter{from: "good.example", signer: "good.example", simple: true,
			subject: "\t  odd   spaces\r\n \t and a fold "},
		want: delivered,
		ar: "spf=pass smtp.mailfrom=good.example; dkim=pass header.d=good.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=good.example policy.dmarc=reject",
	},
	{
		name:   "signed simple, without any leading space",
		client: goodClient, from: "bounce@good.example",
		letter: letter{from: "good.example", signer: "good.example", simple: true, subject: "tight"},
		want:   delivered,
		ar: "spf=pass smtp.mailfrom=good.example; dkim=pass header.d=good.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=good.example policy.dmarc=reject",
	},
	{
		name:   "signed, with 8-bit header",
		client: goodClient, from: "bounce@good.example",
		letter: letter{from: "good.example", signer: "good.example", subject: " Gr\u00fc\u00dfe, caf\xe9 \u5b57"},
		want:   delivered,
		ar: "spf=pass smtp.mailfrom=good.example; dkim=pass header.d=good.example header.s=s1 header.a=rsa-sha256 header.b=*; " +
			"dmarc=pass header.from=good.example policy.dmarc=reject",
	},
}

// TestScenarios sends every scenario through both MTAs.
func TestScenarios(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				server := m.addr()
				if s.client == clientV6 {
					server = m.addrV6()
				}
				helo := s.helo
				if helo == "" {
					helo = "client.example"
				}
				to := rcpt(t, s.to)
				answer := dial(t, server, s.client, helo).send(s.from, s.letter.text(to), to)
				s.check(t, m, to, answer)
			})
		}
	})
}
