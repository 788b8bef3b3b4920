package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
)

// reportSendOptions are the flags of `dmarcd report send`.
type reportSendOptions struct {
	target *client.Target
	wait   time.Duration
	asJSON bool
}

func reportSendCommand(s present.Streams) *cobra.Command {
	o := &reportSendOptions{}
	c := &cobra.Command{
		Use:   "send DOMAIN [DAY]",
		Short: "Send the report on a domain and day now, or once more",
		Long: `Send the aggregate report on a policy domain and UTC day (yesterday) now. One that was
made before goes out again as it is, with the same file and Report-ID. Otherwise the
day, which must be over, is closed and the report made, whatever reports.enabled,
min_messages and exclude say.

Outside hosts are asked whether they take the report, and suppressed destinations are
left out, as always.

Exit code 0: sent, or on its way; 1: there is nothing to report, or a destination did
not get it; 2: the day is not over; 3: trouble.`,
		Example: `  dmarcd report send example.com
  dmarcd report send example.com 2026-11-24`,
		Args: arguments(1, 2, "name the policy domain whose report to send"),
	}
	o.target = targetFlags(c)
	c.Flags().DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the mail server's answer; 0 not at all")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return reportSend(c.Context(), o, args, s)
	}
	return c
}

func reportSend(ctx context.Context, o *reportSendOptions, args []string, s present.Streams) error {
	request := outgoing.SendRequest{Domain: args[0]}
	if len(args) > 1 {
		day, err := outgoing.ParseDay(args[1], time.Now())
		if err != nil {
			return usageError(err)
		}
		request.Day = &day
	}
	return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
		sending, err := api.ReportsSend().Ask(ctx, d, request)
		if err != nil {
			return err
		}
		if err := d.Deliver(ctx, s); err != nil {
			return err
		}
		r, err := present.AwaitReport(ctx, d, sending.Report.ID, o.wait, s)
		if err != nil {
			return err
		}
		sending.Report = *r
		if o.asJSON {
			err = present.WriteJSONLine(s, sending)
		} else {
			present.Report(s, r)
			if sending.Again {
				s.Line("It had been made before; the same file goes out again under the same Report-ID.")
			}
		}
		if err == nil && !present.WellDelivered(r) {
			err = present.Silent(errkind.NotFound)
		}
		return err
	})
}

// reportRetryOptions are the flags of `dmarcd report retry`.
type reportRetryOptions struct {
	target *client.Target
	outgoing.RetryText
	asJSON bool
}

func reportRetryCommand(s present.Streams) *cobra.Command {
	o := &reportRetryOptions{}
	c := &cobra.Command{
		Use:   "retry [ID]",
		Short: "Try deliveries again that failed, or that wait for later",
		Long: `Make deliveries due now, with two days before them: those of one report (ID), one
delivery (--delivery), or with --failed all that failed or expired, which the other
flags narrow down. --state chooses another state, such as suppressed or unverified.

What was sent is sent again by "dmarcd report send".

Exit code 0: some are tried again; 1: there are none; 3: trouble.`,
		Example: `  dmarcd report retry 17
  dmarcd report retry --failed --day yesterday
  dmarcd report retry --state suppressed --to dmarc@example.com`,
		Args: arguments(0, 1, ""),
	}
	o.target = targetFlags(c)
	addFilter(c, &o.Filter)
	c.Flags().Int64Var(&o.Delivery, "delivery", 0, "the delivery of that number alone")
	c.Flags().BoolVar(&o.Failed, "failed", false, "all that failed or expired")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return reportRetry(c.Context(), o, args, s)
	}
	return c
}

func reportRetry(ctx context.Context, o *reportRetryOptions, args []string, s present.Streams) error {
	request, err := o.Request(args, time.Now())
	if err != nil {
		return usageError(err)
	}
	return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
		retried, err := api.ReportsRetry().Ask(ctx, d, request)
		if err != nil {
			return err
		}
		if retried.Queued > 0 {
			if err := d.Deliver(ctx, s); err != nil {
				return err
			}
		}
		if o.asJSON {
			err = present.WriteJSONLine(s, retried)
		} else {
			s.Line("deliveries tried again: %d", retried.Queued)
		}
		if err == nil && retried.Queued == 0 {
			err = present.Silent(errkind.NotFound)
		}
		return err
	})
}

// reportSuppressOptions are the flags of `dmarcd report suppress`.
type reportSuppressOptions struct {
	target                    *client.Target
	span, reason              string
	remove, list, all, asJSON bool
}

func reportSuppressCommand(s present.Streams) *cobra.Command {
	o := &reportSuppressOptions{}
	c := &cobra.Command{
		Use:   "suppress [ADDRESS|HOST]",
		Short: "Send no reports to an address or host; list and end suppressions",
		Long: `Send no more reports to an address, or to any address of a host: the part right of the
"@" where reports go, not the domain that they are about, for which there is
reports.exclude.

Destinations that are refused or bounce are suppressed by themselves: for a week, and
longer each time, up to 60 days. Likewise those to which the mail server would not relay
for two days while it took other mail. Without an argument, or with --list, those in force
are listed.

Exit code 0: done; 1: with --remove, it was not suppressed; 3: trouble.`,
		Example: `  dmarcd report suppress
  dmarcd report suppress dmarc@example.com --for 30d --reason 'asked us to stop'
  dmarcd report suppress --remove example.com`,
		Args: arguments(0, 1, ""),
	}
	o.target = targetFlags(c)
	f := c.Flags()
	f.StringVar(&o.span, "for", "", "for how long, such as 30d; without it for ever")
	f.StringVar(&o.reason, "reason", "", "why, for those who look at the list")
	f.BoolVar(&o.remove, "remove", false, "send reports there again")
	f.BoolVar(&o.list, "list", false, "list those in force")
	f.BoolVar(&o.all, "all", false, "with the list: also those that have ended")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object, of the list one a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		return reportSuppress(c.Context(), o, args, s)
	}
	return c
}

func reportSuppress(ctx context.Context, o *reportSuppressOptions, args []string, s present.Streams) error {
	if len(args) == 0 || o.list {
		if len(args) > 0 || o.remove || o.span != "" || o.reason != "" {
			return usageError(errors.New("the list takes neither a destination nor --remove, --for or --reason"))
		}
		return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
			return present.Suppressions(ctx, d, o.all, o.asJSON, s)
		})
	}
	var until time.Time
	if o.span != "" {
		span, err := settings.ParseDuration(o.span)
		if err != nil || o.remove {
			return usageError(errors.Join(err, fmt.Errorf("--for %s: expected a duration such as 30d, and not with --remove", o.span)))
		}
		until = time.Now().Add(span)
	}
	return client.WithReports(ctx, o.target, s, func(d *client.ReportConnection) error {
		if o.remove {
			return present.Unsuppress(ctx, d, args[0], o.asJSON, s)
		}
		done, err := api.ReportsSuppress().Ask(ctx, d, outgoing.SuppressRequest{Target: args[0], Reason: o.reason, Until: until})
		if err != nil {
			return err
		}
		if o.asJSON {
			return present.WriteJSONLine(s, done)
		}
		present.Suppression(s, &done)
		return nil
	})
}
