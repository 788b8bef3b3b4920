package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns"
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// Envelope is the envelope of a message as flags give it.
type Envelope struct {
	Ip, Helo  string
	Relay     string // ours, that handed the message over; "" for none
	From      string
	FromGiven bool
	Rcpts     []string
}

// Read is the envelope that the flags and the message tell.
func (o *Envelope) Read(raw []byte) (message.Envelope, error) {
	env := message.Envelope{Helo: o.Helo, QueueID: "check", Received: time.Now().UTC()}
	if o.Ip != "" {
		ip, err := netip.ParseAddr(o.Ip)
		if err != nil {
			return env, fmt.Errorf("--ip %q is not an IP address", o.Ip)
		}
		env.ClientIP = ip.Unmap().WithZone("")
	}
	if o.FromGiven {
		var err error
		if env.MailFrom, err = flagSender("from", o.From); err != nil {
			return env, err
		}
	} else {
		env.MailFrom = guessSender(raw)
	}
	for _, r := range o.Rcpts {
		a, err := FlagAddress("rcpt", r)
		if err != nil {
			return env, err
		}
		env.Rcpts = append(env.Rcpts, a)
	}
	return env, nil
}

// Source is the relay of --relay; nil without it. An entry of client_ip_from for it
// says where it writes the client.
func (o *Envelope) Source(config *settings.Settings) (*settings.ClientIPSource, error) {
	if o.Relay == "" {
		return nil, nil
	}
	if o.Ip != "" {
		return nil, errors.New("--relay and --ip do not go together: the relay's field names the client")
	}
	network, err := netip.ParsePrefix(o.Relay)
	if err != nil {
		addr, addrErr := netip.ParseAddr(o.Relay)
		if addrErr != nil {
			return nil, fmt.Errorf("--relay %q is neither an address nor a network such as 192.0.2.0/24", o.Relay)
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
	h := HeaderOf(raw)
	if f, ok := h.First("Return-Path"); ok {
		return message.ParseAddress(string(f.Value()))
	}
	if a := message.ParseAuthor(&h); !a.Domain.IsZero() {
		return message.Address{Local: "postmaster", Host: a.Domain.String(), Domain: a.Domain}
	}
	return message.Address{}
}

// HeaderOf is the header of a message.
func HeaderOf(raw []byte) message.Header {
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

// Judge runs one message through the filter.
func Judge(ctx context.Context, client filter.Resolver, config *settings.Settings, env message.Envelope, raw []byte) (*filter.Result, error) {
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

// SecondOpinion is what go-msgauth's verifier says of each signature, in a line
// each. It knows fewer cases than ours; differences are for people to read.
func SecondOpinion(ctx context.Context, client filter.Resolver, config *settings.Settings, raw []byte) []string {
	verifications, err := msgauth.VerifyWithOptions(bytes.NewReader(raw), &msgauth.VerifyOptions{
		MaxVerifications: config.Limits.Signatures,
		LookupTXT: func(domain string) ([]string, error) {
			name, err := dns.Parse(domain)
			if err != nil {
				return nil, err
			}
			return client.LookupTXT(ctx, name)
		},
	})
	lines := []string{}
	for _, v := range verifications {
		word := "pass"
		if v.Err != nil {
			word = "fail: " + v.Err.Error()
		}
		lines = append(lines, fmt.Sprintf("go-msgauth: d=%q %s", v.Domain, word))
	}
	if err != nil {
		lines = append(lines, "go-msgauth: "+err.Error())
	}
	if len(lines) == 0 {
		lines = append(lines, "go-msgauth: no signature")
	}
	return lines
}
