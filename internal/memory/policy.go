package memory

import (
	"context"
	"time"

	"dmarcd/internal/policy"
)

// PolicyUse is that a policy took effect on a host.
type PolicyUse struct {
	Key    int64 // a later use has a greater one
	At     time.Time
	Host   string
	Policy policy.SourceID
}

// Policies keeps the texts of policies that were in force.
type Policies interface {
	// NotePolicy keeps the text, once, and that it took effect on a host. What is the
	// host's latest use already changes nothing.
	NotePolicy(ctx context.Context, host string, at time.Time, text policy.Source) error
	// PolicyHistory gives the uses, newest first: those before a key that is not 0.
	PolicyHistory(ctx context.Context, before int64, limit int) ([]PolicyUse, error)
	// PolicySource gives a text; none is no error.
	PolicySource(ctx context.Context, id policy.SourceID) (policy.Source, error)
}
