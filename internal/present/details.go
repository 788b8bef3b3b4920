package present

import (
	"context"
	"strconv"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// detailNames are the column names of a record in CSV.
var detailNames = []string{
	"day", "header_from", "reporter", "service", "host", "ip", "messages", "compliant", "disposition", "spf", "dkim", "reasons", "sentence",
}

// detailCells returns a record in CSV.
func detailCells(d *analysis.Detail) []string {
	return []string{
		d.Day.String(), d.HeaderFrom, d.Reporter, d.Service, d.Host, d.IP, strconv.FormatInt(d.Messages, 10), strconv.FormatInt(d.Compliant, 10),
		string(d.Disposition), string(d.SPF), string(d.DKIM), strings.Join(d.Reasons, "; "), d.Sentence,
	}
}

// Details writes records; in text form, each with its sentence.
func Details(s Streams, page *api.Details, as Form) error {
	v := view[analysis.Detail]{rows: page.Rows, After: page.After, Notes: page.Notes, names: detailNames, cells: detailCells}
	if as.AsJSON || as.AsCSV || len(page.Rows) == 0 {
		return v.Print(s, as)
	}
	v.printNotes(s)
	for i := range page.Rows {
		printDetail(s, &page.Rows[i])
	}
	if v.After != "" {
		s.Line("There is more: --after %s", shellWord(v.After))
	}
	return nil
}

// printDetail prints one record: a summary line, and its sentence below.
func printDetail(s Streams, d *analysis.Detail) {
	result := "Not compliant"
	if d.Compliant > 0 {
		result = "Compliant"
	}
	count := text.Number(d.Messages)
	if d.Of > 0 {
		count += " of " + text.Number(d.Of)
	}
	did := string(d.Disposition)
	if did == "" {
		did = "not told"
	}
	s.Line("%s  %s  %s  SPF %s, DKIM %s  %s  report %d", d.Day, count, result, d.SPF, d.DKIM, did, d.Report)
	for _, line := range wrap(d.Sentence, text.Terminal-4) {
		s.Line("    %s", line)
	}
}

// wrap breaks a text into lines of a width: at spaces, and within a longer word.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && text.Width(line)+1+text.Width(word) > width {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		for _, r := range word {
			if text.Width(line+string(r)) > width {
				out, line = append(out, line), ""
			}
			line += string(r)
		}
	}
	return append(out, line)
}

// ExportDetails writes all records that a filter matches.
func ExportDetails(ctx context.Context, a api.Asker, request api.DetailsRequest, s Streams, as Form) error {
	if as.AsJSON {
		encoder := s.JSON()
		return api.AnalysisExport().Each(ctx, a, request, func(d *analysis.Detail) error { return encoder.Encode(d) })
	}
	out := text.NewCSV(s.Below().Out)
	if err := out.Write(detailNames...); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	if err := api.AnalysisExport().Each(ctx, a, request, func(d *analysis.Detail) error { return out.Write(detailCells(d)...) }); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}
