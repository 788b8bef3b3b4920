package settings

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	cases := []struct {
		name, text string
		kind       ListKind
		want       []string
		warnings   []string // parts, one each
		faults     []string
	}{
		{name: "nothing", kind: ListSenders, text: "\n# nothing\n"},
		{
			name: "senders", kind: ListSenders,
			text: "\ufeff# ours\r\nBank.example.\r\n*.bank.example # below\r\n  bücher.example\r\n\r\n*\r\n",
			want: []string{"*", "*.bank.example", "bank.example", "xn--bcher-kva.example"},
		},
		{
			name: "senders twice", kind: ListSenders, text: "a.example\nb.example\nA.example\n",
			want: []string{"a.example", "b.example"}, warnings: []string{"list.txt:3:1: duplicate entry a.example; the first is on line 1"},
		},
		{
			name: "senders, wrong", kind: ListSenders, text: "a.example\nx@b.example\n192.0.2.1\nc.example\na b\nfile:more.txt\nc.example either\n",
			faults: []string{`list.txt:2:1: expected a domain`, "list.txt:3:1: ", "list.txt:5:1: ", "list.txt:6:1: ", "list.txt:7:1: "},
		},
		{
			name: "a public suffix", kind: ListSenders, text: "co.uk\n", want: []string{"co.uk"}, warnings: []string{"1:1: co.uk is a public suffix"},
		},
		{
			name: "exceptions", kind: ListExceptions, text: "2001:DB8::1\n192.0.2.7/32\n::ffff:192.0.2.9\n198.51.100.0/24\n",
			want: []string{"192.0.2.7", "192.0.2.9", "198.51.100.0/24", "2001:db8::1"},
		},
		{
			name: "exceptions, host bits and twice", kind: ListExceptions, text: "192.0.2.7/24\n192.0.2.0/24\n", want: []string{"192.0.2.0/24"},
			warnings: []string{"1:1: 192.0.2.7/24 has bits beyond its length", "2:1: duplicate entry 192.0.2.0/24"},
		},
		{
			name: "exceptions, wrong", kind: ListExceptions, text: "192.0.2.0/33\nbank.example\n192.0.2.1-192.0.2.9\n",
			faults: []string{"1:1: expected an address", "2:1: expected an address", "3:1: expected an address"},
		},
		{
			name: "peers", kind: ListPeers, text: "b.example either\na.example\t both\n*.c.example   either # one is enough\n*\n",
			want: []string{"*", "a.example", "*.c.example either", "b.example either"},
		},
		{
			name: "peers, both kinds", kind: ListPeers, text: "a.example\na.example either\n",
			want: []string{"a.example"}, warnings: []string{"2:1: duplicate entry a.example"},
		},
		{
			name: "peers, wrong", kind: ListPeers, text: "a.example eithr\na.example any thing\n a..b either\n",
			faults: []string{`1:1: expected a domain, *.domain or *, with either behind it if one aligned pass is enough, found "a.example eithr"; did you mean "a.example either"?`, "2:1: ", "3:1: "},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, warnings, err := ParseList(c.kind, "list.txt", []byte(c.text))
			faults, _ := err.(Faults)
			compare(t, c.warnings, warnings)
			compare(t, c.faults, faults)
			if err == nil && !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			again, warnings, err := ParseList(c.kind, "list.txt", []byte(strings.Join(got, "\n")))
			if err != nil || !slices.Equal(got, again) {
				t.Errorf("read again: %q, %v, %v", again, warnings, err)
			}
		})
	}
}

// TestListsRoundTrip returns out each list of the full policy, puts it into a list file,
// and loads a policy that names the files to the same rules.
func TestListsRoundTrip(t *testing.T) {
	full, _, err := ReadPolicy(filepath.Join("testdata", "policy", "full.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := "default:\n  dmarc:\n"
	for _, kind := range []ListKind{ListSenders, ListExceptions, ListPeers} {
		lines := List(kind, full.Default)
		if len(lines) == 0 {
			t.Fatalf("%s is empty", kind)
		}
		write(t, filepath.Join(dir, string(kind)), strings.Join(lines, "\n")+"\n")
		text += "    " + string(kind) + ": ['file:" + string(kind) + "']\n"
	}
	write(t, filepath.Join(dir, "policy.yaml"), text)
	p, _, err := ReadPolicy(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := full.Default.DMARC, p.Default.DMARC
	if !slices.Equal(got.Senders.Patterns(), want.Senders.Patterns()) || !slices.Equal(got.Exceptions.Prefixes(), want.Exceptions.Prefixes()) {
		t.Errorf("got  %q %q\nwant %q %q", got.Senders.Patterns(), got.Exceptions.Prefixes(), want.Senders.Patterns(), want.Exceptions.Prefixes())
	}
	both, either := got.EnforcedPeers.Patterns()
	wantBoth, wantEither := want.EnforcedPeers.Patterns()
	if !slices.Equal(both, wantBoth) || !slices.Equal(either, wantEither) {
		t.Errorf("got  %q %q\nwant %q %q", both, either, wantBoth, wantEither)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("bank.example either\n*.a.example\n\x00\nb\xff\n")
	f.Add("192.0.2.1/8\n::1\n::ffff:192.0.2.1/97\n")
	f.Add("\ufeffbücher.example # x\r\n*\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []ListKind{ListSenders, ListExceptions, ListPeers} {
			got, warnings, err := ParseList(kind, "list", []byte(text))
			checkFaults(t, warnings)
			if err != nil {
				checkFaults(t, err.(Faults))
				continue
			}
			out := strings.Join(got, "\n")
			again, warnings, err := ParseList(kind, "list", []byte(out))
			if err != nil || !slices.Equal(got, again) {
				t.Errorf("%s: %q reads as %q: %v", kind, out, again, err)
			}
			for _, w := range warnings {
				if strings.Contains(w.Problem, "second time") {
					t.Errorf("%s: %s", kind, w)
				}
			}
		}
	})
}
