package text

import (
	"strings"
	"testing"
	"time"
)

func TestWriteTable(t *testing.T) {
	columns := []Column{{Name: "domain", Least: 12}, {Name: "messages", Right: true}, {Name: "reporter", Least: 10}}
	rows := [][]string{
		{"example.org", "1,234", "google.com"},
		{"日本語.example", "7", "two\nlines\u202e"},
		{strings.Repeat("long.", 12) + "example", "12", strings.Repeat("reporter.", 5)},
		{"short"},
	}
	var b strings.Builder
	if err := WriteTable(&b, 60, columns, rows); err != nil {
		t.Fatal(err)
	}
	want := `
domain                    messages  reporter
example.org                  1,234  google.com
日本語.example                   7  two lines?
long.long.long.long.lon…        12  reporter.reporter.repor…
short
`[1:]
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	for line := range strings.Lines(b.String()) {
		if Width(strings.TrimSuffix(line, "\n")) > 60 {
			t.Errorf("too wide: %q", line)
		}
	}
}

func TestWriteTableCutsNothingWithoutWidth(t *testing.T) {
	var b strings.Builder
	long := strings.Repeat("x", 200)
	if err := WriteTable(&b, 0, []Column{{Least: 3}}, [][]string{{long}}); err != nil {
		t.Fatal(err)
	}
	if b.String() != long+"\n" {
		t.Errorf("%q", b.String())
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "日本": 4, "é": 1, "e\u0301": 1, "ｱ": 1, "Ａ": 2, "…": 1} {
		if got := Width(s); got != want {
			t.Errorf("Width(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two", 10, "one two"},
		{"one two three four", 9, "one two|three|four"},
		{"nowheretobreak", 5, "nowhe|retob|reak"},
		{"日本語のテキスト", 6, "日本語|のテキ|スト"},
		{"a nowheretobreak", 8, "a nowher|etobreak"},
	} {
		if got := strings.Join(Wrap(c.in, c.width), "|"); got != c.want {
			t.Errorf("Wrap(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Number(0), "0"}, {Number(999), "999"}, {Number(1000), "1,000"}, {Number(-1234567), "-1,234,567"},
		{Count(1, "message"), "1 message"}, {Count(0, "message"), "0 messages"}, {Count(2000, "entry"), "2,000 entries"},
		{Count(2, "day"), "2 days"}, {Count(2, "address"), "2 addresses"}, {Count(3, "invalid line"), "3 invalid lines"},
		{Percent(0, 0), ""}, {Percent(1, 1), "100 %"}, {Percent(0, 9), "0 %"}, {Percent(1, 3), "33.3 %"},
		{Percent(999_999, 1_000_000), "99.9 %"}, {Percent(1, 1_000_000), "0.1 %"},
		{Octets(0), "0 B"}, {Octets(1023), "1023 B"}, {Octets(1536), "1.5 KiB"}, {Octets(20 << 30), "20 GiB"},
		{Span(48 * time.Hour), "2d"}, {Span(36 * time.Hour), "36h"}, {Span(90 * time.Minute), "1h30m"}, {Span(90 * time.Second), "1m30s"}, {Span(10 * time.Minute), "10m"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
