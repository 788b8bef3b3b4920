package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strings"
	"time"

	"dmarcd/internal/text"
)

// Suffixes of lists.
const (
	asPage = ""
	asCSV  = ".csv"
	asJSON = ".json"
)

// format returns the format of a list, by the suffix of its path.
func (v *visit) format() string {
	switch ext := path.Ext(v.r.URL.Path); ext {
	case asCSV, asJSON:
		return ext
	}
	return asPage
}

// writeJSON writes the answer of an operation.
func (v *visit) writeJSON(answer any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.write(append(text, '\n'))
	return nil
}

// mostPages bounds an export by pages.
const mostPages = 10_000

// exportTime bounds the time of an export.
const exportTime = 10 * time.Minute

// csvWriter prepares a CSV with those names.
func (v *visit) csvWriter(names []string) (*text.CSV, error) {
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(exportTime)) // as long as before where it cannot be set
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="`+strings.Trim(strings.ReplaceAll(v.r.URL.Path, "/", "-"), "-")+`"`)
	out := text.NewCSV(v.w)
	return out, out.Write(names...)
}

// writeCSV writes all pages of a list, each row by its field names in JSON.
func writeCSV[T any](v *visit, names []string, first []T, after string, next func(after string) ([]T, string, error)) error {
	out, err := v.csvWriter(names)
	if err != nil {
		return err
	}
	for rows, n := first, 0; ; n++ {
		for i := range rows {
			if err := out.Write(cells(names, &rows[i])...); err != nil {
				return nil // the client went away
			}
		}
		if after == "" || n == mostPages {
			break
		}
		if rows, after, err = next(after); err != nil {
			return v.cutOff(err)
		}
	}
	if err := out.Flush(); err != nil {
		return nil // likewise
	}
	return nil
}

// cutOff aborts a partial answer, so that nobody takes it for complete.
func (v *visit) cutOff(err error) error {
	v.Log.Warn("an export was cut off", "path", text.Line(v.r.URL.Path, 200), "error", err.Error())
	panic(http.ErrAbortHandler)
}

// countNames are the column names of figures.
func countNames(before []string, after ...string) []string {
	out := append([]string{}, before...)
	out = append(out, "messages", "compliant", "spf_aligned", "dkim_aligned", "none", "pass", "quarantine", "reject")
	return append(out, after...)
}

// cells returns the fields of a row with those names in JSON.
func cells(names []string, row any) []string {
	values := map[string]string{}
	gather(reflect.ValueOf(row).Elem(), values)
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = values[name]
	}
	return out
}

func gather(row reflect.Value, into map[string]string) {
	for f := range row.Type().Fields() {
		value := row.FieldByIndex(f.Index)
		if f.Anonymous && value.Kind() == reflect.Struct {
			gather(value, into)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		into[name] = cell(value.Interface())
	}
}

func cell(value any) string {
	switch value := value.(type) {
	case time.Time:
		if value.IsZero() {
			return ""
		}
		return value.UTC().Format(time.RFC3339)
	case []string:
		return strings.Join(value, "; ")
	}
	return fmt.Sprint(value)
}
