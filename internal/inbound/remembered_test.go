package inbound_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
)

// deadZone has a domain that asks to reject, below which DNS is broken.
const deadZone = behaviourZone + "dead.reject.example. FAULT servfail\n_dmarc.dead.reject.example. FAULT servfail\n"

// undecided is a forgery that cannot be judged, since its sender chose a name below
// the domain that he forges whose DNS is broken.
func undecided(rcpts ...string) mail {
	return from("reject.example").sender("x@dead.reject.example").by("203.0.113.9").to(rcpts...)
}

// TestDeferredCountsFromTheYoungest lists a new recipient beside an old one: he is
// not delivered to any sooner for that.
func TestDeferredCountsFromTheYoungest(t *testing.T) {
	clock := newClock()
	r := newRigAt(t, clock.now, deadZone, "{defer_limit: 4h}")
	send := func(want string, rcpts ...string) {
		t.Helper()
		if got := outcomeWord(r.send(undecided(rcpts...))); got != want {
			t.Errorf("to %v: %s, want %s", rcpts, got, want)
		}
	}
	for range 5 {
		send("defer", "old@example.org")
		clock.advance(50 * time.Minute)
	}
	send("quarantine", "old@example.org")
	send("defer", "old@example.org", "new@example.org")
	send("defer", "new@example.org", "old@example.org")
	clock.advance(3 * time.Hour)
	send("defer", "new@example.org", "old@example.org", "newer@example.org")
	clock.advance(time.Hour + time.Second)
	send("quarantine", "new@example.org", "old@example.org")
	send("defer", "newer@example.org")
}

// TestDeferredCannotBeFlushed sends as many envelopes as the memory holds, from
// another network: what it knows of an old one stays.
func TestDeferredCannotBeFlushed(t *testing.T) {
	clock := newClock()
	r := newRigAt(t, clock.now, deadZone, "{defer_limit: 4h}")
	if got := outcomeWord(r.send(undecided("victim@example.org"))); got != "defer" {
		t.Fatalf("at first: %s", got)
	}
	clock.advance(5 * time.Hour)
	mta := r.open(miltertest.Peer{Addr: "203.0.114.1"}, miltertest.Postfix())
	for i := range 101 {
		flood := undecided()
		for j := range 1000 {
			flood.rcpts = append(flood.rcpts, fmt.Sprintf("u%d@example.org", i*1000+j))
		}
		r.sendOn(mta, flood)
	}
	if got := outcomeWord(r.send(undecided("victim@example.org"))); got != "quarantine" {
		t.Errorf("after the flood: %s, want the end of deferral to come as it would have", got)
	}
}

const tenantsYAML = `
domains:
  rejects1.example: {dmarc: {}}
  rejects2.example: {dmarc: {notify: []}, spf: {x_header: true}}
  holds1.example: {dmarc: {actions: {reject: quarantine}}}
  holds2.example: {dmarc: {actions: {reject: quarantine}, criteria: hes}}
  bypasses.example: {dmarc: {actions: {reject: bypass}}}
`

// deliver plays a sender's queue: it sends a mail to the recipients that are open
// until each has its end, and gives the transactions that ended so and the attempts.
func deliver(t *testing.T, r *rig, m mail) (transactions []string, attempts int) {
	t.Helper()
	mta := r.open(miltertest.Peer{Addr: m.client}, miltertest.Postfix())
	open := m.rcpts
	for len(open) > 0 {
		if attempts++; attempts > 20 {
			t.Fatalf("no end: %q after %d attempts, open %v", transactions, attempts, open)
		}
		m.rcpts = open
		res := r.sendOn(mta, m)
		var taken, later []string
		for i, a := range res.Rcpts {
			if a.Code == 0 {
				taken = append(taken, m.rcpts[i])
			} else {
				later = append(later, m.rcpts[i])
			}
		}
		if outcomeWord(res) == "defer" {
			continue
		}
		transactions = append(transactions, outcomeWord(res)+" "+strings.Join(taken, " "))
		open = later
	}
	slices.Sort(transactions)
	return transactions, attempts
}

