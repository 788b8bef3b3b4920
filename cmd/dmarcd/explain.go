package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/explain"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
)

// explainOptions are the flags of `dmarcd explain`.
type explainOptions struct {
	config      string
	all, asJSON bool
}

func explainCommand(s streams) *cobra.Command {
	o := &explainOptions{}
	c := &cobra.Command{
		Use:   "explain QUEUE-ID|MESSAGE-ID",
		Short: "Tell why a message was accepted, quarantined or rejected",
		Long: `Tell everything that led to the decision on a message: what SPF found term by term,
each signature, the DMARC records asked for, the rule that decided with its file and
line, the header fields written and removed, the reply, and the DNS answers that it
rests on. For mail in the MTA's hold queue it prints the commands that release or
delete it.

The message is named by the MTA's queue id (the reply to the client and the MTA's log
have it) or by its Message-ID. Where several messages have the id, the newest is told
and the others are listed; --all tells them all.

The running daemon is asked on its admin socket; where none runs, the store is opened,
which only the user that owns state_dir may do.

Exit code 0: found; 1: no such message is remembered; 3: the store cannot be read.`,
		Example: `  dmarcd explain 4XyZ1w5Qk2z1
  dmarcd explain '<20260101.1234@mail.example.com>' --all
  dmarcd explain --json 4XyZ1w5Qk2z1`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "tell every message that has the id, newest first")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object for each message that is told")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.config = *path
		return explainMessage(c.Context(), o, args[0], s)
	}
	return c
}

func explainMessage(ctx context.Context, o *explainOptions, id string, s streams) error {
	if id = strings.TrimSpace(id); id == "" {
		return usageError(fmt.Errorf("the id is empty; give a queue id or a Message-ID"))
	}
	config, err := findConfiguration(o.config).lookOrExplain(s.err)
	if err != nil {
		return err
	}
	m, err := openMemory(ctx, config)
	if err != nil {
		return err
	}
	found, err := m.Find(ctx, id)
	if closeErr := m.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil:
		return troubleError(err)
	case len(found) == 0:
		return &exitError{code: exitNo, err: notRemembered(id, config)}
	}
	told, others := found, []*memory.Record(nil)
	if !o.all {
		told, others = found[:1], found[1:]
	}
	if o.asJSON {
		err = writeStories(s, config, told, others)
	} else {
		err = printStories(s, config, told, others)
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}

// notRemembered says what to try where nothing was found.
func notRemembered(id string, config *settings.Settings) error {
	return fmt.Errorf(`no message with the queue id or Message-ID %q is remembered. It may be
  - older than retention.messages (%s), or dropped earlier for want of room (retention.max_bytes)
  - left alone: from a trusted network or a client that logged in, or for no recipient of ours
  - never judged: the MTA did not ask dmarcd, or refused the message before its end
  - lost for want of room on the disk, or because it was too slow (dmarcd_journal_lost_records_total counts them)
  - judged on another host, whose daemon has a store of its own: ask there
  - named otherwise: queue ids tell upper from lower case, and a Message-ID is kept up to 200 characters`,
		id, explain.Span(config.Retention.Messages))
}

func tell(config *settings.Settings, r *memory.Record) *explain.Story {
	return explain.New(r, explain.Options{Now: time.Now(), Traces: config.Retention.Traces})
}

// storyReport is a story as JSON, with the other messages that have the id.
type storyReport struct {
	*explain.Story
	Others []otherReport `json:"others,omitempty"` // newest first
}

type otherReport struct {
	At      time.Time `json:"at"`
	QueueID string    `json:"queue_id"`
	Action  string    `json:"action"`
	From    []string  `json:"from"`
}

func newOtherReport(s *explain.Story) otherReport {
	return otherReport{At: s.Message.At, QueueID: s.Message.QueueID, Action: s.Action, From: s.Message.From}
}

func writeStories(s streams, config *settings.Settings, told, others []*memory.Record) error {
	out := s.json()
	for _, r := range told {
		report := storyReport{Story: tell(config, r)}
		for _, other := range others {
			report.Others = append(report.Others, newOtherReport(tell(config, other)))
		}
		if err := out.Encode(report); err != nil {
			return err
		}
	}
	return nil
}

// maxListedOthers bounds the list of other messages.
const maxListedOthers = 20

func printStories(s streams, config *settings.Settings, told, others []*memory.Record) error {
	for i, r := range told {
		if i > 0 {
			const width = 72
			fmt.Fprintf(s.out, "\n%s\n\n", strings.Repeat("-", width))
		}
		if err := tell(config, r).WriteText(s.out); err != nil {
			return err
		}
	}
	if len(others) == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\nOther messages with this id: %d (--all tells them too)\n", len(others))
	for i, r := range others {
		if i == maxListedOthers {
			fmt.Fprintf(s.out, "  ... and %d more\n", len(others)-i)
			break
		}
		o := newOtherReport(tell(config, r))
		s.line("  %s  %-14s %-10s %s", o.At.Format("2006-01-02 15:04:05.000 MST"), o.QueueID, o.Action, strings.Join(o.From, ", "))
	}
	return nil
}
