package simulate

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what the text form lists; the Result has more.
const (
	textDomains = 20
	textChanges = 10
	textNames   = 5
	textSenders = 10
)

// Print writes the result as text. Period says which messages were replayed, such as
// "of the last 7 days", and name what the policy is called.
func (r *Result) Print(w io.Writer, period, name string) error {
	out := bufio.NewWriter(w)
	r.head(out, period, name)
	for i := range r.Domains.Entries {
		if i == textDomains {
			break
		}
		r.Domains.Entries[i].print(out)
	}
	left := r.Domains.Others
	for i := textDomains; i < len(r.Domains.Entries); i++ {
		left += r.Domains.Entries[i].Changed + r.Domains.Entries[i].Watched
	}
	if left > 0 {
		fmt.Fprintf(out, "\nand %s changes for other recipient domains\n", Number(left))
	}
	if len(r.Domains.Entries) > 1 {
		r.From.print(out, "By From domain, over all recipient domains", noAuthor)
		r.Sources.print(out, "By source, over all recipient domains", noClient)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(out, "\nWhat a replay cannot know:\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(out, "  - %s\n", n)
	}
	return out.Flush()
}

// What stands for a name that is not there.
const (
	noAuthor    = "(no single From domain)"
	noClient    = "(client not known)"
	noRecipient = "(recipients without a domain)"
)

func (r *Result) head(w io.Writer, period, name string) {
	if r.Messages == 0 {
		fmt.Fprintf(w, "There are no messages %s to replay.\n", period)
		return
	}
	fmt.Fprintf(w, "Replayed %s %s against %s: ", messages(r.Messages), period, name)
	if r.Changed == 0 {
		fmt.Fprint(w, "none would be treated otherwise.\n")
	} else {
		fmt.Fprintf(w, "%s would be treated otherwise.\n", Number(r.Changed))
	}
	if r.Watched > 0 {
		fmt.Fprintf(w, "Mode monitor would say something else of %s, without doing it.\n", messages(r.Watched))
	}
}

func (d *Domain) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", orElse(d.Domain, noRecipient))
	width := 0
	for _, c := range d.Changes[:min(len(d.Changes), textChanges)] {
		width = max(width, utf8.RuneCountInString(arrow(c.Before, c.After)))
	}
	left := d.Others
	for i, c := range d.Changes {
		if i >= textChanges {
			left += c.Count
			continue
		}
		fmt.Fprintf(w, "  %s  %s  (%s)\n", padded(arrow(c.Before, c.After), width), Number(c.Count), c.Cause)
		fmt.Fprintf(w, "    by From domain: %s\n", c.From.line(noAuthor))
		fmt.Fprintf(w, "    by source: %s\n", c.Sources.line(noClient))
		for _, e := range c.Examples {
			e.print(w, "    ")
		}
	}
	if left > 0 {
		fmt.Fprintf(w, "  and %s changes of other kinds\n", Number(left))
	}
}

func (s *Senders) print(w io.Writer, title, none string) {
	fmt.Fprintf(w, "\n%s\n", title)
	left := s.Others
	for i := range s.Entries {
		e := &s.Entries[i]
		if i >= textSenders {
			left += e.Count.Count
			continue
		}
		var pairs []string
		for _, p := range e.Changes {
			pairs = append(pairs, arrow(p.Before, p.After)+" "+Number(p.Count))
		}
		fmt.Fprintf(w, "  %s  %s: %s\n", orElse(e.Name, none), e.number(), strings.Join(pairs, ", "))
		if e.Addresses != nil {
			fmt.Fprintf(w, "    addresses: %s\n", e.Addresses.line(noClient))
		}
	}
	if left > 0 {
		fmt.Fprintf(w, "  others  %s\n", Number(left))
	}
}

// line lists the first few on one line.
func (c *Counts) line(none string) string {
	var parts []string
	left := c.Others
	for i, e := range c.Entries {
		if i >= textNames {
			left += e.Count
			continue
		}
		parts = append(parts, orElse(e.Name, none)+" "+e.number())
	}
	if left > 0 {
		parts = append(parts, "others "+Number(left))
	}
	return strings.Join(parts, ", ")
}

// number is the count, with its upper bound where it is not exact.
func (c *Count) number() string {
	if c.AtMost == 0 {
		return Number(c.Count)
	}
	return Number(c.Count) + " to " + Number(c.AtMost)
}

func (e *Example) print(w io.Writer, indent string) {
	client := noClient
	if e.Client.IsValid() {
		client = e.Client.String()
	}
	fmt.Fprintf(w, "%se.g. %s  %s  From %s  client %s\n", indent, e.At.UTC().Format(time.DateTime),
		orElse(e.QueueID, "(no queue id)"), orElse(e.From, noAuthor), client)
	fmt.Fprintf(w, "%s     was %s: %s; would be %s: %s\n", indent, e.Before, e.Was, e.After, e.Would)
}

// String is the cause in a few words, with the file's name alone.
func (c Cause) String() string {
	s := string(c.Reason)
	if c.Rule != "" && c.Rule != s {
		s += " by " + printable(c.Rule)
	}
	if c.File == "" {
		return s
	}
	at := c.At
	at.File = filepath.Base(at.File)
	return s + ", " + printable(at.String())
}

func arrow(before, after Treatment) string { return before.String() + " → " + after.String() }

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func orElse(s, none string) string {
	if s == "" {
		return none
	}
	return printable(s)
}

// printable is s with "?" for what would disturb a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || 0x7f <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
