package text

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

// controls are characters that steer, reorder, hide or break lines.
const controls = "\x00\x07\x08\x1b\x7f\u0085\u009b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\U000e0041\xff\xc3"

func TestLine(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"ascii", `plain "text" <&>`, `plain "text" <&>`},
		{"other scripts", "Grüße メ שלו", "Grüße メ שלו"},
		{"white space", "a\tb\r\nc\u3000d\u00a0e", "a b  c d e"},
		{"terminal", "\x1b[2J\u009b2Jred\x07", "?[2J?2Jred?"},
		{"bidi", "moc.knab\u202e evil", "moc.knab? evil"},
		{"isolates", "\u2066a\u2069", "?a?"},
		{"marks", "a\u200e\u200f\u061cb", "a???b"},
		{"invalid", "a\xff\xfeb\xc3", "a??b?"},
		{"exact", strings.Repeat("a", 20), strings.Repeat("a", 20)},
		{"long", strings.Repeat("a", 21), strings.Repeat("a", 20) + "…"},
		{"long, cut between characters", strings.Repeat("é", 11), strings.Repeat("é", 10) + "…"},
		{"long, cut before a character", "a" + strings.Repeat("é", 11), "a" + strings.Repeat("é", 9) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Line(c.in, 20); got != c.want {
				t.Errorf("Line(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestControlsAreNeverSafe(t *testing.T) {
	for _, r := range controls {
		if IsSafe(r) {
			t.Errorf("%U is safe", r)
		}
		for name, s := range map[string]string{
			"Line": Line(string(r), 9), "ASCII": ASCII(string(r), 9), "HTML": HTML(string(r), 9), "Cell": Cell(string(r), 9),
		} {
			if strings.ContainsRune(s, r) {
				t.Errorf("%s lets %U pass", name, r)
			}
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("a\r\nb\n\x1bc\u202e\rd", 100), "a\nb\n?c? d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestASCII(t *testing.T) {
	if got, want := ASCII("550 5.7.1 né\r\nRCPT\x00", 100), "550 5.7.1 n??  RCPT?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := ASCII("abcdef", 3); got != "abc" {
		t.Errorf("cut to %q", got)
	}
}

func TestCut(t *testing.T) {
	for in, want := range map[string]string{"abcd": "abcd", "abcde": "abcd…", "abcé": "abc…", "ééé": "éé…", "": ""} {
		if got := Cut(in, 4); got != want {
			t.Errorf("Cut(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestXML(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Example Inc.", "Example Inc."},
		{"ends", "  a b\t", "a b"},
		{"bidi", "Bank\u202egnihsihp", "Bank gnihsihp"},
		{"forbidden", "a\x00b\uffffc\ufdd0d\u0080e", "a b c d e"},
		{"invalid", "a\xffb", "a\ufffdb"},
		{"long", strings.Repeat("é", 20), strings.Repeat("é", 15)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := XML(c.in, 30)
			if got != c.want {
				t.Errorf("XML(%q) = %q, want %q", c.in, got, c.want)
			}
			if again := XML(got, 30); again != got {
				t.Errorf("not idempotent: %q, then %q", got, again)
			}
		})
	}
}

func TestHTML(t *testing.T) {
	if got, want := HTML(`"><script>alert('x')</script>`+"\u202e&", 100), "&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;?&amp;"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "' =1", "\r\n=1": "'  =1", " @x": "' @x", "＝1": "'＝1",
		"": "", " ": " ", "a=b": "a=b", "example.org": "example.org", "12": "12",
	} {
		if got := Cell(in, 100); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	c := NewCSV(&b)
	if err := c.Write("domain", `=HYPERLINK("http://x")`, "two\nlines"); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 1 || rows[0][1] != `'=HYPERLINK("http://x")` || rows[0][2] != "two lines" {
		t.Errorf("%q, %v", rows, err)
	}
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, part := range []string{"plain\n\ttabbed\n", "Gr\xc3", "\xbc\xc3\x9fe \u202e\x1b[1m\r\n", "\u3000\xe3\x83"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", part, n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "plain\n\ttabbed\nGrüße ??[1m \n ?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJSONWriterKeepsTheValue(t *testing.T) {
	var b bytes.Buffer
	in := map[string]string{"k": "a\u202e\u009b\x7f\x1b\U000e0041é\n"}
	if err := json.NewEncoder(NewJSONWriter(&b)).Encode(in); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if !IsSafe(r) && r != '\n' {
			t.Errorf("%U passed", r)
		}
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || out["k"] != in["k"] {
		t.Errorf("%q, %v", out, err)
	}
}

func FuzzText(f *testing.F) {
	f.Add(controls, 20)
	f.Add("=plain", 3)
	f.Add("日本語 \u202e"+strings.Repeat("é", 300), 100)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 0 || most > 1<<16 {
			return
		}
		var terminal, log bytes.Buffer
		half := len(s) / 2
		for _, w := range []*Writer{NewWriter(&terminal), NewJSONWriter(&log)} {
			w.Write([]byte(s[:half])) //nolint:errcheck // into memory
			w.Write([]byte(s[half:])) //nolint:errcheck
			w.Close()                 //nolint:errcheck
		}
		for name, out := range map[string]string{
			"Line": Line(s, most), "Lines": Lines(s, most), "ASCII": ASCII(s, most), "HTML": HTML(s, most), "Cell": Cell(s, most),
			"Writer": terminal.String(), "JSONWriter": log.String(),
		} {
			lines := name == "Lines" || strings.HasSuffix(name, "Writer")
			for _, r := range out {
				if !IsSafe(r) && (!lines || r != '\n' && r != '\t') {
					t.Fatalf("%s(%q) lets %U pass", name, s, r)
				}
			}
		}
		for name, out := range map[string]string{"Line": Line(s, most), "ASCII": ASCII(s, most), "XML": XML(s, most), "Cut": Cut(s, most)} {
			if len(out) > most+len(ellipsis) {
				t.Fatalf("%s(%q, %d) has %d octets", name, s, most, len(out))
			}
		}
		x := XML(s, most)
		if !utf8.ValidString(x) || XML(x, most) != x {
			t.Fatalf("XML(%q) = %q", s, x)
		}
		var b bytes.Buffer
		if err := xml.EscapeText(&b, []byte(x)); err != nil {
			t.Fatal(err)
		}
		var back struct {
			T string `xml:",chardata"`
		}
		if err := xml.Unmarshal([]byte("<t>"+b.String()+"</t>"), &back); err != nil || back.T != x {
			t.Fatalf("%q is read back as %q: %v", x, back.T, err)
		}
	})
}
