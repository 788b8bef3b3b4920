package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/dns"
	"dmarcd/internal/milter"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// pingClient is the address that a ping comes from: TEST-NET-1 of RFC 5737, which
// no real client has.
const pingClient = "192.0.2.1"

// pingTimeout bounds a ping: above the DNS budget of any sane configuration.
const pingTimeout = 60 * time.Second

type pingOptions struct {
	config     string
	socket     string
	from, rcpt string
	sign       bool
	asJSON     bool
}

func pingCommand(s present.Streams) *cobra.Command {
	o := &pingOptions{}
	c := &cobra.Command{
		Use:   "ping",
		Short: "Send a whole message through the running daemon's socket, as an MTA would",
		Long: `Send one message through the milter socket of the running daemon, as an MTA would send
it for a client at ` + pingClient + `, and print the answer. The message is marked as a test: it is
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
	f.StringVar(&o.from, "from", "", "MAIL FROM and From address (default dmarcd-ping at authserv_id, or at the signing domain)")
	f.StringVar(&o.rcpt, "rcpt", "", "recipient (default postmaster at authserv_id if that is ours, else at a domain of the policy)")
	f.BoolVar(&o.sign, "sign", false, "sign the message")
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
	if err := o.checkAddresses(); err != nil {
		return usageError(err)
	}
	raw, err := o.message(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	began := time.Now()
	answer, err := milter.Submit(ctx, socket, milter.Submission{
		Client: netip.MustParseAddr(pingClient), Host: "ping.invalid", Helo: "ping.invalid",
		From: "<" + o.from + ">", Rcpts: []string{"<" + o.rcpt + ">"},
		Macros:  map[string]string{"i": "ping", milter.TestMacro: "1"},
		Message: bytes.NewReader(raw),
	})
	if err != nil {
		return troubleError(fmt.Errorf("%w; is the daemon running, and does it listen there?", err))
	}
	return present.WriteAnswer(s, present.NewPingReport(o.socket, o.rcpt, time.Since(began), answer), o.asJSON)
}

// checkAddresses brings the addresses that were given into their plain form.
func (o *pingOptions) checkAddresses() error {
	for _, a := range []struct {
		flag string
		text *string
	}{{"from", &o.from}, {"rcpt", &o.rcpt}} {
		if *a.text == "" {
			continue // left to its default
		}
		address, err := flagAddress(a.flag, *a.text)
		if err != nil {
			return err
		}
		*a.text = address.String()
	}
	return nil
}

// ourDomain is a recipient domain of ours, so that a ping is judged: authserv_id
// where it is one, else the first that the policy names.
func ourDomain(config *settings.Settings) string {
	p := &config.Policy
	if name, err := dns.Parse(config.AuthServID); err == nil {
		if _, ours := p.RulesFor(name); ours {
			return config.AuthServID
		}
	}
	managed := p.Managed.Patterns()
	for _, pattern := range managed {
		if !strings.HasPrefix(pattern, "*") {
			return pattern
		}
	}
	if len(p.Domains) > 0 {
		return slices.MinFunc(slices.Collect(maps.Keys(p.Domains)), func(a, b dns.Name) int {
			return strings.Compare(a.String(), b.String())
		}).String()
	}
	for _, pattern := range managed {
		if above, ok := strings.CutPrefix(pattern, "*."); ok {
			return "mail." + above // any name below it is ours
		}
	}
	return config.AuthServID
}

// message makes the test message, signed if asked.
func (o *pingOptions) message(config *settings.Settings) ([]byte, error) {
	var key *signingKey
	domain := config.AuthServID
	if o.sign {
		var err error
		if key, err = findSigningKey(config); err != nil {
			return nil, usageError(err)
		}
		domain = key.domain
	}
	if o.from == "" {
		o.from = "dmarcd-ping@" + domain
	}
	if o.rcpt == "" {
		o.rcpt = "postmaster@" + ourDomain(config)
	}
	raw := []byte("From: dmarcd ping <" + o.from + ">\r\n" +
		"To: <" + o.rcpt + ">\r\n" +
		"Subject: dmarcd ping\r\n" +
		"Date: " + time.Now().Format(time.RFC1123Z) + "\r\n" +
		"Message-ID: <ping." + fmt.Sprint(time.Now().UnixNano()) + "@" + domain + ">\r\n" +
		"\r\nThis is a test of the mail filter.\r\n")
	if key == nil {
		return raw, nil
	}
	signed, err := key.sign(raw)
	if err != nil {
		return nil, troubleError(fmt.Errorf("sign the message: %w", err))
	}
	return signed, nil
}
