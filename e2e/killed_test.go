//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
)

// TestKilled kills dmarcd again and again while mail flows through Postfix. Mail goes
// on without it; and each message that it answered for is known afterwards.
func TestKilled(t *testing.T) {
	const clients, kills, pause = 4, 3, 700 * time.Millisecond
	m := here.mtas[0]
	stop := make(chan struct{})
	flows := make([]flow, clients)
	var sending sync.WaitGroup
	for i := range flows {
		flows[i].prefix = fmt.Sprintf("killed-%d", i)
		sending.Go(func() { flows[i].run(t, m, stop) })
	}
	for range kills {
		time.Sleep(pause)
		here.dmarcd.kill()
		time.Sleep(pause / 4)
		if err := here.dmarcd.start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(pause)
	close(stop)
	sending.Wait()
	if t.Failed() {
		return
	}

	client, err := admin.Dial(t.Context(), admin.SocketPath(here.dmarcd.state()), "e2e")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent, answered := 0, []string(nil)
	for i := range flows {
		sent += len(flows[i].sent)
		for _, messageID := range flows[i].answered(t) {
			answered = append(answered, messageID)
			if _, err := api.MessagesExplain().Ask(t.Context(), client, api.ExplainRequest{ID: messageID}); err != nil {
				t.Errorf("dmarcd answered for %s and does not know it: %v", messageID, err)
			}
		}
	}
	t.Logf("dmarcd answered for %d of %d messages", len(answered), sent)
	if len(answered) == 0 || len(answered) == sent {
		t.Fatal("some messages must meet dmarcd, and some pass while it is away")
	}
	explained(t, answered[0])
}

// flow is one client that sends a message after the other: a genuine one, then a
// forged one that is rejected.
type flow struct {
	prefix string
	sent   []sentMail
}

type sentMail struct {
	to, messageID string
	answer        reply
}

// run goes on until stop is closed, or to the first failure.
func (f *flow) run(t *testing.T, m mta, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		s, from := good, goodClient
		if n%2 == 1 {
			s, from = scenario{from: "ceo@bank.example", letter: letter{from: "bank.example"}}, stranger
		}
		to := fmt.Sprintf("%s-%d@example.org", f.prefix, n)
		c := dial(t, m.addr(), from, "client.example")
		answer := c.send(s.from, s.letter.text(to), to)
		c.conn.Close()
		f.sent = append(f.sent, sentMail{to: to, messageID: s.letter.messageID(to), answer: answer})
	}
}

// answered lists the messages that bear dmarcd's mark, or its refusal.
func (f *flow) answered(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, s := range f.sent {
		switch s.answer.code {
		case 550:
			if !strings.Contains(s.answer.text, "bank.example asks to reject") {
				t.Errorf("%s: the MTA said %d %s", s.to, s.answer.code, s.answer.text)
			}
			out = append(out, s.messageID)
		case 250:
			got, arrived := here.sink.await(s.to, deliveryLimit)
			if !arrived {
				t.Errorf("%s was taken and not delivered", s.to)
			}
			if slices.ContainsFunc(got.unfolded("Authentication-Results"), func(v string) bool { return strings.Contains(v, hostname+";") }) {
				out = append(out, s.messageID)
			}
		default:
			t.Errorf("%s: the MTA said %d %s", s.to, s.answer.code, s.answer.text)
		}
	}
	return out
}
