// Package simulate replays stored verdicts against another policy and reports which mail
// would be treated otherwise. It queries no DNS and sees no message: the facts about a
// message were found when it arrived, and only the rules change.
//
// Treated otherwise means another action (or another kind of quarantine). Stamps, tags,
// notifications, replies and report counts are not compared.
//
// # What a replay cannot know
//
//   - ARC, where no recipient domain had it validated when the message came: the replay
//     assumes that nobody vouches, and counts the messages for which that matters.
//   - Bypassed mail: mail that is not ours today, or came from a trusted network or a
//     client that logged in, is not stored.
//   - What depends on time: a new deferral lasts for defer_limit at most.
//   - Recipients that were split at RCPT: each of their messages is replayed by itself.
//     Of more than a thousand domains with the same rules in one message, only the first
//     thousand are recorded.
//   - The order of recipients of domains with different rules: where decisions differ
//     only in how they quarantine, and mixed_recipients picks one, the other may have
//     been picked.
//   - A recipient written as a route (bob%example.org@relay.example) counts for the
//     domain that it is recorded with.
package simulate

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Source provides stored messages.
type Source interface {
	// Records calls yield with the records from since until before until, oldest first; a
	// zero time is no bound. It stops at the first error of yield, and returns it. The
	// replay keeps nothing of a record but its texts.
	Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error
}

// Options are the two policies of a replay, and its limits.
type Options struct {
	New     *settings.Policy
	Current *settings.Policy // the policy in force, to find out what a replay cannot know; nil if not known
	PSL     bool             // the daemon finds records by the public suffix list now
	Domain  dns.Name         // only what changes for this recipient domain; zero for all
	// Examples is how many messages are shown of each change, the latest ones; at
	// most MaxExamples.
	Examples int
	// Name is the name of New in notes, such as its file name; "" for "the new policy".
	Name string
}

// MaxExamples bounds Options.Examples.
const MaxExamples = 100

// Replay is a simulation under way. Its memory is bounded whatever is put in. It is
// not safe for concurrent use.
type Replay struct {
	opts   Options
	choose func([]policy.Effect) int // of effects that differ; nil to defer

	messages, changed, watched int64
	domains                    domainCounts
	authors                    *overview[string]
	sources                    *overview[netip.Prefix]
	unknown                    unknown

	// Scratch space for one record.
	rules     []*policy.Rules
	decisions []policy.Decision
	effects   []policy.Effect
	parties   []party
	seen      []dns.Name
}

// New begins a replay.
func New(opts Options) *Replay {
	opts.Examples = min(max(opts.Examples, 0), MaxExamples)
	if opts.Name == "" {
		opts.Name = "the new policy"
	}
	r := &Replay{
		opts:    opts,
		domains: newDomainCounts(opts.Examples),
		authors: newOverview[string](min(opts.Examples, overviewExamples)),
		sources: newOverview[netip.Prefix](min(opts.Examples, overviewExamples)),
	}
	switch opts.New.MixedRecipients {
	case settings.Mildest:
		r.choose = policy.Mildest
	case settings.Strictest:
		r.choose = policy.Strictest
	}
	return r
}

// Run replays the records of source from since until before until. It calls Progress, if
// not nil, from time to time with the number of records read.
func (r *Replay) Run(ctx context.Context, source Source, since, until time.Time, progress func(read int64)) error {
	const often = 1 << 12 // records
	var read int64
	return source.Records(ctx, since, until, func(rec *memory.Record) error {
		r.Add(rec)
		if read++; read%often == 0 {
			if progress != nil {
				progress(read)
			}
			return ctx.Err()
		}
		return nil
	})
}
