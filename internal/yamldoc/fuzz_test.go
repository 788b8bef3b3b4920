package yamldoc

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// FuzzParse wants every text read, or told with a place in it on one line.
func FuzzParse(f *testing.F) {
	base := strings.Join(long()[:30], "\n") + "\n"
	for _, s := range slips() {
		f.Add([]byte(base + s.text + "\n    mode: monitor\n"))
	}
	for _, name := range []string{"policy", "dmarcd"} {
		if data, err := os.ReadFile("../../configs/" + name + ".yaml"); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, fault := Parse(data, 1<<16)
		if fault == nil {
			return
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		if fault.Line < 1 || fault.Line > lines || fault.Column < 1 || fault.Problem == "" || strings.ContainsAny(fault.Problem, "\r\n") {
			t.Errorf("%+v of %d lines", fault, lines)
		}
	})
}
