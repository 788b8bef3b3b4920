// Package memorytest prints records field by field, so that a record that an earlier
// build wrote can be compared with what this one reads.
package memorytest

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/memory"
)

// oldNames are the names in the files of earlier builds of fields that were renamed.
var oldNames = map[string]string{"LocalPart": "Personal"}

// Dump returns one line for each field that is not zero, "path = value", sorted. An error
// is given as its text, a DMARC record as published.
func Dump(r *memory.Record) []string {
	var lines []string
	dump(&lines, "", reflect.ValueOf(r).Elem())
	slices.Sort(lines)
	return lines
}

// DumpAggregate is Dump of an aggregate.
func DumpAggregate(t *memory.Aggregate) []string {
	var lines []string
	dump(&lines, "", reflect.ValueOf(t).Elem())
	slices.Sort(lines)
	return lines
}

func dump(lines *[]string, path string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	if text, ok := asText(v); ok {
		*lines = append(*lines, fmt.Sprintf("%s = %q", strings.TrimPrefix(path, "."), text))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		dump(lines, path, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				dump(lines, path+"."+cmp.Or(oldNames[f.Name], f.Name), v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			*lines = append(*lines, at[1:])
			dump(lines, at, v.Index(i))
		}
	default:
		*lines = append(*lines, fmt.Sprintf("%s = %v", strings.TrimPrefix(path, "."), plain(v)))
	}
}

// asText is the value of a type with a text form.
func asText(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case *dmarc.Record:
		return x.Text, true
	case memory.Day: // a number
		return "", false
	case error:
		return x.Error(), true
	case encoding.TextMarshaler: // an address, a time
		if b, err := x.MarshalText(); err == nil {
			return string(b), true
		}
	case fmt.Stringer: // a name
		return x.String(), true
	}
	if v.Kind() == reflect.String {
		return v.String(), true
	}
	return "", false
}

// plain is a number or a boolean without its type.
func plain(v reflect.Value) any {
	if v.CanInt() {
		return v.Int()
	}
	return v.Interface()
}
