package dns

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", 63)
	cases := []struct{ name, in, want string }{
		{"plain", "example.com", "example.com"},
		{"upper case", "EXAMPLE.Com", "example.com"},
		{"trailing dot", "example.com.", "example.com"},
		{"underscore", "_dmarc.example.com", "_dmarc.example.com"},
		{"macro octets", "a+b=c;.example.com", "a+b=c;.example.com"},
		{"U-label", "bücher.example", "xn--bcher-kva.example"},
		{"U-label beside a service label", "_dmarc.Bücher.example", "_dmarc.xn--bcher-kva.example"},
		{"ideographic stop", "bücher。example", "xn--bcher-kva.example"},
		{"longest label", long + ".example", long + ".example"},
		{"longest name", strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "a"},
		{"empty", "", ""},
		{"root", ".", ""},
		{"empty label", "a..b", ""},
		{"leading dot", ".a", ""},
		{"two trailing dots", "a..", ""},
		{"space", "a b.example", ""},
		{"NUL", "a\x00.example", ""},
		{"CR LF", "a\r\n.example", ""},
		{"long label", long + "a.example", ""},
		{"long name", strings.Repeat("a.", 126) + "aa", ""},
		{"bad UTF-8", "\xff\xfe.example", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n, err := Parse(c.in)
			if n.String() != c.want {
				t.Errorf("Parse(%q) = %q, want %q", c.in, n, c.want)
			}
			if (err != nil) != (c.want == "") || err != nil && !errors.Is(err, ErrBadName) {
				t.Errorf("Parse(%q): error %v", c.in, err)
			}
		})
	}
}

func TestParseQuery(t *testing.T) {
	n, err := ParseQuery("A  b%20c.Example.")
	if err != nil || n.String() != "a  b%20c.example" {
		t.Errorf("ParseQuery = %q, %v", n, err)
	}
	for _, s := range []string{"", "a..b", "a\tb.example", "a\x7f.example", strings.Repeat("a", 64) + ".example"} {
		if n, err := ParseQuery(s); !errors.Is(err, ErrBadName) || !n.IsZero() {
			t.Errorf("ParseQuery(%q) = %q, %v, want ErrBadName", s, n, err)
		}
	}
}

func TestNameWalking(t *testing.T) {
	n := MustParse("a.b.example.com")
	if got := n.Labels(); got != 4 {
		t.Errorf("Labels = %d, want 4", got)
	}
	if got := n.Parent().String(); got != "b.example.com" {
		t.Errorf("Parent = %q", got)
	}
	if got := MustParse("com").Parent(); !got.IsZero() {
		t.Errorf("parent of a single label = %q, want the zero Name", got)
	}
	for labels, want := range map[int]string{0: "", 1: "com", 2: "example.com", 3: "b.example.com", 4: "a.b.example.com", 9: "a.b.example.com"} {
		if got := n.Last(labels).String(); got != want {
			t.Errorf("Last(%d) = %q, want %q", labels, got, want)
		}
	}
	below := []struct {
		n, ancestor string
		want        bool
	}{
		{"a.example.com", "example.com", true},
		{"example.com", "example.com", false},
		{"notexample.com", "example.com", false},
		{"com", "example.com", false},
	}
	for _, c := range below {
		if got := MustParse(c.n).IsBelow(MustParse(c.ancestor)); got != c.want {
			t.Errorf("%s below %s = %v, want %v", c.n, c.ancestor, got, c.want)
		}
	}
	if n.IsBelow(Name{}) || (Name{}).IsBelow(n) {
		t.Error("the zero Name has no ancestors and no descendants")
	}
	if c, err := n.Child("_dmarc"); err != nil || c.String() != "_dmarc.a.b.example.com" {
		t.Errorf("Child = %q, %v", c, err)
	}
	if _, err := MustParse(strings.Repeat("a.", 125) + "a").Child("_dmarc"); !errors.Is(err, ErrBadName) {
		t.Errorf("Child of a name too long = %v, want ErrBadName", err)
	}
	if (Name{}).Labels() != 0 {
		t.Error("the zero Name has labels")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"example.com", "bücher.example", "a..b", "_dmarc.x", "。", "xn--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(n.String())
		if err != nil || again != n {
			t.Errorf("Parse(%q) = %q, read again = %q, %v", s, n, again, err)
		}
	})
}
