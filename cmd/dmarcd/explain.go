package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/explain"
)

// explainOptions are the flags of `dmarcd explain`.
type explainOptions struct {
	target      *target
	language    string
	all, asJSON bool
}

func explainCommand(s streams) *cobra.Command {
	o := &explainOptions{}
	c := &cobra.Command{
		Use:   "explain QUEUE-ID|MESSAGE-ID",
		Short: "Explain why a message was accepted, quarantined or rejected",
		Long: `Explain everything that led to the decision on a message: what SPF found term by term,
each signature, the DMARC records asked for, the rule that decided with its file and
line, the header fields added and removed, the reply, and the DNS answers that all this
rests on. For mail in the MTA's hold queue it prints the commands that release or
delete it. The last part is a text for the sender, who may ask why: it names no
recipient and no setting.

The message is named by the MTA's queue id (the reply to the client and the MTA's log
have it) or by its Message-ID. Where several messages have the id, the newest one is
explained and the others are listed; --all explains them all.

The running daemon is asked on its admin socket; where none runs, the store is opened,
which only the user that owns state_dir may do.

Exit code 0: found; 1: no such message is remembered; 3: the store cannot be read.`,
		Example: `  dmarcd explain 4XyZ1w5Qk2z1
  dmarcd explain '<20260101.1234@mail.example.com>' --all
  dmarcd explain --json 4XyZ1w5Qk2z1`,
		Args: arguments(1, 1, "name a message by its queue id or Message-ID"),
	}
	o.target = targetFlags(c)
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "explain every message that has the id, newest first")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object for each message")
	f.StringVar(&o.language, "lang", string(explain.English), "language of the texts: en or ja")
	c.RunE = func(c *cobra.Command, args []string) error {
		return explainMessage(c.Context(), o, args[0], s)
	}
	return c
}

func explainMessage(ctx context.Context, o *explainOptions, id string, s streams) error {
	language, err := explain.ParseLanguage(o.language)
	if err != nil {
		return usageError(fmt.Errorf("--lang: %w", err))
	}
	c, err := connect(ctx, o.target, s)
	if err != nil {
		return err
	}
	found, err := api.MessagesExplain().Ask(ctx, c, api.ExplainRequest{ID: id, All: o.all, Language: language})
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil:
		return err
	case o.asJSON:
		return writeExplanations(s, &found)
	}
	return printExplanations(s, &found)
}

// explanationReport is an explanation as JSON, with the other messages that have the id.
type explanationReport struct {
	*explain.Explanation
	Others []api.OtherMessage `json:"others,omitempty"` // newest first
}

func writeExplanations(s streams, found *api.Explained) error {
	out := s.json()
	for _, m := range found.Messages {
		if err := out.Encode(explanationReport{Explanation: m, Others: found.Others}); err != nil {
			return err
		}
	}
	return nil
}

// maxListedOthers bounds the list of other messages.
const maxListedOthers = 20

func printExplanations(s streams, found *api.Explained) error {
	for i, m := range found.Messages {
		if i > 0 {
			const width = 72
			fmt.Fprintf(s.out, "\n%s\n\n", strings.Repeat("-", width))
		}
		if err := m.WriteText(s.out); err != nil {
			return err
		}
	}
	if len(found.Others) == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\nOther messages with this id: %d (--all explains them too)\n", len(found.Others))
	for i, o := range found.Others {
		if i == maxListedOthers {
			fmt.Fprintf(s.out, "  ... and %d more\n", len(found.Others)-i)
			break
		}
		s.line("  %s  %-14s %-10s %s", o.At.Format("2006-01-02 15:04:05.000 MST"), o.QueueID, o.Action, strings.Join(o.From, ", "))
	}
	return nil
}
