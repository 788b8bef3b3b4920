package inbound_test

import (
	"strings"
	"testing"

	"dmarcd/internal/policy"
)

// TestSignatureThatCannotPass: a forger signs for a name below the victim whose DNS is
// broken. A signature that no key could make pass leaves nothing open: the forgery is
// refused at once. One that a key might make pass is left open, and by_policy defers it.
func TestSignatureThatCannotPass(t *testing.T) {
	s := newSigner("dead.reject.example", "s1")
	const dead = behaviourZone + "s1._domainkey.dead.reject.example. FAULT servfail\n"
	raw := "From: ceo@reject.example\nSubject: x\n\nbody\n"
	signed := s.sign(t, raw)
	length := strings.Replace(signed, "v=1;", "v=1; l=1;", 1)
	for _, c := range []struct {
		name, raw, want string
		reason          policy.Reason
	}{
		{"might pass", signed, "defer", policy.ReasonTemperror},
		{"another body", strings.Replace(signed, "\nbody", "\nother", 1), "reject", policy.ReasonPolicy},
		{"part of the body", length, "reject", policy.ReasonPolicy},
		{"too short", "DKIM-Signature: v=1; a=rsa-sha256; d=dead.reject.example; s=s1; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\n" + raw, "reject", policy.ReasonPolicy},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, dead, "{}")
			res := r.send(mail{client: "203.0.113.9", mailFrom: "x@norecord.example", raw: c.raw})
			if got := outcomeWord(res); got != c.want || r.last().Decision.Reason != c.reason {
				t.Errorf("%s for %s, want %s for %s: %+v", got, r.last().Decision.Reason, c.want, c.reason, r.last().Verdict.DKIM)
			}
		})
	}
}
