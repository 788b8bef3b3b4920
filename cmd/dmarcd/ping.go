package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/milter"
	"dmarcd/internal/present"
	"dmarcd/internal/probe"
)

type pingOptions struct {
	config string
	socket string
	mail   probe.Mail
	asJSON bool
}

func pingCommand(s present.Streams) *cobra.Command {
	o := &pingOptions{}
	c := &cobra.Command{
		Use:   "ping",
		Short: "Send a whole message through the running daemon's socket, as an MTA would",
		Long: `Send one message through the milter socket of the running daemon, as an MTA would send
it for a client at ` + probe.Client + `, and print the answer. The message is marked as a test: it is
never delivered, journaled, counted or reported; the daemon only logs it.

With --sign it carries a DKIM signature: by the key of "reports.dkim" if that is
configured, so that its record can be verified, else by a key made on the spot, for
which no record exists (dkim=permerror is then the right result).

Exit code 0: the daemon answered, whatever the verdict; 3: it did not.`,
		Example: `  dmarcd ping
  dmarcd ping --sign -c /etc/dmarcd/dmarcd.yaml
  dmarcd ping --from ann@example.com --rcpt user@example.org`,
		Args: noArguments(),
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.socket, "socket", "", "milter socket (default the first of \"listen\")")
	f.StringVar(&o.mail.From, "from", "", "MAIL FROM and From address (default dmarcd-ping at authserv_id, or at the signing domain)")
	f.StringVar(&o.mail.Rcpt, "rcpt", "", "recipient (default postmaster at authserv_id if that is ours, else at a domain of the policy)")
	f.BoolVar(&o.mail.Sign, "sign", false, "sign the message")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.config = *path
		return ping(c.Context(), o, s)
	}
	return c
}

func ping(ctx context.Context, o *pingOptions, s present.Streams) error {
	config, err := loadSettings(o.config, s.Err)
	if err != nil {
		return err
	}
	if o.socket == "" {
		o.socket = config.Listen[0].Socket
	}
	socket, err := milter.ParseAddress(o.socket)
	if err != nil {
		return usageError(err)
	}
	if err := o.mail.Check(); err != nil {
		return usageError(err)
	}
	raw, err := o.mail.Message(config)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := probe.Send(ctx, socket, &o.mail, raw)
	if err != nil {
		return err
	}
	return present.WriteAnswer(s, present.NewPingReport(o.socket, o.mail.Rcpt, time.Since(began), answer), o.asJSON)
}
