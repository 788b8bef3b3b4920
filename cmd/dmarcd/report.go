package main

import (
	"github.com/spf13/cobra"

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

func addFilter(c *cobra.Command, f *outgoing.FilterText) {
	flags := c.Flags()
	flags.StringVar(&f.Domain, "domain", "", "the policy domain that they are about")
	flags.StringVar(&f.Day, "day", "", "the UTC day that they are about, such as 2026-11-24, today or yesterday")
	flags.StringVar(&f.Since, "since", "", "that day and later ones")
	flags.StringVar(&f.Until, "until", "", "that day and earlier ones")
	flags.StringVar(&f.State, "state", "", "with a delivery in that state, such as failed")
	flags.StringVar(&f.Kind, "kind", "", "aggregate or failure")
	flags.StringVar(&f.To, "to", "", "with a delivery to that address")
}
