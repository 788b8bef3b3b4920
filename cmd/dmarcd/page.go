package main

import (
	"github.com/spf13/cobra"

	"dmarcd/internal/present"
)

func pageFlags(c *cobra.Command) *present.Page {
	p := &present.Page{}
	f := c.Flags()
	f.IntVar(&p.Limit, "limit", 100, "how many at most; 0 for all")
	f.StringVar(&p.After, "after", "", "go on behind the page that ended so")
	f.BoolVar(&p.AsJSON, "json", false, "one JSON object a line; {\"after\": …} at the end where there is more")
	return p
}
