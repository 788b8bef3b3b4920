package arc_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/dns/dnstest"
)

// FuzzChain: any header gives a sound result, the same for each way of cutting
// the body, and no pass that the keys' owner did not seal.
func FuzzChain(f *testing.F) {
	head, body, _ := strings.Cut(sealed(plain, 2), "\r\n\r\n")
	f.Add([]byte(head), []byte(body), 1)
	f.Add([]byte(strings.ReplaceAll(head, "cv=pass", "cv=fail")), []byte(body), 2)
	f.Add([]byte("ARC-Authentication-Results: i=1; ((\r\nARC-Seal :\r\nARC-Message-Signature: i=1; h=\r\narc-seal: i=50; b=;"), []byte("x"), 3)
	f.Add([]byte(strings.Repeat("ARC-Seal: i=9\r\n", 151)), []byte(""), 1)
	zone := dnstest.MustZone("")
	for i := range 2 {
		addKey(zone, "s", fmt.Sprintf("d%d.example", i+1), edKey)
	}
	f.Fuzz(func(t *testing.T, head, body []byte, step int) {
		raw := strings.ReplaceAll(strings.TrimLeft(string(head), "\r\n"), "\r\n\r\n", "\r\n") + "\r\n\r\n" + string(body)
		want := validate(t, zone, raw, len(raw), arc.Options{Now: testNow})
		got := validate(t, zone, raw, 1+max(step, 0)%50, arc.Options{Now: testNow})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pieces: %+v\nat once: %+v", got, want)
		}
		checkResult(t, want)
	})
}

func checkResult(t *testing.T, r arc.Result) {
	t.Helper()
	for i, h := range r.Hops {
		if h.Instance != i+1 || strings.ContainsAny(h.Results, "\r\n") {
			t.Errorf("hop %d: %+v", i, h)
		}
	}
	if len(r.Hops) > 50 || r.OldestPass < 0 || r.OldestPass > len(r.Hops) || r.Temporary && r.Status != arc.Fail {
		t.Errorf("%+v", r)
	}
	for _, c := range []byte(r.Comment(netip.Addr{})) {
		if c < ' ' || c > '~' || strings.IndexByte(`"\<>&;()`, c) >= 0 {
			t.Errorf("comment %q", r.Comment(netip.Addr{}))
			break
		}
	}
	if r.Status != arc.Pass {
		return
	}
	if n := len(r.Hops); n == 0 || !r.Hops[n-1].AMSPass {
		t.Errorf("%+v", r)
	}
	for _, h := range r.Hops {
		if strings.Join(strings.Fields(h.Results), " ") != "mx.example.net; dmarc=pass header.from=example.com" {
			t.Errorf("forged: %+v", h)
		}
	}
}
