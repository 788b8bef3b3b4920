package inbound_test

import (
	"strings"
	"testing"

	"dmarcd/internal/policy"
)

// fromZone has a victim that rejects forgeries, and an attacker whose own mail passes.
const fromZone = `
victim.example. TXT "v=spf1 -all"
_dmarc.victim.example. TXT "v=DMARC1; p=reject"
evil.test. TXT "v=spf1 ip4:203.0.113.9 -all"
_dmarc.evil.test. TXT "v=DMARC1; p=reject"
`

// fromEvil is mail of the attacker, whose SPF passes for evil.test, with these header lines.
func fromEvil(header string) mail {
	return mail{client: "203.0.113.9", mailFrom: "x@evil.test", raw: header + "Subject: x\n\nbody\n"}
}

// TestFromOnTheWire sends From fields that a reader could take for the victim's. The
// reply says what is wrong with them.
func TestFromOnTheWire(t *testing.T) {
	const (
		fields    = "several From fields"
		addresses = "several addresses"
		unread    = "cannot be read"
	)
	cases := []struct{ name, header, reply string }{
		{"none", "", "no From field"},
		{"no address", "From: Ann\n", "no address"},
		{"null address", "From: <>\n", "no address"},
		{"two fields", "From: ceo@victim.example\nFrom: x@evil.test\n", fields},
		{"two fields of a domain", "From: The Boss <y@evil.test>\nFrom: x@evil.test\n", fields},
		{"the same field twice", "From: x@evil.test\nFrom: x@evil.test\n", fields},
		{"two fields, other letter case", "FROM: y@evil.test\nfrom: x@evil.test\n", fields},
		{"two addresses", "From: ceo@victim.example, x@evil.test\n", addresses},
		{"encoded word before a comma", "From: =?utf-8?Q?ceo=40victim.example?=, <x@evil.test>\n", addresses},
		{"encoded word with text behind", "From: =?utf-8?Q?ceo=40victim.example_?=x, <x@evil.test>\n", addresses},
		{"encoded word cut at the dot", "From: =?utf-8?Q?ceo=40victim?=.=?utf-8?Q?example?=, <x@evil.test>\n", addresses},
		{"encoded word cut in a label", "From: =?utf-8?B?Y2VvQHZpYw==?=\n =?utf-8?B?dGltLmV4YW1wbGU=?=, <x@evil.test>\n", addresses},
		{"UTF-16", "From: =?utf-16be?B?AGMAZQBvAEAAdgBpAGMAdABpAG0ALgBlAHgAYQBtAHAAbABl?=, <x@evil.test>\n", addresses},
		{"UTF-7", "From: =?utf-7?Q?ceo+AEA-victim.example?=, <x@evil.test>\n", addresses},
		{"phrase", "From: ceo@victim.example <x@evil.test>\n", addresses},
		{"fullwidth at sign", "From: ceo\uff20victim.example, <x@evil.test>\n", addresses},
		{"nested encoded word", "From: =?utf-8?Q?=3D=3Futf-8=3FQ=3Fceo=3D40victim.example=3F=3D?=, <x@evil.test>\n", addresses},
		{"charset that nobody knows", "From: =?x-secret?Q?ceo=7Cvictim.example?=, <x@evil.test>\n", unread},
		{"control character", "From: ceo\x01 <x@evil.test>\n", unread},
		{"domain literal", "From: x@[203.0.113.9]\n", unread},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, fromZone, "{}")
			res := r.send(fromEvil(c.header))
			if got := outcomeWord(res); got != "reject" || r.last().Decision.Reason != policy.ReasonMultipleFrom {
				t.Fatalf("%s by %s, want rejected by multiple_from", got, r.last().Decision.Reason)
			}
			if !strings.Contains(res.Text, c.reply) {
				t.Errorf("reply %q, want %q in it", res.Text, c.reply)
			}
		})
	}
}

// TestMalformedFromOnTheWire sends the attacker's own mail with From fields that break
// RFC 5322 but have one clear address: it is judged by that, and so is a forgery.
func TestMalformedFromOnTheWire(t *testing.T) {
	for name, value := range map[string]string{
		"colon":                      "Re: Ann <x@%>",
		"comma after encoded word":   "=?utf-8?Q?Doe?=, John <x@%>",
		"semicolon":                  "Ann; Bob <x@%>",
		"at sign before a word":      "Ann @ann <x@%>",
		"bracket left open":          "Ann <x@%",
		"quote left open":            "\"Ann <x@%>",
		"text behind the address":    "x@% (Ann) via List",
		"raw Latin-1":                "B\xfccher: <x@%>",
		"Japanese, escape sequences": "\x1b$B;3ED\x1b(B: <x@%>",
		"brackets":                   "[List] Ann <x@%>",
		"address twice":              "x@% <x@%>",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fromZone, "{}")
			res := r.send(fromEvil("From: " + strings.ReplaceAll(value, "%", "evil.test") + "\n"))
			if got := outcomeWord(res); got != "accept" || r.last().Decision.Reason != policy.ReasonPass {
				t.Errorf("%s by %s, want accepted by pass: %s", got, r.last().Decision.Reason, res.Text)
			}
			res = r.send(fromEvil("From: " + strings.ReplaceAll(value, "%", "victim.example") + "\n"))
			if got := outcomeWord(res); got != "reject" || r.last().Decision.Reason != policy.ReasonPolicy {
				t.Errorf("forged: %s by %s, want rejected by policy: %s", got, r.last().Decision.Reason, res.Text)
			}
		})
	}
}

// TestSecondFromOverReplayedSignature sees that a signature over one From does not carry
// a second one of the same domain.
func TestSecondFromOverReplayedSignature(t *testing.T) {
	s := newSigner("signer.example", "s1")
	r := newRig(t, fromZone+s.record()+"_dmarc.signer.example. TXT \"v=DMARC1; p=reject\"\n", "{}")
	signed := s.sign(t, "From: ann@signer.example\nSubject: invoice\n\nbody\n")
	genuine := mail{client: "203.0.113.9", mailFrom: "x@evil.test", raw: signed}
	if got := outcomeWord(r.send(genuine)); got != "accept" || r.last().Decision.Reason != policy.ReasonPass {
		t.Fatalf("the signed message: %s by %s, want accepted by pass", got, r.last().Decision.Reason)
	}
	res := r.send(genuine.with("From: The Boss <boss@signer.example>\nSubject: urgent\n"))
	if got := outcomeWord(res); got != "reject" || !strings.Contains(res.Text, "several From fields") {
		t.Errorf("with a second From: %s %q, want rejected", got, res.Text)
	}
}
