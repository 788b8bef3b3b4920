package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// policyStore fails so many times.
type policyStore struct {
	memory.Policies
	fails int
	noted chan policy.Source
}

func (s *policyStore) NotePolicy(_ context.Context, host string, _ time.Time, text policy.Source) error {
	if s.fails--; s.fails >= 0 || host != "mx1" {
		return errors.New("out of reach")
	}
	s.noted <- text
	return nil
}

// Each policy that takes effect is kept in order, once the store can be reached.
func TestPoliciesAreKept(t *testing.T) {
	s := &policyStore{fails: 3, noted: make(chan policy.Source, 10)}
	n := newPolicyNotes(s, "mx1", slog.New(slog.DiscardHandler))
	n.retry = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n.inForce(&settings.Policy{}, time.Now()) // built in
	texts := []string{"a", "b", "c"}
	for i, text := range texts {
		n.inForce(&settings.Policy{Texts: []settings.Text{{Path: "policy.yaml", Data: []byte(text)}}}, time.Unix(int64(i), 0))
	}
	go n.run(ctx)
	for _, want := range texts {
		if got := <-s.noted; len(got) != 1 || got[0].Text != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	for i := range maxPolicies + 5 {
		n.inForce(&settings.Policy{Texts: []settings.Text{{Data: []byte{byte(i)}}}}, time.Unix(int64(100+i), 0))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) > maxPolicies {
		t.Errorf("%d wait", len(n.waiting))
	}
}