// TestConflictSplitsByOutcome has five tenants with three outcomes: one try is
// deferred, and three transactions follow.
func TestConflictSplitsByOutcome(t *testing.T) {
	r := newRig(t, behaviourZone, tenantsYAML)
	m := from("reject.example").by("203.0.113.9").to(
		"a@rejects1.example", "b@holds1.example", "c@bypasses.example", "d@holds2.example", "e@rejects2.example", "f@rejects1.example")
	got, attempts := deliver(t, r, m)
	want := []string{
		"accept c@bypasses.example",
		"quarantine b@holds1.example d@holds2.example",
		"reject a@rejects1.example e@rejects2.example f@rejects1.example",
	}
	if !slices.Equal(got, want) || attempts != 4 {
		t.Errorf("%d attempts, transactions %q\nwant 4, %q", attempts, got, want)
	}
}

// TestConflictsOfSeveralMessages has two messages of one envelope on their way that
// split in different ways: both come to an end.
func TestConflictsOfSeveralMessages(t *testing.T) {
	r := newRig(t, behaviourZone, `
domains:
  one.example: {dmarc: {}}
  two.example: {dmarc: {actions: {reject: bypass}}}
  three.example: {dmarc: {actions: {quarantine: bypass, reject: bypass}}}
`)
	rcpts := []string{"a@one.example", "b@two.example", "c@three.example"}
	first := from("reject.example").sender("list@elsewhere.example").by("203.0.113.9").to(rcpts...)
	second := from("quarantine.example").sender("list@elsewhere.example").by("203.0.113.9").to(rcpts...)
	// First: rejected for one, accepted for two and three. Second: held for one and
	// two, accepted for three. Each try of one comes between two of the other.
	mta := r.open(miltertest.Peer{Addr: "203.0.113.9"}, miltertest.Postfix())
	for range 2 {
		r.sendOn(mta, first)
		r.sendOn(mta, second)
	}
	for i, want := range []map[string]string{
		{rcpts[0]: "reject", rcpts[1]: "accept", rcpts[2]: "accept"},
		{rcpts[0]: "quarantine", rcpts[1]: "quarantine", rcpts[2]: "accept"},
	} {
		transactions, attempts := deliver(t, r, []mail{first, second}[i])
		got := map[string]string{}
		for _, one := range transactions {
			words := strings.Fields(one)
			for _, rcpt := range words[1:] {
				got[rcpt] = words[0]
			}
		}
		if !maps.Equal(got, want) || attempts > 4 {
			t.Errorf("%d attempts, transactions %q", attempts, transactions)
		}
	}
}

// TestConflictCannotBeFlushed floods the memory from another network.
func TestConflictCannotBeFlushed(t *testing.T) {
	r := newRig(t, behaviourZone, tenantsYAML)
	m := from("reject.example").by("203.0.113.9").to("a@rejects1.example", "b@bypasses.example")
	if res := r.send(m); res.Code != 451 {
		t.Fatalf("at first: %+v", res.Answer)
	}
	mta := r.open(miltertest.Peer{Addr: "203.0.114.1"}, miltertest.Postfix())
	flood := from("reject.example").by("203.0.114.1")
	for i := range 101 {
		flood.rcpts = nil
		for j := range 500 {
			flood.rcpts = append(flood.rcpts, fmt.Sprintf("u%d.%d@rejects1.example", i, j), fmt.Sprintf("u%d.%d@bypasses.example", i, j))
		}
		if res := r.sendOn(mta, flood); res.Code != 451 {
			t.Fatalf("flood: %+v", res.Answer)
		}
	}
	if got := codes(r.send(m)); got != "0 452" {
		t.Errorf("the retry's answers at RCPT: %s, want it split", got)
	}
}
