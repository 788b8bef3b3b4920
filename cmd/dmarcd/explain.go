package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/explain"
	"dmarcd/internal/present"
)

// explainOptions are the flags of `dmarcd explain`.
type explainOptions struct {
	target      *client.Target
	language    string
	all, asJSON bool
}

func explainCommand(s present.Streams) *cobra.Command {
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

func explainMessage(ctx context.Context, o *explainOptions, id string, s present.Streams) error {
	language, err := explain.ParseLanguage(o.language)
	if err != nil {
		return usageError(fmt.Errorf("--lang: %w", err))
	}
	c, err := client.Connect(ctx, o.target, s)
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
		return present.ExplanationsJSON(s, &found)
	}
	return present.Explanations(s, &found)
}
