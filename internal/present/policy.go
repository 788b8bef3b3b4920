package present

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
	"dmarcd/internal/simulate"
	"dmarcd/internal/text"
)

// Follows states where the rules of a domain are.
func Follows(p api.Placed) string {
	if p.File == "" {
		return "the built-in default"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// origin returns the place of a value, with only the base name of the file.
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

// PrintWhy prints the effect on a sender's mail as two tables.
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

// SimulateReport is the output of `dmarcd policy simulate`.
type SimulateReport struct {
	File   string    `json:"file"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Domain string    `json:"domain,omitempty"`
	*simulate.Result
}

// PastPolicy writes the files of a past policy.
func PastPolicy(ctx context.Context, c api.Asker, id string, asJSON bool, s Streams) error {
	found, err := api.PolicyHistory().Ask(ctx, c, api.PolicyHistoryRequest{ID: id})
	if err != nil {
		return err
	}
	for i := range found.Files {
		if asJSON {
			if err := WriteJSONLine(s, &found.Files[i]); err != nil {
				return err
			}
			continue
		}
		s.Line("# %s", found.Files[i].Path)
		if _, err := fmt.Fprint(s.File(), found.Files[i].Text); err != nil {
			return err
		}
	}
	return nil
}

// ShowPolicy writes the policy of a recipient domain or its effect on a sender.
func ShowPolicy(ctx context.Context, a api.Asker, request api.PolicyShowRequest, asJSON bool, s Streams) error {
	shown, err := api.PolicyShow().Ask(ctx, a, request)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = s.JSON().Encode(shown)
	case !shown.Ours:
		s.Line("# %s is not ours: it is neither below \"domains\" nor in \"managed\"; mail for it is not checked", shown.Domain)
	case request.From == "":
		s.Line("# %s follows %s", shown.Domain, Follows(shown.Placed))
		_, err = fmt.Fprint(s.Out, shown.YAML)
	default:
		err = PrintWhy(s, &shown)
	}
	if err == nil && !shown.Ours {
		return Silent(errkind.NotFound)
	}
	return err
}

// TryPolicy runs the tests of a policy, and writes the results.
func TryPolicy(p *settings.Policy, asJSON bool, s Streams) error {
	failed, trials := 0, p.Try()
	out := s.JSON()
	for _, t := range trials {
		if !t.Passed() {
			failed++
		}
		if !asJSON {
			Trial(s, &t)
			continue
		}
		if err := out.Encode(NewTrialReport(&t)); err != nil {
			return errkind.Wrap(errkind.Trouble, err)
		}
	}
	if !asJSON {
		fmt.Fprintln(s.Out, TrialCount(len(trials), failed))
	}
	if failed > 0 {
		return Silent(errkind.NotFound)
	}
	return nil
}
