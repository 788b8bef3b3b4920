package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/dns"
	"dmarcd/internal/milter"
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

func pingCommand(s streams) *cobra.Command {
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

func ping(ctx context.Context, o *pingOptions, s streams) error {
	config, err := loadSettings(o.config, s.err)
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
	return writeReport(s, newPingReport(o, time.Since(began), answer), o.asJSON)
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

// pingReport is what `dmarcd ping` says.
type pingReport struct {
	Socket   string   `json:"socket"`
	Millis   float64  `json:"ms"`
	Answer   string   `json:"answer"` // accepted, quarantined, discarded or the SMTP reply
	Hold     string   `json:"hold,omitempty"`
	Redirect string   `json:"redirect,omitempty"`
	Changed  []string `json:"changed,omitempty"`
	Added    []string `json:"added"`
	Bypassed bool     `json:"bypassed,omitempty"` // accepted without one of our fields: it was not judged
	rcpt     string
}

func newPingReport(o *pingOptions, took time.Duration, a milter.Answer) pingReport {
	r := pingReport{
		Socket: o.socket, rcpt: o.rcpt, Millis: float64(took.Microseconds()) / 1000,
		Answer: "accepted", Hold: a.Quarantine, Added: []string{},
	}
	switch {
	case !a.Reply.IsZero():
		r.Answer = fmt.Sprintf("%d %s %s", a.Reply.Code, a.Reply.Enhanced, a.Reply.Text)
	case a.Discard:
		r.Answer = "discarded"
	case a.Quarantine != "":
		r.Answer = "quarantined"
	}
	for _, e := range a.Edits {
		switch e.Kind {
		case milter.InsertHeader:
			r.Added = append([]string{e.Name + ":" + unfold(e.Value)}, r.Added...)
		case milter.ChangeHeader, milter.AddHeader:
			r.Changed = append(r.Changed, e.Name+":"+unfold(e.Value))
		case milter.AddRcpt:
			r.Redirect = strings.Trim(e.Name, "<>")
		}
	}
	r.Bypassed = r.Answer == "accepted" && len(a.Edits) == 0
	return r
}

func (r pingReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s answered in %.1f ms: %s\n", r.Socket, r.Millis, r.Answer)
	if r.Bypassed {
		fmt.Fprintf(w, "the message was accepted without a check, and no field was added: is %s ours?\n", r.rcpt)
	}
	if r.Hold != "" {
		fmt.Fprintf(w, "hold      %s\n", r.Hold)
	}
	if r.Redirect != "" {
		fmt.Fprintf(w, "redirect  %s\n", r.Redirect)
	}
	for _, f := range r.Changed {
		fmt.Fprintf(w, "changed   %s\n", f)
	}
	for _, f := range r.Added {
		fmt.Fprintf(w, "added     %s\n", f)
	}
	return nil
}
