package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// TestSamePolicyChangesNothing replays random mail against the policy by which it was
// decided, also reread and after encoding and decoding.
func TestSamePolicyChangesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	acted, several := map[policy.Action]int{}, 0
	for range 400 {
		text := drawPolicy(rnd)
		p := parse(t, text)
		replay := New(Options{New: parse(t, text), Current: p, Examples: 1})
		for range 50 {
			m := draw(rnd)
			raw, err := m.remember(t, p).AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := memory.DecodeRecord(raw)
			if err != nil {
				t.Fatal(err)
			}
			acted[rec.Decision.Action]++
			if len(rec.Outcomes) > 1 {
				several++
			}
			replay.Add(rec)
			if got := replay.Result(); got.Changed+got.Watched > 0 {
				t.Fatalf("the same policy changes %+v\n%s\n%+v", m, text, got.Domains)
			}
		}
		if got := replay.Result().Messages; got != 50 {
			t.Fatalf("%d messages replayed, want 50", got)
		}
	}
	for _, a := range []policy.Action{policy.Bypass, policy.Quarantine, policy.Reject, policy.Defer, policy.Discard} {
		if acted[a] < 100 {
			t.Errorf("only %d messages met %s", acted[a], a)
		}
	}
	if several < 1000 {
		t.Errorf("only %d messages had recipients with several sets of rules", several)
	}
}

// TestOtherPolicy holds a replay against another policy to what that policy would have
// made of the same mail, decided when it came.
func TestOtherPolicy(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	changed := 0
	for range 400 {
		old, next := parse(t, drawPolicy(rnd)), parse(t, drawPolicy(rnd))
		for range 25 {
			m := draw(rnd)
			was, is := m.remember(t, old), m.remember(t, next)
			if !inOrder(was, m.to) {
				continue // which of two ways to quarantine is chosen depends on the order, which is lost
			}
			want := dispositions(was)
			for domain, f := range dispositions(is) {
				if want[domain] == f {
					delete(want, domain)
				} else {
					want[domain] = want[domain] + " → " + f
				}
			}
			replay := New(Options{New: next})
			replay.Add(was)
			got := map[string]string{}
			for _, d := range replay.Result().Domains.Entries {
				got[d.Domain] = arrow(d.Changes[0].Before, d.Changes[0].After)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v\ngot  %v\nwant %v", m, got, want)
			}
			changed += len(got)
		}
	}
	if changed < 1000 {
		t.Errorf("only %d changes", changed)
	}
}

// inOrder reports whether the recipient domains are remembered in their order.
func inOrder(r *memory.Record, to []string) bool {
	var names []string
	for i := range r.Outcomes {
		for _, domain := range r.Outcomes[i].Domains {
			names = append(names, domain.String())
		}
	}
	return to == nil || slices.Equal(names, to)
}

// dispositions is what happened to a message for each of its recipient domains.
func dispositions(r *memory.Record) map[string]string {
	out := map[string]string{}
	for i := range r.Outcomes {
		for _, domain := range r.Outcomes[i].Domains {
			out[domain.String()] = before(r, &r.Outcomes[i]).Treatment.String()
		}
	}
	return out
}

func TestSeveralRecipients(t *testing.T) {
	const old = "default: {dmarc: {actions: {reject: bypass}}}\n"
	failing := mail{published: dmarc.PolicyReject, to: []string{"example.org", "example.net"}}
	for name, c := range map[string]struct {
		text          string
		changed       int64
		split         int64
		want, wantNet string
	}{
		"both": {text: "default: {}\n", changed: 1, want: "bypass → reject", wantNet: "bypass → reject"},
		"one deferred for the other": {
			text:    "default: {dmarc: {actions: {reject: bypass}}}\ndomains: {example.org: {}}\n",
			changed: 1, want: "bypass → defer", wantNet: "bypass → defer",
		},
		"mildest":   {text: "mixed_recipients: mildest\ndefault: {dmarc: {actions: {reject: bypass}}}\ndomains: {example.org: {}}\n"},
		"strictest": {text: "mixed_recipients: strictest\ndefault: {dmarc: {actions: {reject: bypass}}}\ndomains: {example.org: {}}\n", changed: 1, want: "bypass → reject", wantNet: "bypass → reject"},
		"separate": {
			text:    "mixed_recipients: separate\ndefault: {dmarc: {actions: {reject: bypass}}}\ndomains: {example.org: {}}\n",
			changed: 1, split: 1, want: "bypass → reject",
		},
		"one no longer ours": {text: "managed: [example.org]\n", changed: 1, want: "bypass → reject", wantNet: "bypass → reject"},
		"none ours":          {text: "managed: [example.com]\n"},
		"one watched": {
			text:    "domains: {example.org: {mode: monitor}, example.net: {dmarc: {actions: {reject: bypass}}}}\n",
			changed: 0, want: "bypass → bypass (monitor: reject)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			replay := New(Options{New: parse(t, c.text)})
			replay.Add(failing.remember(t, parse(t, old)))
			got := replay.Result()
			if got.Changed != c.changed || got.Unknown.Split != c.split {
				t.Errorf("%d changed, %d split; want %d and %d", got.Changed, got.Unknown.Split, c.changed, c.split)
			}
			pairs := map[string]string{}
			for _, d := range got.Domains.Entries {
				pairs[d.Domain] = arrow(d.Changes[0].Before, d.Changes[0].After)
			}
			if pairs["example.org"] != c.want || pairs["example.net"] != c.wantNet {
				t.Errorf("got %v", pairs)
			}
		})
	}
}

