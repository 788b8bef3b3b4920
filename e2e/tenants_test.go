//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// outgoing is the queue of a sending MTA: one message and the recipients that it
// is still owed to.
type outgoing struct {
	client, from, text string
	queue              []string
	taken              map[string]string // recipient → the receiving MTA's answer
	bounced            []string
	attempts           int
}

// attempt is one delivery attempt as RFC 5321 has it: a recipient answered 4xx
// stays in the queue, and so do all when the message is.
func (o *outgoing) attempt(t *testing.T, m mta) {
	t.Helper()
	o.attempts++
	c := dial(t, m.addr(), o.client, "client.example")
	c.must(c.cmd("MAIL FROM:<%s>", o.from), 250)
	var accepted, later []string
	for _, to := range o.queue {
		switch r := c.cmd("RCPT TO:<%s>", to); {
		case r.code == 250:
			accepted = append(accepted, to)
		case r.code/100 == 4:
			later = append(later, to)
		default:
			o.bounced = append(o.bounced, to)
		}
	}
	c.must(c.cmd("DATA"), 354)
	switch r := c.data(o.text); {
	case r.code == 250:
		for _, to := range accepted {
			o.taken[to] = r.text
		}
	case r.code/100 == 4:
		later = append(accepted, later...)
	default:
		o.bounced = append(o.bounced, accepted...)
	}
	o.queue = later
	t.Logf("attempt %d: taken %d, bounced %d, in the sender's queue: %v", o.attempts, len(o.taken), len(o.bounced), o.queue)
}

// run attempts delivery until the queue is empty.
func (o *outgoing) run(t *testing.T, m mta) {
	t.Helper()
	const most = 5
	for len(o.queue) > 0 && o.attempts < most {
		o.attempt(t, m)
	}
	if len(o.queue) > 0 || len(o.bounced) > 0 {
		t.Fatalf("after %d attempts: in the queue %v, bounced %v; want all taken", o.attempts, o.queue, o.bounced)
	}
}

// TestTwoTenants sends one message to recipients of two tenants with different
// settings: each tenant's settings decide its own copy, and nothing is lost or
// bounced on the way.
func TestTwoTenants(t *testing.T) {
	for _, mode := range []struct {
		name             string
		genuine, failing int // delivery attempts
	}{{"on_conflict", 1, 3}, {"separate", 2, 2}} {
		t.Run(mode.name, func(t *testing.T) {
			mixedRecipients(t, mode.name)
			t.Run("genuine", func(t *testing.T) {
				eachMTA(t, func(t *testing.T, m mta) {
					strict, watched := rcpt(t, ""), rcpt(t, "watched.example")
					o := outgoing{client: goodClient, from: "bounce@good.example", queue: []string{strict, watched}, taken: map[string]string{},
						text: letter{from: "good.example", signer: "good.example"}.text(strict)}
					o.run(t, m)
					if o.attempts != mode.genuine {
						t.Errorf("%d attempts, want %d", o.attempts, mode.genuine)
					}
					for _, to := range []string{strict, watched} {
						scenario{want: delivered, xtm: "spf=pass (sender IP address: 198.51.100.10) smtp.mailfrom=good.example; " +
							"dkim=pass (signatures verified) header.d=good.example; dmarc=pass action=none header.from=good.example;"}.
							check(t, m, to, reply{code: 250, text: o.taken[to]})
					}
				})
			})
			t.Run("failing", func(t *testing.T) {
				eachMTA(t, func(t *testing.T, m mta) {
					strict, watched := rcpt(t, ""), rcpt(t, "watched.example")
					o := outgoing{client: stranger, from: "sales@shop.example", queue: []string{strict, watched}, taken: map[string]string{},
						text: letter{from: "shop.example"}.text(strict)}
					o.run(t, m)
					if o.attempts != mode.failing {
						t.Errorf("%d attempts, want %d", o.attempts, mode.failing)
					}
					const failed = "dkim=none (no processed signatures) header.d=none; dmarc=fail action=quarantine header.from=shop.example;"
					const xtm = "spf=fail (sender IP address: 203.0.113.66) smtp.mailfrom=shop.example; " + failed
					scenario{want: held, xtm: xtm}.check(t, m, strict, reply{code: 250, text: o.taken[strict]})
					scenario{want: delivered, xtm: xtm}.check(t, m, watched, reply{code: 250, text: o.taken[watched]})
				})
			})
		})
	}
}

// mixedRecipients writes the policy anew with another mixed_recipients, and waits
// until the daemon has taken the changed file over by itself. The old policy comes
// back when the test is over.
func mixedRecipients(t *testing.T, word string) {
	t.Helper()
	path := filepath.Join(scratch, "dmarcd", "policy.yaml")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewritePolicy(t, path, append([]byte("mixed_recipients: "+word+"\n"), old...))
	t.Cleanup(func() { rewritePolicy(t, path, old) })
}

func rewritePolicy(t *testing.T, path string, text []byte) {
	t.Helper()
	const reloaded = `"msg":"configuration reloaded"`
	log := filepath.Join(logDir, "dmarcd.log")
	count := func() int {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte(reloaded))
	}
	before := count()
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for count() == before {
		select {
		case <-ctx.Done():
			t.Fatalf("the daemon did not take %s over", strings.TrimPrefix(path, scratch))
		case <-look.C:
		}
	}
}
