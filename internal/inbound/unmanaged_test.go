package inbound_test

import (
	"strings"
	"testing"

	"dmarcd/internal/policy"
)

// TestForgedFieldsOfUnmanagedMail removes what claims to be ours from mail that has
// no recipient of ours, and nothing else, unless it comes from our own side.
func TestForgedFieldsOfUnmanagedMail(t *testing.T) {
	const raw = "X-TM-Authentication-Results: spf=pass\nAuthentication-Results: mx.example.org; dmarc=pass\n" +
		"Authentication-Results: other.example; spf=pass\nX-TM-Quarantine: dmarc\nX-TM-Received-SPF: Pass\n" +
		"X-TM-Original-Recipients: <a@example.org>\nFrom: a@reject.example\n\nbody\n"
	spoof := mail{client: "203.0.113.9", mailFrom: "a@reject.example", raw: raw}.to("bob@elsewhere.example")
	names := []string{"X-TM-Authentication-Results", "X-TM-Quarantine", "X-TM-Received-SPF", "X-TM-Original-Recipients"}
	const policyYAML = "{managed: [example.org]}"
	t.Run("from outside", func(t *testing.T) {
		r := newRig(t, behaviourZone, policyYAML)
		res := r.send(spoof)
		if got := outcomeWord(res); got != "accept" || r.last().Bypassed != policy.ReasonNotOurs {
			t.Errorf("%s, %+v", got, r.last().Decision)
		}
		for _, name := range names {
			if got := fields(spoof, res, name); len(got) != 0 {
				t.Errorf("%s: %q is left", name, got)
			}
		}
		if got := fields(spoof, res, "Authentication-Results"); len(got) != 1 || !strings.Contains(got[0], "other.example") {
			t.Errorf("Authentication-Results: %q", got)
		}
		if len(r.last().Insert) != 0 {
			t.Errorf("added %+v", r.last().Insert)
		}
	})
	t.Run("through a relay", func(t *testing.T) {
		r := newRig(t, behaviourZone, policyYAML, "client_ip_from: {192.0.2.0/24: received}", "trusted_networks: [198.18.0.0/16]")
		outside := spoof.by("192.0.2.1").with("Received: from x (unknown [203.0.113.9]) by relay.example with ESMTP id 1; Mon, 30 Nov 2026 00:00:00 +0000\n")
		if got := fields(outside, r.send(outside), "X-TM-Quarantine"); len(got) != 0 {
			t.Errorf("from outside: %q is left", got)
		}
		own := spoof.by("192.0.2.1").with("Received: from x (unknown [198.18.0.1]) by relay.example with ESMTP id 1; Mon, 30 Nov 2026 00:00:00 +0000\n")
		if res := r.send(own); len(res.Mods) != 0 || r.last().Bypassed != policy.ReasonTrusted {
			t.Errorf("from our own side: %+v, %q", res.Mods, r.last().Bypassed)
		}
	})
	t.Run("too many to delete", func(t *testing.T) {
		r := newRig(t, behaviourZone, policyYAML)
		m := spoof.with(strings.Repeat("X-TM-Quarantine: x\n", 2001))
		if res := r.send(m); outcomeWord(res) != "accept" || len(res.Mods) != 0 {
			t.Errorf("%s with %d modifications", outcomeWord(res), len(res.Mods))
		}
		if !strings.Contains(r.log.String(), `"forged_kept":2006`) {
			t.Errorf("the log: %s", r.log)
		}
	})
}

// TestCostOfDeletions bounds what deleting forged fields costs the MTA, in both modes.
func TestCostOfDeletions(t *testing.T) {
	const forged, padding = "X-TM-Quarantine: x\n", "X-Padding: x\n"
	genuine := func(header string) mail {
		return mail{client: "198.51.100.1", mailFrom: "a@reject.example", raw: "From: a@reject.example\n" + header + "Subject: x\n\nbody\n"}
	}
	const monitor, tagging = "{mode: monitor}", `{default: {dmarc: {tag_subject: "[FAIL]"}}}`
	spoof := genuine(strings.Repeat(forged, 2100))
	spoof.client = "203.0.113.9"
	cases := []struct {
		name, policy string
		mail         mail
		want         string
		removed      int // fields
	}{
		{"as many as may be", "{}", genuine(strings.Repeat(forged, 1900)), "accept", 1900},
		{"one too deep", "{}", genuine(strings.Repeat(forged, 2001)), "reject", 0},
		{"few, but deep", "{}", genuine(strings.Repeat(padding, 100_000) + strings.Repeat(forged, 19)), "accept", 19},
		{"not so few, but deep", "{}", genuine(strings.Repeat(padding, 100_000) + strings.Repeat(forged, 21)), "reject", 0},
		{"monitored", monitor, genuine(strings.Repeat(forged, 27_000)), "accept", 0},
		{"monitored, deep", monitor, genuine(strings.Repeat(padding, 200_000) + strings.Repeat(forged, 1000)), "accept", 0},
		{"monitored, as many as may be", monitor, genuine(strings.Repeat(forged, 1900)), "accept", 1900},
		{"a forgery is refused with or without them", tagging, spoof, "reject", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy)
			res := r.send(c.mail)
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s, want %s (%+v)", got, c.want, r.last().Decision)
			}
			o := r.last()
			if len(o.Remove) != c.removed || o.ForgedKept != (c.removed == 0) {
				t.Errorf("%d removed, kept: %v; want %d", len(o.Remove), o.ForgedKept, c.removed)
			}
			if o.ForgedKept && (len(res.Mods) > 0 || len(o.Insert) > 0) {
				t.Errorf("%d modifications beside forged fields", len(res.Mods))
			}
			if logged := strings.Contains(r.log.String(), `"forged_kept"`); logged != o.ForgedKept {
				t.Errorf("the log: %.500s", r.log)
			}
		})
	}
}