func TestMonitor(t *testing.T) {
	enforce, monitor := parse(t, "mode: enforce\n"), parse(t, "mode: monitor\n")
	stricter := parse(t, "mode: monitor\ndefault: {dmarc: {actions: {quarantine: reject}}}\n")
	failing := mail{published: dmarc.PolicyReject}
	for name, c := range map[string]struct {
		rec     *memory.Record
		options Options
		changed int64
		watched int64
		want    string
		rule    string
	}{
		"to monitor":   {rec: failing.remember(t, enforce), options: Options{New: monitor}, changed: 1, want: "reject → bypass (monitor: reject)", rule: "mode"},
		"to enforce":   {rec: failing.remember(t, monitor), options: Options{New: enforce}, changed: 1, want: "bypass (monitor: reject) → reject", rule: "mode"},
		"both monitor": {rec: mail{published: dmarc.PolicyQuarantine}.remember(t, monitor), options: Options{New: stricter}, watched: 1, want: "bypass (monitor: quarantine) → bypass (monitor: reject)", rule: "dmarc.actions.quarantine"},
	} {
		t.Run(name, func(t *testing.T) {
			replay := New(c.options)
			replay.Add(c.rec)
			got := replay.Result()
			if got.Changed != c.changed || got.Watched != c.watched {
				t.Errorf("%d changed, %d watched", got.Changed, got.Watched)
			}
			change := got.Domains.Entries[0].Changes[0]
			if s := arrow(change.Before, change.After); s != c.want || change.Cause.Rule != c.rule {
				t.Errorf("got %s by %q", s, change.Cause.Rule)
			}
		})
	}
}

func TestDomainAskedFor(t *testing.T) {
	old, next := parse(t, "default: {dmarc: {actions: {reject: bypass}}}\n"), parse(t, "")
	replay := New(Options{New: next, Domain: dns.MustParse("example.net")})
	for _, to := range [][]string{{"example.org"}, {"example.org", "example.net"}, {"example.net"}} {
		replay.Add(mail{published: dmarc.PolicyReject, to: to}.remember(t, old))
	}
	got := replay.Result()
	if got.Messages != 2 || got.Changed != 2 || len(got.Domains.Entries) != 1 || got.Domains.Entries[0].Domain != "example.net" {
		t.Errorf("got %+v", got)
	}
}

