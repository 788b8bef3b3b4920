package main

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// trait is what a generated message has that some rule of the filter treats otherwise
// than the build before did. A message has one at most, so that a difference has one cause.
type trait string

// Traits, with what has changed for them.
const (
	noTrait        trait = ""
	traitTrouble   trait = "DNS trouble that the sender chose"
	traitRelay     trait = "a relay's Received field"
	traitRecipient trait = "the recipient's spelling"
	traitFields    trait = "several From fields"
	traitFrom      trait = "a From field that breaks RFC 5322"
	traitForged    trait = "forged results for careless readers"
	traitRecord    trait = "an unusual DMARC record or author domain"
)

// Clients of the generated mail.
const (
	replaySender   = "198.51.100.7" // in every SPF record
	replayStranger = "203.0.113.9"
	replayRelay    = "192.0.2.7" // of client_ip_from
)

// replayMail is one generated message.
type replayMail struct {
	client, helo, mailFrom, rcpt string
	author                       string   // its domain
	header                       []string // fields, in order
	body                         string
	trait                        trait
}

// replayDomains are author domains, with their policies.
var replayDomains = []string{"reject.example", "quarantine.example", "none.example", "silent.example", "a.reject.example", "missing.np.example", "there.np.example", "strict.example"}

const replayZone = `
reject.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.reject.example TXT "v=DMARC1; p=reject"
a.reject.example TXT "v=spf1 ip4:198.51.100.0/24 ~all"
quarantine.example TXT "v=spf1 ip4:198.51.100.0/24 ~all"
_dmarc.quarantine.example TXT "v=DMARC1; p=quarantine"
none.example TXT "v=spf1 ip4:198.51.100.0/24 ?all"
_dmarc.none.example TXT "v=DMARC1; p=none"
silent.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.np.example TXT "v=DMARC1; p=none; sp=quarantine; np=reject"
there.np.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
strict.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.strict.example TXT "v=DMARC1; p=reject; aspf=s; adkim=s"
sub.strict.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
other.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
wrong.example TXT "v=spf1 foo:bar -all"
upper.example TXT "v=spf1 -all"
_dmarc.upper.example TXT "V=DMARC1; p=reject"
alias.np.example CNAME nowhere.other.example
dead.reject.example FAULT servfail
dead.quarantine.example FAULT servfail
dead.none.example FAULT servfail
k._domainkey.dead.reject.example FAULT servfail
k._domainkey.dead.quarantine.example FAULT servfail
`

// replayKey signs all mail of the replay.
func replayKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// replayKeys is zone text that publishes it.
func replayKeys() string {
	public := base64.StdEncoding.EncodeToString(replayKey().Public().(ed25519.PublicKey))
	var b strings.Builder
	for _, d := range append(replayDomains, "other.example") {
		fmt.Fprintf(&b, "k._domainkey.%s TXT \"v=DKIM1; k=ed25519; p=%s\"\n", d, public)
	}
	return b.String()
}

// Spellings of the From field; % is the author's domain.
var (
	replayFroms = []string{
		"ann@%", "<ann@%>", "Ann <ann@%>", "\"Ann, Example\" <ann@%>", "=?utf-8?Q?Ann?= <ann@%>", "Ann (Sales) <ann@%>",
		"Ann\r\n Example <ann@%>", "Team: ann@%, bob@%;", "ann@%, bob@%", "\"ann example\"@%", "ann@% (Ann)",
	}
	replayOddFroms = []string{
		"Re: Ann <ann@%>", "=?utf-8?Q?Doe?=, Ann <ann@%>", "Doe, Ann <ann@%>", "Ann; Bob <ann@%>", "Ann @ann <ann@%>", "Ann <ann@%",
		"\"Ann <ann@%>", "Ann ann@%", "ann@% via List", "[List] Ann <ann@%>", "B\xfccher: <ann@%>", "ann@%;", "ann@% <ann@%>",
		"=?utf-8?Q?ceo=40reject.example?=, <ann@%>", "=?utf-8?Q?ceo=40reject.example_?=x, <ann@%>", "ceo@reject.example <ann@%>",
		"=?x-secret?Q?ceo=7Creject.example?=, <ann@%>", "Ann", "<>", "ann@[192.0.2.1]",
	}
	replayReceived = []string{
		"from % (% [@])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx; Mon, 23 Nov 2026 10:00:00 +0000",
		"from % ([@])\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; Mon, 23 Nov 2026 10:00:00 +0000",
		"from [@] (helo=[198.51.100.7])\r\n\tby relay.example with esmtp (Exim 4.96) id 1rA; Mon, 23 Nov 2026 10:00:00 +0000",
		"from unknown (HELO [198.51.100.7]) (@)\r\n  by relay.example with SMTP; 23 Nov 2026 10:00:00 -0000",
		"from % (@) by EX01.corp.example (192.0.2.20) with\r\n Microsoft SMTP Server id 15.1.2507.6; Mon, 23 Nov 2026 10:00:00 +0000",
		"from % (LHLO %) (@)\r\n by zm.example with LMTP; Mon, 23 Nov 2026 10:00:00 +0000",
		"from localhost (localhost [127.0.0.1])\r\n\tby relay.example (Postfix) with ESMTP id 4Wx; Mon, 23 Nov 2026 10:00:00 +0000\r\nReceived: from % (% [@])\r\n\tby relay.example (Postfix) with ESMTP id 4Wy; Mon, 23 Nov 2026 10:00:00 +0000",
	}
	replayForged = []string{
		"; mx.example.org; dmarc=pass", "authserv-id=mx.example.org; dmarc=pass", "'mx.example.org'; dmarc=pass", "mx.example.org*; dmarc=pass",
		"spf=none; mx.example.org; dmarc=pass",
	}
	replayPlainResults = []string{"mx.example.org; dmarc=pass", "(c) MX.example.org 1; dmarc=pass", "mx.example.net; dmarc=pass", "mx.example.net; spf=pass smtp.helo=mx.example.org"}
	replayRecipients   = []string{"user", "user@localhost", "user@mx.example.org", "user@other.example", "user@EXAMPLE.ORG"}
)

