package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/daemon"
	"dmarcd/internal/explain"
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// checkOptions are the flags of `dmarcd check`.
type checkOptions struct {
	config        string
	language      string
	ip, helo      string
	relay         string
	from          string
	fromGiven     bool
	rcpts         []string
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
	f.StringVar(&o.ip, "ip", "", "address of the SMTP client")
	f.StringVar(&o.helo, "helo", "", "HELO argument of the client")
	f.StringVar(&o.relay, "relay", "", "address or network of a relay of ours: read the true client from the Received fields as client_ip_from would")
	f.StringVar(&o.from, "from", "", "MAIL FROM address")
	f.StringSliceVar(&o.rcpts, "rcpt", nil, "recipient; may be repeated")
	f.StringVar(&o.language, "lang", string(explain.English), "language of the texts: en or ja")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	f.BoolVar(&o.secondOpinion, "second-opinion", false, "also print what go-msgauth's verifier says of the signatures")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.config, o.fromGiven = *path, c.Flags().Changed("from")
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
	relay, err := o.source(config)
	if err != nil {
		return usageError(err)
	}
	raw, err := readMessage(name, s.In)
	if err != nil {
		return err
	}
	env, err := o.envelope(raw)
	if err != nil {
		return usageError(err)
	}
	var read filter.TrueClient
	if relay != nil {
		header := headerOf(raw)
		read = filter.ReadTrueClient(config, &header, relay)
		env.ClientIP, env.Helo = read.Addr, read.Helo
	}
	client, err := daemon.NewResolver(config)
	if err != nil {
		return usageError(err)
	}
	defer client.Close()

	outcome, err := judge(ctx, client, config, env, raw)
	if err != nil {
		return troubleError(err)
	}
	report := present.NewCheckReport(config, outcome, language)
	if relay != nil {
		report.Relay = present.NewRelayReport(relay, read)
	}
	if o.secondOpinion {
		report.SecondOpinion = secondOpinion(ctx, client, config, raw)
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
		return &exitError{exitTrouble}
	case o.Decision.Would != policy.Bypass:
		return answerNo()
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

// envelope is the envelope that the flags and the message tell.
func (o *checkOptions) envelope(raw []byte) (message.Envelope, error) {
	env := message.Envelope{Helo: o.helo, QueueID: "check", Received: time.Now().UTC()}
	if o.ip != "" {
		ip, err := netip.ParseAddr(o.ip)
		if err != nil {
			return env, fmt.Errorf("--ip %q is not an IP address", o.ip)
		}
		env.ClientIP = ip.Unmap().WithZone("")
	}
	if o.fromGiven {
		var err error
		if env.MailFrom, err = flagSender("from", o.from); err != nil {
			return env, err
		}
	} else {
		env.MailFrom = guessSender(raw)
	}
	for _, r := range o.rcpts {
		a, err := flagAddress("rcpt", r)
		if err != nil {
			return env, err
		}
		env.Rcpts = append(env.Rcpts, a)
	}
	return env, nil
}

// source is the relay of --relay; nil without it. An entry of client_ip_from for it
// says where it writes the client.
func (o *checkOptions) source(config *settings.Settings) (*settings.ClientIPSource, error) {
	if o.relay == "" {
		return nil, nil
	}
	if o.ip != "" {
		return nil, errors.New("--relay and --ip do not go together: the relay's field names the client")
	}
	network, err := netip.ParsePrefix(o.relay)
	if err != nil {
		addr, addrErr := netip.ParseAddr(o.relay)
		if addrErr != nil {
			return nil, fmt.Errorf("--relay %q is neither an address nor a network such as 192.0.2.0/24", o.relay)
		}
		network = netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen())
	}
	for _, from := range config.ClientIPFrom {
		if from.Relay.Contains(network.Addr()) {
			return &settings.ClientIPSource{Relay: network.Masked(), Header: from.Header}, nil
		}
	}
	return &settings.ClientIPSource{Relay: network.Masked()}, nil
}

// guessSender is the address of the Return-Path field, else the domain of the From field.
func guessSender(raw []byte) message.Address {
	h := headerOf(raw)
	if f, ok := h.First("Return-Path"); ok {
		return message.ParseAddress(string(f.Value()))
	}
	if a := message.ParseAuthor(&h); !a.Domain.IsZero() {
		return message.Address{Local: "postmaster", Host: a.Domain.String(), Domain: a.Domain}
	}
	return message.Address{}
}

// headerOf is the header of a message.
func headerOf(raw []byte) message.Header {
	var h message.Header
	_ = message.Stream(bytes.NewReader(raw), message.Events{ // only the header matters here
		Field: func(name string, value []byte) {
			line := append([]byte(name+":"), value...)
			h.Fields = append(h.Fields, message.Field{Name: name, Raw: append(line, '\r', '\n')})
		},
		EndOfHeader: func() {},
		Body:        func([]byte) bool { return false },
	})
	return h
}

// judge runs one message through the filter.
func judge(ctx context.Context, client filter.Resolver, config *settings.Settings, env message.Envelope, raw []byte) (*filter.Result, error) {
	rcpts := env.Rcpts
	env.Rcpts = nil
	t := filter.New(client, nil).BeginUntrusted(ctx, config, env)
	t.ShowWholeWalk()
	if len(rcpts) == 0 {
		t.AssumeRecipient()
	}
	for _, r := range rcpts {
		t.Rcpt(filter.Recipient{Written: r}, false)
	}
	err := message.Stream(bytes.NewReader(raw), message.Events{Field: t.Header, EndOfHeader: t.EndOfHeader, Body: t.Body})
	if err != nil {
		t.Abort()
		return nil, err
	}
	outcome := t.EndOfMessage("")
	return &outcome, nil
}
