package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
)

func TestMessage(t *testing.T) {
	m := New(prometheus.NewRegistry())
	judged := &filter.Result{
		Decision: policy.Decision{Action: policy.Quarantine, Reason: policy.ReasonPolicy},
		Verdict:  policy.Verdict{DMARC: dmarc.Result{Status: dmarc.Fail}},
		Remove:   []authres.Ref{{Name: "X", Index: 2}, {Name: "X", Index: 1}},
	}
	rejected := *judged
	rejected.Decision.Action = policy.Reject
	left := &filter.Result{Bypassed: policy.ReasonTrusted, Decision: policy.Decision{Action: policy.Bypass, Reason: policy.ReasonTrusted}}
	for _, o := range []*filter.Result{judged, judged, &rejected, left} {
		m.Message(o, time.Millisecond)
	}
	for labels, want := range map[[3]string]float64{
		{"fail", "quarantine", "published_policy"}: 2,
		{"fail", "reject", "published_policy"}:     1,
		{"bypassed", "bypass", "trusted_network"}:  1,
	} {
		if got := testutil.ToFloat64(m.messages.WithLabelValues(labels[:]...)); got != want {
			t.Errorf("%v: %v, want %v", labels, got, want)
		}
	}
	if got := testutil.ToFloat64(m.forged); got != 4 {
		t.Errorf("forged fields: %v, want 4: those of refused mail are not removed", got)
	}
	if got := testutil.ToFloat64(m.held); got != 2 {
		t.Errorf("held: %v, want 2", got)
	}
}

func TestReload(t *testing.T) {
	m := New(prometheus.NewRegistry())
	m.Reload(true, time.Unix(100, 0))
	m.Reload(false, time.Unix(200, 0))
	if ok, at := testutil.ToFloat64(m.reloadOK), testutil.ToFloat64(m.reloaded); ok != 0 || at != 100 {
		t.Errorf("success %v, time %v; want 0 and 100", ok, at)
	}
}

// TestDocumented holds docs/metrics.md to the names in the sources, and to every reason.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var inCode []string
	name := regexp.MustCompile(`"(dmarcd_[a-z_]+)"`)
	for _, file := range []string{"metrics.go", "../daemon/gauges.go", "../daemon/receivedgauges.go", "../daemon/recordergauges.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			inCode = append(inCode, m[1])
		}
	}
	if len(inCode) < 15 {
		t.Fatalf("only %d names found in the sources", len(inCode))
	}
	for _, n := range inCode {
		if !strings.Contains(string(doc), "`"+n+"`") {
			t.Errorf("docs/metrics.md does not list %s", n)
		}
	}
	for _, m := range regexp.MustCompile("`(dmarcd_[a-z_]+)`").FindAllStringSubmatch(string(doc), -1) {
		if !slices.Contains(inCode, m[1]) {
			t.Errorf("docs/metrics.md lists %s, which does not exist", m[1])
		}
	}
	decisions, err := os.ReadFile("../policy/decision.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Reason = "([a-z_]+)"`).FindAllStringSubmatch(string(decisions), -1) {
		if !strings.Contains(string(doc), m[1]) {
			t.Errorf("docs/metrics.md does not list the reason %s", m[1])
		}
	}
}
