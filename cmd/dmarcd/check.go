package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/explain"
	"dmarcd/internal/filter"
	"dmarcd/internal/policy"
	"dmarcd/internal/present"
	"dmarcd/internal/probe"
)

// checkOptions are the flags of `dmarcd check`.
type checkOptions struct {
	config        string
	language      string
	envelope      probe.Envelope
	asJSON        bool
	secondOpinion bool
}

func checkCommand(s present.Streams) *cobra.Command {
	o := &checkOptions{}
	c := &cobra.Command{
		Use:   "check [flags] [MESSAGE|-]",
		Short: "Judge one message offline: verdict, decision, headers, and why",
		Long: `Judge one message as the daemon would, with live DNS and the settings of the
recipient's domain, and print the verdict, the decision, the header fields that would
be added and removed, and why, as "dmarcd explain" does. Nothing is delivered, counted
or remembered.

The envelope is not part of a message, so name it: --ip and --helo of the client,
--from for MAIL FROM ("" for the null sender), --rcpt for the recipients. Without --from
the Return-Path field is taken, else the From field; without --rcpt the default settings
apply; without --ip SPF cannot be checked and is none.

With --relay the message is one that a relay of ours handed over: the client is read
from the Received fields, from relay to relay as far as they are trusted, and a field
that cannot be read is shown.

Exit code 0: the message would pass; 1: it would be quarantined or rejected;
3: DNS trouble left the result open.`,
		Example: `  dmarcd check --ip 192.0.2.1 --helo mail.example.com --from bounce@example.com --rcpt me@example.org mail.eml
  dmarcd check --relay 192.0.2.0/24 mail.eml
  dmarcd check --json - < mail.eml`,
		Args: arguments(0, 1, ""),
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.envelope.Ip, "ip", "", "address of the SMTP client")
	f.StringVar(&o.envelope.Helo, "helo", "", "HELO argument of the client")
	f.StringVar(&o.envelope.Relay, "relay", "", "address or network of a relay of ours: read the true client from the Received fields as client_ip_from would")
	f.StringVar(&o.envelope.From, "from", "", "MAIL FROM address")
	f.StringSliceVar(&o.envelope.Rcpts, "rcpt", nil, "recipient; may be repeated")
	f.StringVar(&o.language, "lang", string(explain.English), "language of the texts: en or ja")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	f.BoolVar(&o.secondOpinion, "second-opinion", false, "also print what go-msgauth's verifier says of the signatures")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.config, o.envelope.FromGiven = *path, c.Flags().Changed("from")
		name := "-"
		if len(args) > 0 {
			name = args[0]
		}
		return check(c.Context(), o, name, s)
	}
	return c
}

func check(ctx context.Context, o *checkOptions, name string, s present.Streams) error {
	language, err := explain.ParseLanguage(o.language)
	if err != nil {
		return usageError(fmt.Errorf("--lang: %w", err))
	}
	config, err := loadSettings(o.config, s.Err)
	if err != nil {
		return err
	}
	relay, err := o.envelope.Source(config)
	if err != nil {
		return usageError(err)
	}
	raw, err := readMessage(name, s.In)
	if err != nil {
		return err
	}
	env, err := o.envelope.Read(raw)
	if err != nil {
		return usageError(err)
	}
	var read filter.TrueClient
	if relay != nil {
		header := probe.HeaderOf(raw)
		read = filter.ReadTrueClient(config, &header, relay)
		env.ClientIP, env.Helo = read.Addr, read.Helo
	}
	client, err := daemon.NewResolver(config)
	if err != nil {
		return usageError(err)
	}
	defer client.Close()

	outcome, err := probe.Judge(ctx, client, config, env, raw)
	if err != nil {
		return troubleError(err)
	}
	report := present.NewCheckReport(config, outcome, language)
	if relay != nil {
		report.Relay = present.NewRelayReport(relay, read)
	}
	if o.secondOpinion {
		report.SecondOpinion = probe.SecondOpinion(ctx, client, config, raw)
	}
	if err := present.WriteAnswer(s, report, o.asJSON); err != nil {
		return err
	}
	return checkResult(outcome)
}

// checkResult is the exit code that an outcome means.
func checkResult(o *filter.Result) error {
	switch {
	case o.Decision.Status == dmarc.TempError || o.Decision.Reason == policy.ReasonTemperror:
		return present.Silent(errkind.Trouble)
	case o.Decision.Would != policy.Bypass:
		return present.Silent(errkind.NotFound)
	}
	return nil
}

// maxCheckedMessage bounds a message that is read into memory.
const maxCheckedMessage = 256 << 20

// readMessage reads a message from a file, or from standard input for "-".
func readMessage(name string, in io.Reader) ([]byte, error) {
	raw, err := present.ReadInput(name, in, "message", maxCheckedMessage)
	if err == nil && len(raw) == 0 {
		err = usageError(errors.New("the message is empty; name a file, or give it on standard input"))
	}
	return raw, err
}
