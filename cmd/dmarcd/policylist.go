package main

import (
	"errors"

	"github.com/spf13/cobra"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// listFlags adds the flags that name one list of the policy.
func listFlags(c *cobra.Command) func() settings.ListKind {
	kinds := []struct {
		flag, help string
		kind       settings.ListKind
	}{
		{"senders", "the From domains to verify: dmarc.senders", settings.ListSenders},
		{"exceptions", "the clients that bypass DMARC: dmarc.exceptions", settings.ListExceptions},
		{"peers", "the enforced peers: dmarc.enforced_peers", settings.ListPeers},
	}
	set := make([]bool, len(kinds))
	for i, k := range kinds {
		c.Flags().BoolVar(&set[i], k.flag, false, k.help)
	}
	return func() settings.ListKind {
		for i, k := range kinds {
			if set[i] {
				return k.kind
			}
		}
		return ""
	}
}

func policyImportCommand(s present.Streams) *cobra.Command {
	var to string
	var from present.OpenDMARCFiles
	c := &cobra.Command{
		Use:   "import {--senders|--exceptions|--peers} FILE|- | --opendmarc FILE [--ignore-hosts FILE] [--peer-list FILE]",
		Short: "Check a list with one entry a line, or make a policy of an opendmarc.conf",
		Long: `Read a list with one entry a line ("#" begins a comment), or the first column of CSV,
report every line that is wrong with its number, and write the list in its one form:
sorted, each entry once, U-labels as A-labels. It goes to standard output, or to the file
that --to names, which the policy then uses as "file:NAME"; a running daemon sees the
change by itself. If a line is wrong, nothing is written; with --skip-invalid the other
lines are, which suits lists of other products with entries that have no counterpart.

senders are domains, "*.domain" for all below one, or "*". exceptions are addresses and
CIDR blocks. peers are domains like senders; "bank.example either" asks for one aligned
pass only. Exceptions and peers may end: "192.0.2.1 until 2027-01-31".

--opendmarc reads the configuration of OpenDMARC and writes a policy file in its place.
Standard error tells what became of every line, and at last what belongs in dmarcd.yaml.
The hosts of IgnoreHosts become exceptions; --ignore-hosts names their file if it is
elsewhere. So do those of an OpenDKIM's PeerList, which --peer-list names.

Exit code 0: the list or the policy was written; 2: a line is wrong, nothing was written.`,
		Example: `  dmarcd policy import --exceptions relays.txt --to /etc/dmarcd/exceptions.txt
  dmarcd policy export --peers | dmarcd policy import --peers -
  dmarcd policy import --senders --skip-invalid blocklist.csv --to partners.txt
  dmarcd policy import --opendmarc /etc/opendmarc.conf --to policy.yaml`,
	}
	kind := listFlags(c)
	c.Flags().StringVar(&to, "to", "", "file to write: a list for the policy to name, or the policy")
	c.Flags().StringVar(&from.Conf, "opendmarc", "", "configuration of OpenDMARC to make a policy of")
	c.Flags().StringVar(&from.Hosts, "ignore-hosts", "", "the file of its IgnoreHosts, if it is elsewhere")
	c.Flags().StringVar(&from.Peers, "peer-list", "", "the PeerList of an OpenDKIM on the same host")
	skip := c.Flags().Bool("skip-invalid", false, "write the list without the lines that are wrong")
	c.MarkFlagsOneRequired("senders", "exceptions", "peers", "opendmarc")
	c.MarkFlagsMutuallyExclusive("senders", "exceptions", "peers", "opendmarc")
	list := arguments(1, 1, "name the list to import, or - for standard input")
	c.Args = func(c *cobra.Command, args []string) error {
		switch {
		case from.Conf != "" && *skip:
			return errors.New("--skip-invalid is for lists; --opendmarc leaves out what has no counterpart by itself")
		case from.Conf != "":
			return noArguments()(c, args)
		case from.Hosts != "":
			return errors.New("--ignore-hosts goes with --opendmarc")
		case from.Peers != "":
			return errors.New("--peer-list goes with --opendmarc; to import it alone, use --exceptions")
		}
		return list(c, args)
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if from.Conf != "" {
			return present.ImportOpenDMARC(from, to, s)
		}
		return present.ImportList(kind(), args[0], to, *skip, s)
	}
	return c
}

func policyExportCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "export {--senders|--exceptions|--peers} [DOMAIN]",
		Short: "Print a list of the policy, one entry a line, as import reads it",
		Long: `Print the effective entries of a list, with those of its files, one a line: those of a
recipient domain, or of the default. Importing them gives the same list.

Exit code 0: the list was printed, which may be empty; 1: the domain is not ours.`,
		Example: `  dmarcd policy export --exceptions
  dmarcd policy export --peers example.org > peers.txt`,
		Args: arguments(0, 1, ""),
	}
	kind, path := listFlags(c), configFlag(c)
	c.MarkFlagsOneRequired("senders", "exceptions", "peers")
	c.MarkFlagsMutuallyExclusive("senders", "exceptions", "peers")
	c.RunE = func(_ *cobra.Command, args []string) error {
		config, err := lookAtSettings(*path, s.Err)
		if err != nil {
			return err
		}
		rules := config.Policy.Default
		if len(args) > 0 {
			name, err := dns.Parse(args[0])
			if err != nil {
				return usageError(err)
			}
			var ours bool
			if rules, ours = config.Policy.RulesFor(name); !ours {
				return errkind.Errorf(errkind.NotFound, "%s is not ours: mail for it is not checked", name)
			}
		}
		return present.WriteLines(s.Out, settings.List(kind(), rules))
	}
	return c
}
