package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// pageOptions are the flags of a command that lists.
type pageOptions struct {
	after  string
	limit  int
	asJSON bool
}

func pageFlags(c *cobra.Command) *pageOptions {
	p := &pageOptions{}
	f := c.Flags()
	f.IntVar(&p.limit, "limit", 100, "how many at most; 0 for all")
	f.StringVar(&p.after, "after", "", "go on behind the page that ended so")
	f.BoolVar(&p.asJSON, "json", false, "one JSON object a line; {\"after\": …} at the end where there is more")
	return p
}

// eachPage asks for page after page, until the limit, and prints each entry.
func eachPage[T any](p *pageOptions, s streams, ask func(after string, limit int) ([]T, string, error), print func(*T)) error {
	if p.limit < 0 {
		return usageError(fmt.Errorf("--limit %d is less than nothing", p.limit))
	}
	const most = 1000
	after, shown := p.after, 0
	for {
		limit := most
		if p.limit > 0 {
			limit = min(most, p.limit-shown)
		}
		entries, next, err := ask(after, limit)
		if err != nil {
			return err
		}
		for i := range entries {
			if !p.asJSON {
				print(&entries[i])
			} else if err := writeJSONLine(s, &entries[i]); err != nil {
				return err
			}
		}
		shown += len(entries)
		after = next
		if after == "" {
			return nil
		}
		if p.limit > 0 && shown >= p.limit {
			return endPage(p, s, after)
		}
	}
}

// endPage says that there is more.
func endPage(p *pageOptions, s streams, after string) error {
	if p.asJSON {
		return writeJSONLine(s, map[string]string{"after": after})
	}
	s.line("There is more: --after %s", shellWord(after))
	return nil
}
