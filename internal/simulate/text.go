package simulate

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds on what the text form lists; the Result has more.
const (
	textDomains = 20
	textChanges = 10
	textNames   = 5
	textSenders = 10
)

// Print writes the result as text. Period names the messages replayed, such as "of the
// last 7 days", and name the policy.
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
		fmt.Fprintln(out)
		line(out, "and %s changes for other recipient domains", text.Number(left))
	}
	if len(r.Domains.Entries) > 1 {
		r.From.print(out, "By From domain, over all recipient domains", noAuthor)
		r.Sources.print(out, "By source, over all recipient domains", noClient)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(out)
		line(out, "What a replay cannot know:")
	}
	for _, n := range r.Notes {
		line(out, "  - %s", n)
	}
	return out.Flush()
}

// Placeholders for missing names.
const (
	noAuthor    = "(no single From domain)"
	noClient    = "(client not known)"
	noRecipient = "(recipients without a domain)"
)

func (r *Result) head(w io.Writer, period, name string) {
	if r.Messages == 0 {
		line(w, "There are no messages %s to replay.", period)
		return
	}
	changed := "none"
	if r.Changed > 0 {
		changed = text.Number(r.Changed)
	}
	line(w, "Replayed %s %s against %s: %s would be treated otherwise.", text.Count(r.Messages, "message"), period, name, changed)
	if r.Watched > 0 {
		line(w, "Mode monitor would say something else of %s, without doing it.", text.Count(r.Watched, "message"))
	}
}

func (d *Domain) print(w io.Writer) {
	fmt.Fprintln(w)
	line(w, "%s", orElse(d.Domain, noRecipient))
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
		line(w, "  %s  %s  (%s)", padded(arrow(c.Before, c.After), width), text.Number(c.Count), c.Cause)
		line(w, "    by From domain: %s", c.From.line(noAuthor))
		line(w, "    by source: %s", c.Sources.line(noClient))
		for _, e := range c.Examples {
			e.print(w, "    ")
		}
	}
	if left > 0 {
		line(w, "  and %s changes of other kinds", text.Number(left))
	}
}

func (s *Senders) print(w io.Writer, title, none string) {
	fmt.Fprintln(w)
	line(w, "%s", title)
	left := s.Others
	for i := range s.Entries {
		e := &s.Entries[i]
		if i >= textSenders {
			left += e.Count.Count
			continue
		}
		var pairs []string
		for _, p := range e.Changes {
			pairs = append(pairs, arrow(p.Before, p.After)+" "+text.Number(p.Count))
		}
		line(w, "  %s  %s: %s", orElse(e.Name, none), e.number(), strings.Join(pairs, ", "))
		if e.Addresses != nil {
			line(w, "    addresses: %s", e.Addresses.line(noClient))
		}
	}
	if left > 0 {
		line(w, "  others  %s", text.Number(left))
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
		parts = append(parts, "others "+text.Number(left))
	}
	return strings.Join(parts, ", ")
}

// number is the count, with its upper bound where it is not exact.
func (c *Count) number() string {
	if c.AtMost == 0 {
		return text.Number(c.Count)
	}
	return text.Number(c.Count) + " to " + text.Number(c.AtMost)
}

func (e *Example) print(w io.Writer, indent string) {
	client := noClient
	if e.Client.IsValid() {
		client = e.Client.String()
	}
	line(w, "%se.g. %s  %s  From %s  client %s", indent, e.At.UTC().Format(time.DateTime),
		orElse(e.QueueID, "(no queue id)"), orElse(e.From, noAuthor), client)
	line(w, "%s     was %s: %s; would be %s: %s", indent, e.Before, e.Was, e.After, e.Would)
}

// String is the cause in a few words, with the file's name alone.
func (c Cause) String() string {
	s := string(c.Reason)
	if c.Rule != "" && c.Rule != s {
		s += " by " + c.Rule
	}
	if c.File == "" {
		return s
	}
	return s + ", " + settings.Place{File: filepath.Base(c.File), Line: c.Line}.String()
}

func arrow(before, after Treatment) string { return before.String() + " → " + after.String() }

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func orElse(s, none string) string {
	if s == "" {
		return none
	}
	return s
}

// maxLine bounds a line, in octets.
const maxLine = 2000

// line writes one line, safe for a terminal whatever its parts hold.
func line(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, text.Line(fmt.Sprintf(format, args...), maxLine))
}
