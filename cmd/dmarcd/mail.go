package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
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
