package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

const (
	// policyRetry is how long after a failure of the store a policy's text is retried.
	policyRetry = 20 * time.Second
	// maxPolicies bounds the texts waiting for the store; beyond it the oldest is lost.
	maxPolicies = 20
)

// policyNotes stores the text of each policy that takes effect, as soon as the store is reachable.
type policyNotes struct {
	store memory.Policies
	host  string
	log   *slog.Logger
	retry time.Duration

	mu      sync.Mutex
	waiting []policyNote
	wake    chan struct{}
}

type policyNote struct {
	at   time.Time
	text policy.Source
}

func newPolicyNotes(store memory.Policies, host string, log *slog.Logger) *policyNotes {
	return &policyNotes{store: store, host: host, log: log, retry: policyRetry, wake: make(chan struct{}, 1)}
}

// inForce records that a policy takes effect. The built-in policy has no text.
func (n *policyNotes) inForce(p *settings.Policy, at time.Time) {
	if len(p.Texts) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting = append(n.waiting[max(0, len(n.waiting)-maxPolicies+1):], policyNote{at: at, text: p.Source()})
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run stores the texts until ctx ends.
func (n *policyNotes) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for {
			next, ok := n.next()
			if !ok {
				break
			}
			if err := n.store.NotePolicy(ctx, n.host, next.at, next.text); err != nil {
				if ctx.Err() == nil {
					n.log.Warn("the text of the policy in force is not kept yet", "error", err.Error())
				}
				if !rest(ctx, n.retry) {
					return
				}
				continue
			}
			n.done(next)
		}
	}
}

func (n *policyNotes) next() (policyNote, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return policyNote{}, false
	}
	return n.waiting[0], true
}

// done removes a note, unless it was displaced meanwhile.
func (n *policyNotes) done(note policyNote) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) > 0 && n.waiting[0].at.Equal(note.at) {
		n.waiting = n.waiting[1:]
	}
}
