package inbound_test

import (
	"strings"
	"testing"
)

// TestTagOfLongSubject drops the tag and keeps the decision.
func TestTagOfLongSubject(t *testing.T) {
	r := newRig(t, behaviourZone, `{default: {dmarc: {tag_subject: "[SPOOF]"}}}`)
	m := from("quarantine.example").by("203.0.113.9")
	m.raw = "Subject: " + strings.Repeat("x", 66_000) + "\n" + m.raw
	if got := outcomeWord(r.send(m)); got != "quarantine" {
		t.Errorf("got %s, want quarantine", got)
	}
}

// TestRedirectKeepsRecipients lists the envelope's recipients of redirected mail.
func TestRedirectKeepsRecipients(t *testing.T) {
	r := newRig(t, behaviourZone, "{default: {quarantine: {method: redirect, address: quarantine@example.org}}}")
	odd := from("quarantine.example").by("203.0.113.9").with("X-TM-Original-Recipients: <mallory@evil.example>\n").to("\"x>, <y\x01\x80\"@example.org")
	for range 700 {
		odd.rcpts = append(odd.rcpts, "a.rather.long.local.part@example.org")
	}
	res := r.send(odd)
	got := fields(odd, res, "X-TM-Original-Recipients")
	if len(got) != 1 || !strings.HasPrefix(got[0], ` <"x?, ?y??"@example.org>, <a.rather`) || !strings.HasSuffix(got[0], " more)") || len(got[0]) > 20_000 {
		t.Errorf("X-TM-Original-Recipients: %.200q", got)
	}
	if got := fields(odd, res, "X-TM-Quarantine"); len(got) != 1 || got[0] != " dmarc" {
		t.Errorf("X-TM-Quarantine: %q", got)
	}
	records, _ := r.taken()
	if added := strings.Join(records[0].Added, "\n"); !strings.Contains(added, "X-TM-Original-Recipients: <@example.org>, <@example.org>") || strings.Contains(added, "rather") {
		t.Errorf("remembered: %.300s", added)
	}
}