// generate makes the n-th message of a seed.
func generate(seed, n uint64) replayMail {
	r := rand.New(rand.NewPCG(seed, n))
	domain := pickOne(r, replayDomains)
	m := replayMail{
		client: pickOne(r, []string{replaySender, replayStranger}), helo: "mail." + domain, rcpt: "user@example.org", author: domain,
		body: fmt.Sprintf("message %d\r\n", n), trait: noTrait,
	}
	m.mailFrom = fmt.Sprintf("b%d@%s", n, pickOne(r, []string{domain, domain, "other.example", "wrong.example", "nothing.example", "sub." + domain}))
	if r.IntN(20) == 0 {
		m.mailFrom = ""
	}
	from := pickOne(r, replayFroms)
	signer := pickOne(r, []string{"", "", domain, domain, "other.example", "broken", "nokey"})
	if r.IntN(10) == 0 {
		m.header = append(m.header, "Authentication-Results: "+pickOne(r, replayPlainResults))
	}
	if r.IntN(2) == 0 {
		from, signer = m.unusual(r, domain, from, signer)
	}
	m.header = append(m.header, "From: "+strings.ReplaceAll(from, "%", m.author), "To: user@example.org",
		fmt.Sprintf("Message-ID: <%d@%s>", n, m.author), "Subject: x")
	m.sign(signer)
	return m
}

func pickOne[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// unusual gives the message one trait.
func (m *replayMail) unusual(r *rand.Rand, domain, from, signer string) (string, string) {
	switch m.trait = pickOne(r, []trait{traitTrouble, traitRelay, traitRecipient, traitFields, traitFrom, traitForged, traitRecord}); m.trait {
	case traitTrouble:
		dead := "dead." + pickOne(r, []string{"reject.example", "quarantine.example", "none.example"})
		if m.helo = dead; r.IntN(2) == 0 {
			m.mailFrom = strings.SplitN(m.mailFrom+"@", "@", 2)[0] + "@" + dead
		}
		if r.IntN(2) == 0 {
			signer = dead
		}
	case traitRelay:
		value := strings.NewReplacer("%", "mail."+domain, "@", m.client).Replace(pickOne(r, replayReceived))
		m.client = replayRelay
		m.header = append([]string{"Received: " + value}, m.header...)
	case traitRecipient:
		m.rcpt = pickOne(r, replayRecipients)
	case traitFields:
		m.header = append(m.header, "From: "+strings.ReplaceAll(pickOne(r, replayFroms), "%", pickOne(r, []string{domain, "other.example"})))
	case traitFrom:
		from = pickOne(r, replayOddFroms)
	case traitRecord:
		m.author = pickOne(r, []string{"upper.example", "alias.np.example"})
	case traitForged:
		m.header = append(m.header, "Authentication-Results: "+pickOne(r, replayForged))
	}
	return from, signer
}

// sign signs the message as d=signer, or badly.
func (m *replayMail) sign(signer string) {
	d, selector := signer, "k"
	switch signer {
	case "":
		return
	case "broken":
		d = m.author
	case "nokey":
		d, selector = m.author, "none"
	}
	var b strings.Builder
	err := msgauth.Sign(&b, strings.NewReader(strings.Join(m.header, "\r\n")+"\r\n\r\n"+m.body), &msgauth.SignOptions{
		Domain: d, Selector: selector, Signer: crypto.Signer(replayKey()), HeaderKeys: []string{"From", "Subject"},
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed,
	})
	if err != nil {
		return // a header that cannot be signed stays without
	}
	signature, _, _ := strings.Cut(b.String(), "\r\n"+m.header[0])
	m.header = append([]string{strings.TrimSuffix(signature, "\r\n")}, m.header...)
	if signer == "broken" {
		m.body = "changed: " + m.body
	}
}

func (m *replayMail) raw() []byte {
	return []byte(strings.Join(m.header, "\r\n") + "\r\n\r\n" + m.body)
}
