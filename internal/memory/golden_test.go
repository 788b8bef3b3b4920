package memory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// storedRecord is what testdata/record-1.hex holds: something else in every field.
func storedRecord(t *testing.T) *Record {
	t.Helper()
	rec, err := dmarc.ParseRecord("v=DMARC1; p=reject; rua=mailto:d@example.com")
	if err != nil {
		t.Fatal(err)
	}
	name := dns.MustParse
	d := policy.Decision{
		Action: policy.Quarantine, Would: policy.Reject, Reason: policy.ReasonPolicy, Rule: "dmarc.actions.reject",
		Reply: policy.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}, Comment: "a comment",
		Evaluated: true, Ran: policy.Checks{DKIM: true}, Status: dmarc.Fail,
	}
	return &Record{
		At: time.Date(2026, 11, 25, 1, 2, 3, 4000, time.UTC), QueueID: "queue", MessageID: "id@example.com", MTA: "Postfix 3.7.11",
		ClientIP: netip.MustParseAddr("2001:db8::1"), Helo: "helo.example", Sender: "a@sender.example", EnvelopeFrom: name("sender.example"),
		Recipients: []string{"b@example.org"},
		Verdict: policy.Verdict{
			Authors: []dns.Name{name("example.com")},
			SPF: spf.Result{
				Status: spf.Softfail, Domain: name("sender.example"), Scope: spf.MailFrom, Mechanism: "~all", Chain: []string{"sender.example"},
				Terms: []string{"~all"}, Lookups: 1, Voids: 2, Explanation: "why", ClientIP: netip.MustParseAddr("192.0.2.1"), WalkCut: true,
				Walk: []spf.Step{{Domain: name("sender.example"), Term: "a", Depth: 1, Outcome: spf.NoMatch, Result: spf.Fail, Target: name("t.example"), LocalPart: true}},
			},
			DKIM: []dkim.Result{{
				Status: dkim.Fail, Domain: name("example.com"), Selector: "s1", Identity: "@example.com", Algorithm: "rsa-sha256", Header: "relaxed",
				Body: "simple", KeyBits: 2048, Partial: true, Processed: true, SigPrefix: "abcd1234", Err: &Reported{Text: "wrong", causes: 1 << 15},
			}},
			DMARC: dmarc.Result{
				Status: dmarc.Fail, Author: name("example.com"), OrgDomain: name("org.example"), PolicyDomain: name("policy.example"), Record: rec,
				Source: "p", Requested: dmarc.PolicyReject, Policy: dmarc.PolicyQuarantine, NonExistent: true, DKIMAligned: true,
				Walk:       []dmarc.Step{{Name: name("example.com"), Record: rec, Text: rec.Text}},
				Alignments: []dmarc.Alignment{dmarc.Unaligned, dmarc.Aligned}, Err: &Reported{Text: "trouble", causes: 1 << 2},
			},
			SPFAlignment: dmarc.Unaligned, DKIMAlignments: []dmarc.Alignment{dmarc.Aligned},
			ARC: arc.Result{
				Status: arc.Pass, OldestPass: 1, Temporary: true,
				Hops: []arc.Hop{{Instance: 1, SealDomain: name("seal.example"), SealSelector: "x", AMSDomain: name("ams.example"), AMSSelector: "y", FromSigned: true, Results: "dmarc=pass"}},
			},
		},
		DeferLapsed: true, Forged: 3, Decision: d, Chosen: 0,
		Outcomes: []Outcome{{
			Domains: []dns.Name{name("example.org")}, Decision: d, Mode: policy.Monitor, Criteria: policy.CriteriaHES,
			Quarantine: policy.QuarantineHold, DailyReports: true, File: "policy.yaml", Line: 12,
		}},
		Added: []string{"X: y"}, Removed: []string{"Z[1]"}, Hold: "held", Redirect: "r@example.org", Tag: "[FAIL]", Mixed: "mildest", PSL: true,
		Trace: storedTrace(),
	}
}

// storedSince is storedRecord with what a version of the encoding has beside.
func storedSince(t *testing.T, version int) *Record {
	r := storedRecord(t)
	if version >= 2 {
		r.Host, r.Policy = "mx1.example.org", policy.SourceID{1, 2, 15: 16}
		r.LeftOut = LeftOut{Recipients: 1, Domains: 2, Removed: 3, Added: 4, Terms: 5, Hops: 6}
		r.Dropped, r.ForgedKept = true, true
		r.Verdict.DMARC.ExistenceHidden = true
	}
	if version >= 3 {
		r.Decision.Ended = policy.Ended{Rule: policy.RuleExceptions, Day: 20700}
		r.Outcomes[0].Decision.Ended = r.Decision.Ended
	}
	return r
}

func storedTrace() *Trace {
	return &Trace{Cut: true, Answers: []Answer{
		{Name: "_dmarc.example.com", Type: "TXT", Texts: []string{`"v=DMARC1; p=reject"`}, Took: 12 * time.Millisecond},
		{Name: "x.example", Type: "A", Error: "temporary: time-out"},
	}}
}

func storedAggregate() Aggregate {
	return Aggregate{Day: 20782, PolicyDomain: dns.MustParse("example.com"), Record: "v=DMARC1; p=none", PSL: true, Row: "key", Failed: true, Count: 7, Last: 1795600000}
}

// stored reads the octets of a file.
func stored(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStoredIsRead reads what each version stored and must be readable for as long as
// anybody has it. These files never change; a new version gets new ones.
func TestStoredIsRead(t *testing.T) {
	for version := 1; version <= recordVersion; version++ {
		b := stored(t, fmt.Sprintf("record-%d", version))
		r, err := DecodeRecord(b)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if want := storedSince(t, version); int(b[0]) != version || !reflect.DeepEqual(r, want) {
			t.Errorf("record of version %d:\n got %+v\nwant %+v", version, r, want)
		}
		if e := r.Verdict.DKIM[0].Err; !errors.Is(e, dkim.ErrBodyHash) {
			t.Errorf("the cause of %v moved", e)
		}
		if e := r.Verdict.DMARC.Err; !errors.Is(e, dns.ErrTemporary) {
			t.Errorf("the cause of %v moved", e)
		}
	}
	if trace, err := DecodeTrace(stored(t, "trace-1")); err != nil || !reflect.DeepEqual(trace, storedTrace()) {
		t.Errorf("trace: %+v, %v", trace, err)
	}
	if aggregate, err := DecodeAggregate(stored(t, "aggregate-1")); err != nil || aggregate != storedAggregate() {
		t.Errorf("aggregate: %+v, %v", aggregate, err)
	}
}

// TestNewerIsRefused has a record, a trace and an aggregate of the next version refused
// by name, and not as damage.
func TestNewerIsRefused(t *testing.T) {
	newer := func(name string, version int) []byte {
		b := stored(t, name)
		b[0] = byte(version + 1)
		return b
	}
	_, record := DecodeRecord(newer(fmt.Sprintf("record-%d", recordVersion), recordVersion))
	_, trace := DecodeTrace(newer("trace-1", traceVersion))
	_, aggregate := DecodeAggregate(newer("aggregate-1", aggregateVersion))
	for what, err := range map[string]error{"record": record, "trace": trace, "aggregate": aggregate} {
		if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "the "+what+" has version") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
