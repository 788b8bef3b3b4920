package inbound_test

import (
	"strings"
	"testing"
)

// TestLenientSpellingsOfOurID sends results in our name, spelled so that only a lenient
// reader believes them, and results that mention us: the first go, the others stay.
func TestLenientSpellingsOfOurID(t *testing.T) {
	r := newRig(t, behaviourZone, "{}")
	for value, goes := range map[string]bool{
		"; mx.example.org; dmarc=pass":                                    true,
		"spf=none; mx.example.org; dmarc=pass":                            true,
		"mx.example.net; mx.example.org 1; dmarc=pass":                    true,
		"authserv-id=mx.example.org; dmarc=pass":                          true,
		"mx.example.net; authserv-id=\"mx.example.org\"; dmarc=pass":      true,
		"'mx.example.org'; dmarc=pass":                                    true,
		"mx.example.org*; dmarc=pass":                                     true,
		"mx.example.org*1; dmarc=pass":                                    true,
		"mx.example.org~; dmarc=pass":                                     true,
		"mx.example.net; dmarc=pass":                                      false,
		"mx.example.net; spf=pass smtp.helo=mx.example.org; dmarc=pass":   false,
		"mx.example.net; spf=pass smtp.mailfrom=root@mx.example.org":      false,
		"mx.example.net; dkim=pass (mx.example.org) header.d=example.net": false,
		"mx.example.org.evil.example; dmarc=pass":                         false,
		"mx.example.net; mx.example.org.evil.example; dmarc=pass":         false,
	} {
		res := r.send(from("none.example").with("Authentication-Results: " + value + "\n"))
		left := string(res.Apply([]byte(crlf("Authentication-Results: "+value+"\nFrom: a@none.example\n\nbody\n")), false))
		if gone := !strings.Contains(left, value); gone != goes {
			t.Errorf("%q: removed %v, want %v\n%s", value, gone, goes, left)
		}
	}
}
