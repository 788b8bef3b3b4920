package present

import (
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/explain"
)

// ExplanationReport is an explanation as JSON, with the other messages with that id.
type ExplanationReport struct {
	*explain.Explanation
	Others []api.OtherMessage `json:"others,omitempty"` // newest first
}

func ExplanationsJSON(s Streams, found *api.Explained) error {
	out := s.JSON()
	for _, m := range found.Messages {
		if err := out.Encode(ExplanationReport{Explanation: m, Others: found.Others}); err != nil {
			return err
		}
	}
	return nil
}

// maxListedOthers bounds the list of other messages.
const maxListedOthers = 20

func Explanations(s Streams, found *api.Explained) error {
	for i, m := range found.Messages {
		if i > 0 {
			const width = 72
			fmt.Fprintf(s.Out, "\n%s\n\n", strings.Repeat("-", width))
		}
		if err := m.WriteText(s.Out); err != nil {
			return err
		}
	}
	if len(found.Others) == 0 {
		return nil
	}
	fmt.Fprintf(s.Out, "\nOther messages with this id: %d (--all explains them too)\n", len(found.Others))
	for i, o := range found.Others {
		if i == maxListedOthers {
			fmt.Fprintf(s.Out, "  ... and %d more\n", len(found.Others)-i)
			break
		}
		s.Line("  %s  %-14s %-10s %s", o.At.Format("2006-01-02 15:04:05.000 MST"), o.QueueID, o.Action, strings.Join(o.From, ", "))
	}
	return nil
}

// Held writes a held message on one line.
func Held(s Streams, m *api.HeldMessage, now time.Time) {
	s.Line("%-14s for %-9s %s → %s  %s", m.QueueID, age(now.Sub(m.At)), orDash(m.From), orDash(strings.Join(m.Rcpt, ", ")), m.Hold)
}

// HeldDone is the result of an action on a message, as JSON.
type HeldDone struct {
	QueueID string `json:"queue_id"`
	Command string `json:"command"`
	Done    bool   `json:"done"`
}

// Message writes a message on one line.
func Message(s Streams, m *api.Message) {
	action := m.Action
	if m.Would != m.Action {
		action += " (would " + m.Would + ")"
	}
	why := m.Reason
	if m.Rule != "" {
		why += " by " + m.Rule
	}
	s.Line("%s  %-14s %-10s %s → %s  %s  %s", m.At.UTC().Format("2006-01-02 15:04:05"), orDash(m.QueueID), action,
		orDash(m.From), orDash(strings.Join(m.Rcpt, ", ")), orDash(m.Client), why)
}

func User(s Streams, u *api.ConsoleUser) {
	last := "never logged in"
	if !u.LastLogin.IsZero() {
		last = "last login " + u.LastLogin.UTC().Format(time.RFC3339)
	}
	s.Line("%-20s %-6s  %s  %s", u.Name, u.Role, domainsOf(u.Domains), last)
}

func domainsOf(domains []dns.Name) string {
	if len(domains) == 0 {
		return "all domains"
	}
	var names []string
	for _, d := range domains {
		names = append(names, d.String())
	}
	return strings.Join(names, " ")
}
