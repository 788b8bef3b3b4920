package present

import (
	"fmt"
	"strings"

	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// Form is the output format of rows: a table, CSV or JSON.
type Form struct{ AsJSON, AsCSV bool }

// view is rows to print as a table, as CSV or as JSON.
type view[T any] struct {
	columns []text.Column
	table   func(*T) []string // a row of the table
	names   []string          // of CSV
	cells   func(*T) []string // a row of CSV
	rows    []T
	After   string
	Notes   []analysis.Note
	below   func()       // prints the part below the table
	more    func() error // of JSON; nil for nothing
}

// Print prints the rows, and how to continue.
func (v *view[T]) Print(s Streams, as Form) error {
	v.printNotes(s)
	switch {
	case as.AsJSON:
		return v.printJSON(s)
	case as.AsCSV:
		return v.printCSV(s)
	}
	var rows [][]string
	for i := range v.rows {
		rows = append(rows, v.table(&v.rows[i]))
	}
	if len(rows) == 0 {
		s.Line("Nothing in this period meets the criteria.")
	} else if err := text.WriteTable(s.Out, text.Terminal, v.columns, rows); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	if v.After != "" {
		s.Line("There is more: --after %s", shellWord(v.After))
	}
	if v.below != nil {
		v.below()
	}
	return nil
}

// printNotes prints notes on the criteria.
func (v *view[T]) printNotes(s Streams) {
	for _, n := range v.Notes {
		fmt.Fprintf(s.Err, "--%s: %s\n", strings.ReplaceAll(n.Name, "_", "-"), n.Text)
	}
}

func (v *view[T]) printJSON(s Streams) error {
	for i := range v.rows {
		if err := WriteJSONLine(s, &v.rows[i]); err != nil {
			return err
		}
	}
	if v.more != nil {
		if err := v.more(); err != nil {
			return err
		}
	}
	if v.After != "" {
		return WriteJSONLine(s, map[string]string{"after": v.After})
	}
	return nil
}

func (v *view[T]) printCSV(s Streams) error {
	out := text.NewCSV(s.Below().Out)
	if err := out.Write(v.names...); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	for i := range v.rows {
		if err := out.Write(v.cells(&v.rows[i])...); err != nil {
			return errkind.Wrap(errkind.Trouble, err)
		}
	}
	if v.After != "" {
		fmt.Fprintf(s.Err, "There is more: --after %s\n", shellWord(v.After))
	}
	if err := out.Flush(); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}
