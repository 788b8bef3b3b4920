package present

import (
	"fmt"
	"path/filepath"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
	"dmarcd/internal/simulate"
	"dmarcd/internal/text"
)

// Follows says where the rules of a domain stand.
func Follows(p api.Placed) string {
	if p.File == "" {
		return "the built-in default"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// origin is where a value comes from, with the file's name alone.
func origin(p api.Placed) string {
	switch {
	case p.File == "":
		return "default"
	case p.Inherited:
		return fmt.Sprintf("%s:%d, inherited from default", filepath.Base(p.File), p.Line)
	case p.Line == 0:
		return filepath.Base(p.File)
	}
	return fmt.Sprintf("%s:%d", filepath.Base(p.File), p.Line)
}

func PolicyEntry(s Streams, e *api.PolicyEntry) {
	s.Line("%s  mode %s  %s", e.Domain, e.Mode, Follows(e.Placed))
	for _, d := range e.Differs {
		s.Line("    %s: %s", d.Key, d.Value)
	}
}

// PrintWhy writes what a sender's mail meets as two tables.
func PrintWhy(s Streams, p *api.PolicyShown) error {
	s.Line("# %s follows %s", p.Domain, Follows(p.Placed))
	client := "client not named"
	if p.IP != "" {
		client = "client " + p.IP
	}
	s.Line("# mail From %s, %s", p.From, client)
	if p.Mode == string(policy.Monitor) {
		s.Line("# mode monitor only watches: nothing of this is carried out")
	}
	fmt.Fprintln(s.Out)
	var lists, outcomes [][]string
	for _, m := range p.Lists {
		lists = append(lists, []string{m.Key, orDash(m.Entry), origin(m.Placed), m.Means})
	}
	for _, o := range p.Outcomes {
		where := "-"
		if o.Rule != "" {
			where = origin(o.Placed)
		}
		outcomes = append(outcomes, []string{o.Published, o.Result, o.Action, o.Reason, orDash(o.Rule), where})
	}
	if err := text.WriteTable(s.Out, 0, []text.Column{{Name: "LIST"}, {Name: "ENTRY"}, {Name: "WHERE"}, {Name: "MEANS"}}, lists); err != nil {
		return err
	}
	fmt.Fprintln(s.Out)
	columns := []text.Column{{Name: "PUBLISHED"}, {Name: "RESULT"}, {Name: "ACTION"}, {Name: "REASON"}, {Name: "KEY"}, {Name: "WHERE"}}
	if err := text.WriteTable(s.Out, 0, columns, outcomes); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.Out, `
pass: SPF and DKIM both pass for the From domain. fail: SPF fails, there is no
signature. temperror: DNS did not let either be checked.
`)
	return err
}

// trialReport is one test as JSON.
type trialReport struct {
	Index    int    `json:"index"`
	Name     string `json:"name,omitempty"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Passed   bool   `json:"passed"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Reason   string `json:"reason"`
	Rule     string `json:"rule,omitempty"`
}

func NewTrialReport(t *settings.Trial) trialReport {
	d := t.Decision
	return trialReport{
		Index: t.Index, Name: t.Test.Name, File: t.Test.At.File, Line: t.Test.At.Line, Passed: t.Passed(),
		Expected: string(t.Test.Expect), Got: string(d.Would), Reason: string(d.Reason), Rule: d.Rule,
	}
}

func Trial(s Streams, t *settings.Trial) {
	word := "ok  "
	if !t.Passed() {
		word = "FAIL"
	}
	name := ""
	if t.Test.Name != "" {
		name = fmt.Sprintf(" %q", t.Test.Name)
	}
	fmt.Fprintf(s.Out, "%s  %s: tests[%d]%s: %s\n", word, t.Test.At, t.Index, name, t)
}

func TrialCount(all, failed int) string {
	switch {
	case all == 0:
		return "the policy has no tests; add some below \"tests\""
	case failed == 0:
		return fmt.Sprintf("%d of %d tests pass", all, all)
	}
	return fmt.Sprintf("%d of %d tests fail; a policy whose tests fail is not taken over", failed, all)
}

// SimulateReport is what `dmarcd policy simulate` tells.
type SimulateReport struct {
	File   string    `json:"file"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Domain string    `json:"domain,omitempty"`
	*simulate.Result
}
