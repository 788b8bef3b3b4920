package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// streamed is the events of Stream, as text.
func streamed(t *testing.T, in string) string {
	t.Helper()
	var b strings.Builder
	e := Events{
		Field:       func(name string, value []byte) { fmt.Fprintf(&b, "[%s|%s]", name, value) },
		EndOfHeader: func() { b.WriteString("--") },
		Body:        func(chunk []byte) bool { b.Write(chunk); return true },
	}
	if err := Stream(iotest.OneByteReader(strings.NewReader(in)), e); err != nil {
		t.Fatalf("Stream(%q): %v", in, err)
	}
	return b.String()
}

func TestStream(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	cases := []struct{ name, in, want string }{
		{"CRLF", "A: 1\r\nB:2\r\n\r\nbody\r\n", "[A| 1][B|2]--body\r\n"},
		{"bare LF", "A: 1\n\nbody\nmore\n", "[A| 1]--body\r\nmore\r\n"},
		{"folds", "A: 1\n  2\r\n\t3\n\nb", "[A| 1\r\n  2\r\n\t3]--b"},
		{"mbox line", "From me Mon Jan 1\nA: 1\n\nb", "[A| 1]--b"},
		{"no body", "A: 1\r\n", "[A| 1]--"},
		{"no final line end in the header", "A: 1", "[A| 1]--"},
		{"empty", "", "--"},
		{"a line that is no field ends the header", "A: 1\nno field\nmore\n", "[A| 1]--no field\r\nmore\r\n"},
		{"leading fold", " A: 1\n\n", "[ A| 1]--"},
		{"blank before the colon", "A : 1\n\n", "[A | 1]--"},
		{"long body line", "A: 1\n\n" + long + "\n", "[A| 1]--" + long + "\r\n"},
		{"mixed line ends", "A: 1\n\na\r\nb\nc\r\n\n", "[A| 1]--a\r\nb\r\nc\r\n\r\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := streamed(t, c.in); got != c.want {
				t.Errorf("got  %.300q\nwant %.300q", got, c.want)
			}
		})
	}
}

func TestStreamBoundsTheHeader(t *testing.T) {
	e := Events{Field: func(string, []byte) {}, EndOfHeader: func() {}, Body: func([]byte) bool { return true }}
	if err := Stream(strings.NewReader(strings.Repeat("A: 1\n", MaxStreamedHeader/4)), e); !errors.Is(err, ErrHeaderTooLarge) {
		t.Errorf("got %v, want ErrHeaderTooLarge", err)
	}
}

func TestStreamStopsWhenTold(t *testing.T) {
	calls := 0
	e := Events{Field: func(string, []byte) {}, EndOfHeader: func() {}, Body: func([]byte) bool { calls++; return false }}
	if err := Stream(strings.NewReader("A: 1\n\nb\nc\nd\n"), e); err != nil || calls != 1 {
		t.Errorf("%d calls, error %v; want 1 and none", calls, err)
	}
}
