package source

import (
	"strings"
	"testing"
)

func TestReadTableRefuses(t *testing.T) {
	row := func(cells ...string) string {
		for len(cells) < tableColumns-1 {
			cells = append(cells, "")
		}
		return strings.Join(append(cells, "suffix"), "\t") + "\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"too few columns", "example.com\tExample\tmailbox\n", "line 1: 3 columns"},
		{"no kind", row("example.com", "Example", "mail"), "one of the kinds"},
		{"no label", row("example.com", "", "mailbox"), "a label"},
		{"a public suffix", row("co.uk", "Example", "mailbox"), "public suffix"},
		{"the reverse zone", row("in-addr.arpa", "Example", "mailbox"), "reverse zone"},
		{"no dot", row("localhost", "Example", "mailbox"), "no dot"},
		{"capitals", row("Example.com", "Example", "mailbox"), "is written"},
		{"white space", row("example.com", " Example", "mailbox"), "white space"},
		{"an include without evidence", row("example.com", "Example", "mailbox", "", "", "_spf.example.com"), "without its evidence"},
		{"the line", "# a remark\n" + row("example.com", "Example", "mailbox") + row("co.uk", "x", "mailbox"), "line 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := readTable(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"domain", "a.example\tA\tmailbox\t\t\t\t\t\t\tsuffix", "a.example\tB\tmailbox\t\t\t\t\t\t\tsuffix", "the domain a.example"},
		{"host suffix", "a.example\tA\tmailbox\tx.example\t\t\t\t\t\tsuffix", "x.example\tB\tmailbox\t\t\t\t\t\t\tsuffix", "the host suffix x.example"},
		{"signing domain", "a.example\tA\tmailbox\t\tx.example\t\t\t\t\tdkim", "b.example\tB\tmailbox\t\tx.example\t\t\t\t\tdkim", "the signing domain x.example"},
		{"include", "a.example\tA\tmailbox\t\t\tx.example\t\t\t\tinclude", "b.example\tB\tmailbox\t\t\tx.example\t\t\t\tinclude", "the include x.example"},
		{"selector", "a.example\tA\tmailbox\t\t\t\tk1\t\t\tselector", "b.example\tB\tmailbox\t\t\t\tk1\t\t\tselector", "the selector k1"},
		{"selector and pattern", "a.example\tA\tmailbox\t\t\t\tk1\t\t\tselector", "b.example\tB\tmailbox\t\t\t\tk#\t\t\tselector", "the selector k1"},
		{"two patterns", "a.example\tA\tmailbox\t\t\t\tk#\t\t\tselector", "b.example\tB\tmailbox\t\t\t\tk*\t\t\tselector", "the selector k1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			services, err := readTable(c.a + "\n" + c.b + "\n")
			if err != nil {
				t.Fatal(err)
			}
			_, faults := newMap(services)
			if len(faults) == 0 || !strings.Contains(faults[0].Error(), c.want) {
				t.Errorf("faults %v, want one with %q", faults, c.want)
			}
		})
	}
}
