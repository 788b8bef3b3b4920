package main

import (
	"errors"

	"github.com/spf13/cobra"

	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

// ingestOptions are the flags of "analysis ingest".
type ingestOptions struct {
	dry, asJSON bool
}

func analysisIngestCommand(s present.Streams) *cobra.Command {
	var o ingestOptions
	c := &cobra.Command{
		Use:   "ingest PATH…|-",
		Short: "Take in reports from files, folders, mailboxes and archives",
		Long: `Take in aggregate reports: XML, compressed by gzip or in zip archives, mails (.eml), mailboxes
(mbox), tar archives, folders and maildirs of these, or standard input (-). What a file is,
is told by its content. The word of an admin counts: such reports are not authenticated.

What was taken in before is told as a duplicate, so that the command may be run again after
it was interrupted. --dry-run tells what would become of each, compared with what is
stored and with those before it. With --json each file is one object, and where it holds several mails or
reports, one more for each, as PATH#1, PATH#2 and so on; counts are of what was stored.

  yes        at least one report was stored
  empty      a report on a period without mail
  duplicate  the same report is stored
  aside      no aggregate report, or not about a managed domain
  differs    the same report with other records is stored
  no         it cannot be read

Exit code 0; 1: one is "no" or "differs"; 3: the store is away.`,
		Example: `  dmarcd analysis ingest reports/ old.mbox backup.tar.gz
  curl -s https://example.net/report.xml.gz | dmarcd analysis ingest --dry-run -`,
		Args: cobra.MinimumNArgs(1),
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&o.dry, "dry-run", false, "tell what would become of each, and store nothing")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, closing, err := client.ForIngest(c.Context(), t, o.dry, s)
		if err != nil {
			return err
		}
		return errors.Join(present.Ingest(c.Context(), a, client.MostOctets(t), args, o.asJSON, o.dry, s), closing())
	}
	return c
}
