package spf_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/auth/spf/spftest"
	"dmarcd/internal/dns/dnstest"
)

// suiteSize is the number of tests in the RFC 7208 suite. None of them is
// skipped and none is excepted.
const suiteSize = 203

func loadSuite(t testing.TB, name string) []spftest.Suite {
	t.Helper()
	path, err := spftest.Find(name)
	if err != nil {
		t.Skip(err)
	}
	suites, err := spftest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return suites
}

func request(test spftest.Test) spf.Request {
	local, host := test.Sender()
	return spf.Request{IP: netip.MustParseAddr(test.Host), Helo: test.Helo, Local: local, Host: host}
}

func checker(t testing.TB, zone spftest.Zone) *spf.Checker {
	t.Helper()
	z, err := dnstest.ParseZone(zone.MasterFile())
	if err != nil {
		t.Fatal(err)
	}
	return &spf.Checker{Resolver: z, Receiver: "mx.receiver.example", Now: func() time.Time { return time.Unix(1700000000, 0) }}
}

// TestSuite runs every copy that is there: they differ in their skip marks, which
// are not heeded.
func TestSuite(t *testing.T) {
	copies := spftest.Copies(spftest.RFC7208)
	if len(copies) == 0 {
		t.Skip("the suite is neither beside the repository nor in the module cache")
	}
	for _, path := range copies {
		for _, prefetch := range []bool{false, true} {
			runSuite(t, path, prefetch)
		}
	}
}

func runSuite(t *testing.T, path string, prefetch bool) {
	suites, err := spftest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, suite := range suites {
		c := checker(t, suite.Zone)
		c.Prefetch = prefetch
		for _, test := range suite.Tests {
			ran++
			t.Run(suite.Description+"/"+test.Name, func(t *testing.T) { runSuiteTest(t, c, test) })
		}
	}
	if ran != suiteSize {
		t.Errorf("%s: ran %d tests, want %d", path, ran, suiteSize)
	}
}

func runSuiteTest(t *testing.T, c *spf.Checker, test spftest.Test) {
	got := c.Check(t.Context(), request(test))
	if !slices.Contains(test.Results, string(got.Status)) {
		t.Errorf("status %s (%v), want one of %v: RFC 7208 section %s: %s", got.Status, got.Err, test.Results, test.Spec, test.Description)
	}
	if erred := got.Status == spf.TempError || got.Status == spf.PermError; erred != (got.Err != nil) {
		t.Errorf("status %s with error %v", got.Status, got.Err)
	}
	if want := test.Explanation; want != "" {
		if want == spftest.Default {
			want = ""
		}
		if got.Explanation != want {
			t.Errorf("explanation %q, want %q", got.Explanation, want)
		}
	}
}
