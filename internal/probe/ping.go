package probe

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/milter"
	"dmarcd/internal/settings"
)

// Mail is the message of a ping; what is "" has a default.
type Mail struct {
	From, Rcpt string
	Sign       bool
}

// Check brings the addresses that were given into their plain form.
func (o *Mail) Check() error {
	for _, a := range []struct {
		flag string
		text *string
	}{{"from", &o.From}, {"rcpt", &o.Rcpt}} {
		if *a.text == "" {
			continue // left to its default
		}
		address, err := FlagAddress(a.flag, *a.text)
		if err != nil {
			return err
		}
		*a.text = address.String()
	}
	return nil
}

// OurDomain is a recipient domain of ours, so that a ping is judged: authserv_id
// where it is one, else the first that the policy names.
func OurDomain(config *settings.Settings) string {
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

// Message makes the test message, signed if asked.
func (o *Mail) Message(config *settings.Settings) ([]byte, error) {
	var key *signingKey
	domain := config.AuthServID
	if o.Sign {
		var err error
		if key, err = findSigningKey(config); err != nil {
			return nil, errkind.Wrap(errkind.WrongUse, err)
		}
		domain = key.domain
	}
	if o.From == "" {
		o.From = "dmarcd-ping@" + domain
	}
	if o.Rcpt == "" {
		o.Rcpt = "postmaster@" + OurDomain(config)
	}
	raw := []byte("From: dmarcd ping <" + o.From + ">\r\n" +
		"To: <" + o.Rcpt + ">\r\n" +
		"Subject: dmarcd ping\r\n" +
		"Date: " + time.Now().Format(time.RFC1123Z) + "\r\n" +
		"Message-ID: <ping." + fmt.Sprint(time.Now().UnixNano()) + "@" + domain + ">\r\n" +
		"\r\nThis is a test of the mail filter.\r\n")
	if key == nil {
		return raw, nil
	}
	signed, err := key.sign(raw)
	if err != nil {
		return nil, errkind.Wrap(errkind.Trouble, fmt.Errorf("sign the message: %w", err))
	}
	return signed, nil
}

// Client is the address that a ping comes from: TEST-NET-1 of RFC 5737, which
// no real client has.
const Client = "192.0.2.1"

// pingTimeout bounds a ping: above the DNS budget of any sane configuration.
const pingTimeout = 60 * time.Second

// Send sends a mail through the milter socket, as a client at pingClient would.
func Send(ctx context.Context, socket milter.Address, mail *Mail, raw []byte) (milter.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	answer, err := milter.Submit(ctx, socket, milter.Submission{
		Client: netip.MustParseAddr(Client), Host: "ping.invalid", Helo: "ping.invalid",
		From: "<" + mail.From + ">", Rcpts: []string{"<" + mail.Rcpt + ">"},
		Macros:  map[string]string{"i": "ping", milter.TestMacro: "1"},
		Message: bytes.NewReader(raw),
	})
	if err != nil {
		return milter.Answer{}, errkind.Wrap(errkind.Trouble, fmt.Errorf("%w; is the daemon running, and does it listen there?", err))
	}
	return answer, nil
}
