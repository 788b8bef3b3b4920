package main

import (
	"io"
	"strings"
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

func unfold(value string) string { return strings.ReplaceAll(value, "\r\n", "") }
