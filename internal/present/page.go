package present

import (
	"fmt"
	"strings"

	"dmarcd/internal/errkind"
)

// shellWord quotes s as one word of a shell.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-/+=@,") == "" && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Page holds the flags of a listing command.
type Page struct {
	After  string
	Limit  int
	AsJSON bool
}

// EachPage requests page after page, until the limit, and prints each entry.
func EachPage[T any](p *Page, s Streams, ask func(after string, limit int) ([]T, string, error), print func(*T)) error {
	if p.Limit < 0 {
		return errkind.Wrap(errkind.WrongUse, fmt.Errorf("--limit %d is less than nothing", p.Limit))
	}
	const most = 1000
	after, shown := p.After, 0
	for {
		limit := most
		if p.Limit > 0 {
			limit = min(most, p.Limit-shown)
		}
		entries, next, err := ask(after, limit)
		if err != nil {
			return err
		}
		for i := range entries {
			if !p.AsJSON {
				print(&entries[i])
			} else if err := WriteJSONLine(s, &entries[i]); err != nil {
				return err
			}
		}
		shown += len(entries)
		after = next
		if after == "" {
			return nil
		}
		if p.Limit > 0 && shown >= p.Limit {
			return endPage(p, s, after)
		}
	}
}

// endPage states that there is more.
func endPage(p *Page, s Streams, after string) error {
	if p.AsJSON {
		return WriteJSONLine(s, map[string]string{"after": after})
	}
	s.Line("There is more: --after %s", shellWord(after))
	return nil
}
