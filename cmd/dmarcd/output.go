package main

import (
	"fmt"
	"io"
	"strings"

	"dmarcd/internal/text"
)

// report is what a command says: as text by print, as JSON by its fields.
type report interface{ print(w io.Writer) error }

// writeReport writes a report in the form that was asked for.
func writeReport(s streams, r report, asJSON bool) error {
	err := error(nil)
	if asJSON {
		err = s.json().Encode(r)
	} else {
		err = r.print(s.out)
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}

// row writes one line of three columns; the middle one may be empty.
func row(w io.Writer, name, word, words string) error {
	if word != "" {
		word = fmt.Sprintf("%-11s ", word)
	}
	_, err := fmt.Fprintln(w, text.Line(fmt.Sprintf("%-9s %s%s", name, word, words), maxLine))
	return err
}

func unfold(value string) string { return strings.ReplaceAll(value, "\r\n", "") }
