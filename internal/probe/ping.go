package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
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
