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
	// NotePolicy stores the text, once, and notes that it took effect on a host. It
	// changes nothing if that is already the host's latest policy.
	NotePolicy(ctx context.Context, host string, at time.Time, text policy.Source) error
	// PolicyHistory returns the uses, newest first: those before a key that is not 0.
	PolicyHistory(ctx context.Context, before int64, limit int) ([]PolicyUse, error)
	// PolicySource returns a text; a missing one is no error.
	PolicySource(ctx context.Context, id policy.SourceID) (policy.Source, error)
}
