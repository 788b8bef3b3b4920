package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/explain"
	"dmarcd/internal/mta"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// periodFlags are --since and --until.
type periodFlags struct{ since, until string }

func addPeriod(c *cobra.Command, since string) *periodFlags {
	p := &periodFlags{}
	c.Flags().StringVar(&p.since, "since", since, "from this time on: a duration back from now (7d), a date, or RFC 3339")
	c.Flags().StringVar(&p.until, "until", "", "before this time (default now)")
	return p
}

func (p *periodFlags) period(now time.Time) (api.Period, error) {
	span, err := api.ParseSpan(p.since, p.until, now)
	if err != nil {
		return api.Period{}, usageError(fmt.Errorf("--%w", err))
	}
	if p.until == "" {
		span.Until = time.Time{} // messages of this very moment count
	}
	return span.Period, nil
}

func messagesCommand(s present.Streams) *cobra.Command {
	r := api.MessagesRequest{}
	c := &cobra.Command{
		Use:   "messages",
		Short: "List remembered mail, newest first",
		Long: `List the mail that is remembered, newest first: when it came, its queue id, what was done
and why, the author's domain, the recipients' domains and the client. "dmarcd explain"
tells more of one.

Exit code 0: listed, if there is any; 3: the store cannot be read.`,
		Example: `  dmarcd messages --refused --since 1d
  dmarcd messages --rcpt-domain example.org --from bank.example
  dmarcd messages --client 192.0.2.0/24 --json`,
		Args: noArguments(),
	}
	t, p, when := targetFlags(c), pageFlags(c), addPeriod(c, "7d")
	f := c.Flags()
	f.BoolVar(&r.Held, "held", false, "only what waits in the MTA's hold queue")
	f.BoolVar(&r.Refused, "refused", false, "only what was rejected or deferred")
	f.StringVar(&r.Action, "action", "", "only what that was done with: bypass, quarantine, reject, defer, discard")
	f.StringVar(&r.RcptDomain, "rcpt-domain", "", "only mail for this domain")
	f.StringVar(&r.From, "from", "", "only mail whose From field has this domain")
	f.StringVar(&r.Client, "client", "", "only mail from this address or network")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		if r.Period, err = when.period(time.Now()); err != nil {
			return err
		}
		return listMessages(c.Context(), t, p, r, s)
	}
	return c
}

func listMessages(ctx context.Context, t *client.Target, p *present.Page, r api.MessagesRequest, s present.Streams) error {
	c, err := client.Connect(ctx, t, s)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	return present.EachPage(p, s, func(after string, limit int) ([]api.Message, string, error) {
		r.After, r.Limit = after, limit
		page, err := api.MessagesList().Ask(ctx, c, r)
		return page.Messages, page.After, err
	}, func(m *api.Message) { present.Message(s, m) })
}

func heldCommand(s present.Streams) *cobra.Command {
	c := group("held", "The mail that this host holds: list, release, delete",
		heldListCommand(s), heldDoCommand(s, "release"), heldDoCommand(s, "delete"))
	c.Long = `The mail that waits in the hold queue of this host's MTA because dmarcd put it there
(quarantine: {method: hold}). It does not go away by itself. What was released or deleted
by the MTA's own commands stays listed until "dmarcd held release" or "dmarcd held delete"
is told of it.`
	return c
}

func heldListCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List held mail, newest first",
		Long: `List the mail that this host holds, newest first.

Exit code 0: listed, if there is any; 3: the store cannot be read.`,
		Example: `  dmarcd held list
  dmarcd held list --json | jq -r .queue_id`,
		Args: noArguments(),
	}
	t, p := targetFlags(c), pageFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		conn, err := client.Connect(ctx, t, s)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // opened for reading only
		now := time.Now()
		return present.EachPage(p, s, func(after string, limit int) ([]api.HeldMessage, string, error) {
			page, err := api.HeldList().Ask(ctx, conn, api.HeldRequest{After: after, Limit: limit})
			return page.Messages, page.After, err
		}, func(m *api.HeldMessage) { present.Held(s, m, now) })
	}
	return c
}

// heldOptions are the flags of a command that does something with held mail.
type heldOptions struct {
	target *client.Target
	does   string // release or delete
	older  string
	print  bool
	asJSON bool
}

func heldDoCommand(s present.Streams, does string) *cobra.Command {
	o := &heldOptions{does: does}
	c := &cobra.Command{
		Use:   does + " [ID…]",
		Short: strings.ToUpper(does[:1]) + does[1:] + " held mail, by the MTA's own commands",
		Long: strings.ReplaceAll(`DO held mail by the MTA's own commands, which only root may run: the messages with these
queue ids or, with --older, all that were held longer ago. --print only shows the commands.

Exit code 0: done; 1: one of the messages is not held here; 3: a command of the MTA failed.`, "DO", strings.ToUpper(does[:1])+does[1:]),
		Example: fmt.Sprintf("  dmarcd held %s 4XyZ1w5Qk2z1\n  dmarcd held %s --older 30d --print", does, does),
		Args:    arguments(0, 1000, ""),
	}
	o.target = targetFlags(c)
	f := c.Flags()
	f.StringVar(&o.older, "older", "", "all mail that was held longer ago, such as 30d")
	f.BoolVar(&o.print, "print", false, "only show the commands")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object a line for each message")
	c.RunE = func(c *cobra.Command, args []string) error { return heldDo(c.Context(), o, args, s) }
	return c
}

func heldDo(ctx context.Context, o *heldOptions, ids []string, s present.Streams) error {
	request := api.HeldRequest{IDs: ids, Limit: 1000}
	switch {
	case (o.older == "") == (len(ids) == 0):
		return usageError(errors.New("which mail? Give queue ids (\"dmarcd held list\" shows them), or --older"))
	case o.older != "":
		age, err := settings.ParseDuration(o.older)
		if err != nil {
			return usageError(fmt.Errorf("--older: %w", err))
		}
		request.Until = time.Now().Add(-age)
	}
	if !o.print && os.Geteuid() != 0 {
		return usageError(errors.New("only root may run the MTA's commands; --print shows them"))
	}
	c, err := client.Connect(ctx, o.target, s)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // what was done is done
	return mta.Work{Does: o.does, Print: o.print, AsJSON: o.asJSON}.Run(ctx, c, request, s)
}

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
