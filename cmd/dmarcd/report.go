package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/memory"
	"dmarcd/internal/present"
	"dmarcd/internal/report/outgoing"
)

func reportCommand(s present.Streams) *cobra.Command {
	c := group("report", "The reports that we send: list, show, send, retry, suppress",
		reportListCommand(s), reportShowCommand(s), reportSendCommand(s), reportRetryCommand(s), reportSuppressCommand(s))
	c.Long = `The reports that we send to the domains that ask for them: one aggregate report for each
policy domain and UTC day (RFC 9990) and, if they are switched on, failure reports (RFC
9991). Each goes to the addresses that the domain's DMARC record names.

A delivery is
  queued        waiting for its first or next attempt
  unconfirmed   likewise; whether the outside host takes reports on the domain is asked first
  sent          taken by the mail server
  failed        refused for good, or bounced
  expired       tried for two days
  suppressed    not sent: the destination is suppressed
  unverified    not sent: the outside host does not ask for reports on the domain
  capped        not sent: one organization asks for too many mails
  replaced      the outside host named other addresses, listed beside it

The running daemon is asked on its admin socket; where none runs, the store is opened,
which only the user that owns state_dir may do.`
	return c
}

// sendWait is how long a command waits to lead, where no daemon runs on this host.
const sendWait = 20 * time.Second

// reportConnection is a connection for the commands on reports.
type reportConnection struct {
	*connection
	pipeline *outgoing.Pipeline // nil where a daemon runs
}

// connectReports finds the running daemon or opens the store in its place. The caller
// closes it.
func connectReports(ctx context.Context, t *target, s present.Streams) (*reportConnection, error) {
	m, err := connect(ctx, t, s)
	if err != nil {
		return nil, err
	}
	if m.offline == nil {
		return &reportConnection{connection: m}, nil
	}
	p, err := m.offline.UseReports(version)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &reportConnection{connection: m, pipeline: p}, nil
}

// deliver sends what is due, where no daemon does it. It says what else there is to
// know.
func (d *reportConnection) deliver(ctx context.Context, s present.Streams) error {
	if d.pipeline == nil {
		return nil
	}
	_, led, err := d.pipeline.Drain(ctx, sendWait)
	switch {
	case err != nil:
		return err
	case !led:
		fmt.Fprintln(s.Err, "another daemon that shares the store sends it")
	}
	return nil
}

// withReports opens a connection, calls work with it, and closes it.
func withReports(ctx context.Context, t *target, s present.Streams, work func(*reportConnection) error) error {
	c, err := connectReports(ctx, t, s)
	if err != nil {
		return err
	}
	err = work(c)
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return err
}

// filterFlags are the flags that choose reports.
type filterFlags struct {
	domain, day, since, until, state, kind, to string
}

func (f *filterFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.domain, "domain", "", "the policy domain that they are about")
	flags.StringVar(&f.day, "day", "", "the UTC day that they are about, such as 2026-11-24, today or yesterday")
	flags.StringVar(&f.since, "since", "", "that day and later ones")
	flags.StringVar(&f.until, "until", "", "that day and earlier ones")
	flags.StringVar(&f.state, "state", "", "with a delivery in that state, such as failed")
	flags.StringVar(&f.kind, "kind", "", "aggregate or failure")
	flags.StringVar(&f.to, "to", "", "with a delivery to that address")
}

func (f *filterFlags) filter(now time.Time) (outgoing.Filter, error) {
	out := outgoing.Filter{Kind: outgoing.Kind(f.kind), State: outgoing.State(f.state), To: f.to}
	if f.domain != "" {
		name, err := outgoing.ParseTarget(f.domain)
		if err != nil || strings.Contains(name, "@") {
			return out, fmt.Errorf("--domain %q is no domain", f.domain)
		}
		out.Domain = name
	}
	if f.kind != "" && out.Kind != outgoing.KindAggregate && out.Kind != outgoing.KindFailure {
		return out, fmt.Errorf("--kind is %s or %s, not %q", outgoing.KindAggregate, outgoing.KindFailure, f.kind)
	}
	if f.day != "" && (f.since != "" || f.until != "") {
		return out, errors.New("--day and --since or --until do not go together")
	}
	for _, d := range []struct {
		name, text string
		into       []**memory.Day
	}{
		{"--day", f.day, []**memory.Day{&out.Since, &out.Until}},
		{"--since", f.since, []**memory.Day{&out.Since}},
		{"--until", f.until, []**memory.Day{&out.Until}},
	} {
		if d.text == "" {
			continue
		}
		day, err := parseDay(d.text, now)
		if err != nil {
			return out, fmt.Errorf("%s: %w", d.name, err)
		}
		for _, into := range d.into {
			*into = &day
		}
	}
	return out, nil
}

// parseDay reads a day, or a word for one.
func parseDay(word string, now time.Time) (memory.Day, error) {
	switch word {
	case "today":
		return memory.DayOf(now), nil
	case "yesterday":
		return memory.DayOf(now) - 1, nil
	}
	return memory.ParseDay(word)
}
