package arc

import (
	"strings"
	"testing"
)

func TestReadResults(t *testing.T) {
	cases := []struct{ value, instance, payload string }{
		{" i=1; mx.example; spf=pass", "1", "mx.example; spf=pass"},
		{"i=12;x", "12", "x"},
		{"\r\n\ti \r\n =\t(one (two) \\( \\\\) 3 (three);\r\n mx.example;\r\n\tspf=pass\r\n", "3", "mx.example;\tspf=pass"},
		{" i=01; x", "01", "x"},
		{" i=1;", "1", ""},
		{" i=1;;", "1", ";"},
		{" i=1; (a)\x00\xff", "1", "(a)\x00\xff"},
		{" I=1; x", "", ""},
		{" i=123; x", "", ""},
		{" i=1 x; y", "", ""},
		{" i=1, x", "", ""},
		{" i=1", "", ""},
		{" i=; x", "", "x"},
		{" i 1; x", "", ""},
		{" mx.example; i=1; x", "", ""},
		{" (i=1; x", "", ""},
		{" (i=1; x\\", "", ""},
		{"", "", ""},
		{strings.Repeat("(", 100000) + "i=1;", "", ""},
		{strings.Repeat("(", 100000) + strings.Repeat(")", 100000) + "i=1;x", "1", "x"},
	}
	for _, c := range cases {
		if instance, payload := readResults([]byte(c.value)); instance != c.instance || payload != c.payload {
			t.Errorf("%.60q: %q, %.60q, want %q, %q", c.value, instance, payload, c.instance, c.payload)
		}
	}
}

func TestParseInstance(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "9": 9, "01": 1, "50": 50, "99": 99, "": 0, "0": 0, "00": 0, "-1": 0, "1 ": 0, "001": 0, "x": 0, "1x": 0, "٣": 0} {
		if n, ok := parseInstance(text); ok != (want > 0) || ok && n != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
}

// FuzzResults: a parsed result, written plainly, parses to the same.
func FuzzResults(f *testing.F) {
	f.Add([]byte(" i=1; mx.example; spf=pass"))
	f.Add([]byte("\r\n\t(a(b\\)))i=(c)22(\r\n);x\r\n y"))
	f.Fuzz(func(t *testing.T, value []byte) {
		instance, payload := readResults(value)
		if len(instance) > maxDigits || strings.Trim(instance, "0123456789") != "" || strings.ContainsAny(payload, "\r\n") {
			t.Fatalf("%q, %q", instance, payload)
		}
		if instance == "" {
			return
		}
		if i, p := readResults([]byte("i=" + instance + ";" + payload)); i != instance || p != payload {
			t.Errorf("%q, %q, then %q, %q", instance, payload, i, p)
		}
	})
}
