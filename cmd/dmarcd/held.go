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
	"dmarcd/internal/errkind"
	"dmarcd/internal/mta"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

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
	return heldWork{does: o.does, print: o.print, asJSON: o.asJSON}.run(ctx, c, request, s)
}

// heldWork releases or deletes held mail, or shows how.
type heldWork struct {
	does          string // release or delete
	print, asJSON bool
}

// run does it with all that the request finds.
func (o heldWork) run(ctx context.Context, c api.Asker, request api.HeldRequest, s present.Streams) error {
	failed := 0
	for {
		page, err := api.HeldList().Ask(ctx, c, request)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			if err := o.do(ctx, c, &page.Messages[i], s); err != nil {
				failed++
				fmt.Fprintf(s.Err, "%s: %s\n", page.Messages[i].QueueID, err)
			}
		}
		switch {
		case failed > 0:
			return errkind.Errorf(errkind.Trouble, "%s", text.Count(int64(failed), "command")+" failed")
		case len(page.Unknown) > 0:
			return errkind.Errorf(errkind.NotFound, "not held here: %s", strings.Join(page.Unknown, ", "))
		case page.After == "":
			return nil
		}
		request.After = page.After
	}
}

// do releases or deletes one message, or shows how.
func (o heldWork) do(ctx context.Context, c api.Asker, m *api.HeldMessage, s present.Streams) error {
	command, err := mta.Command(m, o.does)
	if err != nil {
		return err
	}
	if !o.print {
		if err := mta.Run(ctx, command, s.Err); err != nil {
			return err
		}
		if _, err := api.HeldDone().Ask(ctx, c, api.HeldDoneRequest{Keys: []string{m.Key}}); err != nil {
			return err
		}
	}
	if o.asJSON {
		return present.WriteJSONLine(s, present.HeldDone{QueueID: m.QueueID, Command: command, Done: !o.print})
	}
	s.Line("%s", command)
	return nil
}
