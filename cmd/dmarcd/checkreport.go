package main

import (
	"fmt"
	"io"

	"dmarcd/internal/explain"
	"dmarcd/internal/filter"
	"dmarcd/internal/settings"
)

// checkReport is what `dmarcd check` says: what `dmarcd explain` would say of the
// message, and what only a command can.
type checkReport struct {
	*explain.Explanation
	SecondOpinion []string `json:"second_opinion,omitempty"`
}

func newCheckReport(config *settings.Settings, o *filter.Outcome, language explain.Language) *checkReport {
	told := *config
	told.Log.Addresses = true // they were given on the command line, and are not kept
	record := o.Record(filter.Remember{Settings: &told, Sampled: true, Offline: true})
	record.QueueID = ""
	e := explain.New(record, explain.Options{Language: language, Offline: true, Bypassed: o.Bypassed != ""})
	for _, f := range o.Change {
		e.Changed = append(e.Changed, f.Name+":"+unfold(f.Value))
	}
	return &checkReport{Explanation: e}
}

func (r *checkReport) print(w io.Writer) error {
	if err := r.WriteText(w); err != nil {
		return err
	}
	for i, line := range r.SecondOpinion {
		if i == 0 {
			fmt.Fprintln(w, "\nSecond opinion")
		}
		fmt.Fprintf(w, "  %s\n", line)
	}
	return nil
}
