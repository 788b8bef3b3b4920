package miltertest

import (
	"bytes"
	"strings"
)

// Apply carries out the header modifications of r on raw as an MTA does and returns the
// message that is delivered. leadSpace says whether SMFIP_HDR_LEADSPC was negotiated:
// without it the MTA puts a space before each value.
func (r *Result) Apply(raw []byte, leadSpace bool) []byte {
	var fields []string
	rest := raw
	for len(rest) > 0 && !bytes.HasPrefix(rest, []byte("\r\n")) {
		var f []byte
		f, rest = cutField(rest)
		fields = append(fields, string(f))
	}
	for _, m := range r.Mods {
		value := strings.ReplaceAll(m.Value, "\n", "\r\n")
		if !leadSpace {
			value = " " + value
		}
		field := m.Name + ":" + value + "\r\n"
		switch m.Op {
		case RespAddHeader:
			fields = append(fields, field)
		case RespInsertHeader:
			at := min(m.Index, len(fields))
			fields = append(fields[:at:at], append([]string{field}, fields[at:]...)...)
		case RespChangeHeader:
			fields = change(fields, m, field)
		}
	}
	return append([]byte(strings.Join(fields, "")), rest...)
}

// change replaces or deletes the Index-th field called Name; where there is
// none a new one is added at the end, as Postfix and Sendmail do.
func change(fields []string, m Mod, field string) []string {
	n := 0
	for i, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		if !strings.EqualFold(strings.TrimRight(name, " \t"), m.Name) {
			continue
		}
		if n++; n != m.Index {
			continue
		}
		if m.Value == "" {
			return append(fields[:i:i], fields[i+1:]...)
		}
		fields[i] = field
		return fields
	}
	if m.Value != "" {
		fields = append(fields, field)
	}
	return fields
}