func TestUnknown(t *testing.T) {
	failing := mail{published: dmarc.PolicyReject}
	arc := "default: {dmarc: {arc: {enabled: true, trusted_sealers: [sealer.example]}}}\n"
	for name, c := range map[string]struct {
		mail       mail
		old, next  string
		psl, found bool
		want       Unknown
		note       string
	}{
		"nothing":             {mail: failing},
		"ARC":                 {mail: failing, next: arc, want: Unknown{ARC: 1}, note: "1 message would fail where new.yaml looks at ARC"},
		"ARC, changed":        {mail: failing, old: "default: {dmarc: {actions: {reject: bypass}}}\n", next: arc, want: Unknown{ARC: 1, ARCChanged: 1}},
		"ARC was looked at":   {mail: mail{published: dmarc.PolicyReject, arcAsked: true}, old: arc, next: arc},
		"ARC does not matter": {mail: mail{published: dmarc.PolicyReject, spf: spf.Pass, aligned: true}, next: arc},
		"ARC trusts nobody":   {mail: failing, next: "default: {dmarc: {arc: {enabled: true}}}\n"},
		"deferral": {
			mail: mail{published: dmarc.PolicyReject, spf: spf.TempError, aligned: true},
			old:  "default: {dmarc: {actions: {temperror: bypass}}}\n", want: Unknown{Deferred: 1}, note: "1 message would be deferred",
		},
		"defer limit":     {mail: failing, next: "defer_limit: 1h\n", want: Unknown{DeferLimit: true}, note: "another defer_limit"},
		"discovery":       {mail: failing, psl: true, want: Unknown{Discovery: 1}, note: "another setting of \"discovery\""},
		"discovery, same": {mail: failing, psl: true, found: true},
		"new domains": {
			mail: failing, old: "managed: [example.org]\n", next: "managed: [example.org, new.example, \"*.new.example\"]\n",
			want: Unknown{NewDomains: []string{"*.new.example", "new.example"}}, note: "not ours yet: *.new.example, new.example",
		},
		"all domains": {mail: failing, old: "managed: [example.org]\n", want: Unknown{AllDomains: true}, note: "takes every recipient for ours"},
	} {
		t.Run(name, func(t *testing.T) {
			old := parse(t, c.old)
			replay := New(Options{New: parse(t, c.next), Current: old, PSL: c.psl, Name: "new.yaml"})
			rec := c.mail.remember(t, old)
			rec.PSL = c.found
			replay.Add(rec)
			got := replay.Result()
			if !reflect.DeepEqual(got.Unknown, c.want) {
				t.Errorf("got %+v, want %+v", got.Unknown, c.want)
			}
			notes := strings.Join(got.Notes, "\n")
			if !strings.Contains(notes, c.note) || reflect.DeepEqual(c.want, Unknown{}) && notes != "" {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
		})
	}
}

// source gives records that are made on the way.
type source struct {
	n    int
	make func(i int) *memory.Record
}

func (s source) Records(_ context.Context, _, _ time.Time, yield func(*memory.Record) error) error {
	for i := range s.n {
		if err := yield(s.make(i)); err != nil {
			return err
		}
	}
	return nil
}

func TestText(t *testing.T) {
	old := parse(t, "default: {dmarc: {actions: {reject: bypass}}}\n")
	next := parse(t, "default:\n  dmarc:\n    actions:\n      reject: reject\ndomains:\n  example.net: {mode: monitor}\n")
	replay := New(Options{New: next, Current: old, Examples: 1, Name: "new.yaml"})
	made := source{n: 1500, make: func(i int) *memory.Record {
		m := mail{published: dmarc.PolicyReject, client: fmt.Sprintf("192.0.2.%d", i%3)}
		switch i % 10 {
		case 0:
			m.to = []string{"example.net"}
		case 1:
			m.from = "partner.example"
		case 2:
			m.dkim = dkim.Pass
		}
		rec := m.remember(t, old)
		rec.QueueID = fmt.Sprintf("4X%d", i)
		return rec
	}}
	if err := replay.Run(t.Context(), made, time.Time{}, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := replay.Result().Print(&b, "of the last 7 days", "new.yaml"); err != nil {
		t.Fatal(err)
	}
	const want = `Replayed 1,500 messages of the last 7 days against new.yaml: 1,200 would be treated otherwise.
Mode monitor would say something else of 150 messages, without doing it.

example.org
  bypass → reject  1,200  (published_policy by dmarc.actions.reject, new.yaml:4)
    by From domain: bank.example 1,050, partner.example 150
    by source: 192.0.2.0/24 1,200
    e.g. 2026-11-25 10:00:00  4X1499  From bank.example  client 192.0.2.2
         was bypass: published_policy by dmarc.actions.reject, new.yaml:1; would be reject: published_policy by dmarc.actions.reject, new.yaml:4

example.net
  bypass → bypass (monitor: reject)  150  (published_policy by dmarc.actions.reject)
    by From domain: bank.example 150
    by source: 192.0.2.0/24 150
    e.g. 2026-11-25 10:00:00  4X1490  From bank.example  client 192.0.2.2
         was bypass: published_policy by dmarc.actions.reject, new.yaml:1; would be bypass (monitor: reject): published_policy by dmarc.actions.reject

By From domain, over all recipient domains
  bank.example  1,200: bypass → reject 1,050, bypass → bypass (monitor: reject) 150
  partner.example  150: bypass → reject 150

By source, over all recipient domains
  192.0.2.0/24  1,350: bypass → reject 1,200, bypass → bypass (monitor: reject) 150
    addresses: 192.0.2.1 450, 192.0.2.2 450, 192.0.2.0 450
`
	if got := strings.ReplaceAll(b.String(), "192.0.2.0 450, 192.0.2.1 450, 192.0.2.2 450", "192.0.2.1 450, 192.0.2.2 450, 192.0.2.0 450"); got != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if _, err := json.Marshal(replay.Result()); err != nil {
		t.Error(err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := mail{}.remember(t, parse(t, ""))
	var told []int64
	err := New(Options{New: parse(t, "")}).Run(ctx, source{n: 1 << 20, make: func(int) *memory.Record { return rec }}, time.Time{}, time.Time{}, func(n int64) {
		if told = append(told, n); len(told) == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(told) != 3 {
		t.Errorf("got %v after %v", err, told)
	}
}
