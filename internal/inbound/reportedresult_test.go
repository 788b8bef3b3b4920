package inbound_test

import (
	"strings"
	"testing"
)

// TestOverrideIsTold: Authentication-Results keep the result of RFC 9989 and say why a
// message that does not pass is let through all the same.
func TestOverrideIsTold(t *testing.T) {
	spoof := from("reject.example").by("203.0.113.9")
	for _, c := range []struct {
		name, policy string
		mail         mail
		want         string
	}{
		{"trusted forwarder", "{default: {dmarc: {trusted_forwarders: [{ip: 203.0.113.0/24}]}}}", spoof,
			`dmarc=fail reason="trusted forwarder" header.from=reject.example policy.dmarc=reject`},
		{"sender IP match", "{default: {sender_ip_match: [{domain: reject.example, networks: [203.0.113.0/24], action: quarantine}]}}", spoof,
			`dmarc=fail reason="sender IP match" header.from=reject.example policy.dmarc=reject`},
		{"a pass needs none", "{default: {dmarc: {trusted_forwarders: [{ip: 198.51.100.0/24}]}}}", from("reject.example").by("198.51.100.1"),
			"dmarc=pass header.from=reject.example policy.dmarc=reject"},
		{"none does not fit", "{default: {dmarc: {actions: {reject: bypass}, trusted_forwarders: [{ip: 198.51.100.0/24}]}}}", spoof,
			"dmarc=fail header.from=reject.example policy.dmarc=reject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy)
			res := r.send(c.mail)
			if got := outcomeWord(res); got != "accept" {
				t.Fatalf("%s: %s", got, res.Text)
			}
			got := strings.Join(fields(c.mail, res, "Authentication-Results"), "\n")
			if !strings.Contains(strings.ReplaceAll(got, "\r\n ", " "), c.want) {
				t.Errorf("%q, want %q in it", got, c.want)
			}
		})
	}
}

// TestRepliesOnTheWire checks that a reply is true of the message.
func TestRepliesOnTheWire(t *testing.T) {
	const zone = behaviourZone + `
other.example. TXT "v=spf1 ip4:203.0.113.0/24 -all"
`
	spoof := from("reject.example").sender("x@other.example").by("203.0.113.9")
	for _, c := range []struct {
		name, policy string
		mail         mail
		want         string
	}{
		{"unaligned pass", "{}", spoof, "SPF pass for other.example, which does not align, DKIM none"},
		{"enforced peer", "{default: {dmarc: {enforced_peers: [reject.example]}}}", from("reject.example").by("198.51.100.1"),
			"must pass both SPF and DKIM here"},
		{"hes", "{default: {dmarc: {criteria: hes}}}", spoof, "by the criteria hes"},
		{"standalone SPF", "{default: {spf: {enabled: true}}}", from("reject.example").by("203.0.113.9"), "5.7.23 SPF fail"},
		{"standalone DKIM", "{default: {dkim: {enabled: true, actions: {none: reject}}}}", from("reject.example").by("198.51.100.1"), "5.7.20 DKIM none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := newRig(t, zone, c.policy).send(c.mail)
			if got := outcomeWord(res); got != "reject" || !strings.Contains(res.Text, c.want) {
				t.Errorf("%s, %q; want rejected with %q", got, res.Text, c.want)
			}
		})
	}
}
