package analysis

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

func TestPeriod(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Criteria
		want string // FROM TO, "all", or what the error has
	}{
		{"default", Criteria{}, "2026-11-01 2026-11-30"},
		{"a week", Criteria{Period: "7d"}, "2026-11-24 2026-11-30"},
		{"hours", Criteria{Period: "36h"}, "2026-11-29 2026-11-30"},
		{"a month", Criteria{Period: "2026-02"}, "2026-02-01 2026-02-28"},
		{"this month", Criteria{Period: "this-month"}, "2026-11-01 2026-11-30"},
		{"last month", Criteria{Period: "last-month"}, "2026-10-01 2026-10-31"},
		{"all", Criteria{Period: "all"}, "all"},
		{"since a date", Criteria{Since: "2026-11-20"}, "2026-11-20 2026-11-30"},
		{"since a time", Criteria{Since: "2026-11-20T23:30:00-01:00"}, "2026-11-21 2026-11-30"},
		{"since a duration", Criteria{Since: "7d"}, "2026-11-23 2026-11-30"},
		{"both", Criteria{Since: "2026-11-01", Until: "2026-11-02"}, "2026-11-01 2026-11-02"},
		{"until", Criteria{Until: "2026-11-02"}, "1970-01-01 2026-11-02"},
		{"the wrong way", Criteria{Since: "2026-11-02", Until: "2026-11-01"}, "is after"},
		{"both kinds", Criteria{Period: "7d", Since: "2026-11-02"}, "neither since nor until"},
		{"no period", Criteria{Period: "often"}, "period"},
		{"no time", Criteria{Since: "yesterday"}, "a date such as"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, err := c.in.Parse(now)
			got := fmt.Sprintf("%s %s", f.From, f.To)
			switch {
			case err != nil:
				got = err.Error()
			case f.All:
				got = "all"
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		criteria []string
		text     string
		want     bool
	}{
		{nil, "google.com", true},
		{[]string{""}, "google.com", true},
		{[]string{"google.com"}, "Google.COM", true},
		{[]string{"google"}, "google.com", false},
		{[]string{"*.google.com"}, "mail-sor-f41.google.com", true},
		{[]string{"*.google.com"}, "google.com", false},
		{[]string{"*google*"}, "google.com", true},
		{[]string{"m*l*.com"}, "mail.example.com", true},
		{[]string{"ab*ba"}, "aba", false},
		{[]string{"a*b*c"}, "a-c-b", false},
		{[]string{"a%b_?[c]"}, "a%b_?[c]", true},
		{[]string{"a%b_?[c]"}, "axxb_?[c]", false},
		{[]string{"bücher.example"}, "xn--bcher-kva.example", true},
		{[]string{"a.example, b.example"}, "b.example", true},
		{[]string{"a.example,b.example"}, "c.example", false},
		{[]string{"!a.example,b.example"}, "b.example", false},
		{[]string{"!a.example,!b.example"}, "b.example", false},
		{[]string{"!a.example"}, "b.example", true},
		{[]string{"*.example", "!a.example"}, "a.example", false},
		{[]string{"*.example", "!a.example"}, "b.example", true},
		{[]string{"a.example", "b.example"}, "b.example", true},
		{[]string{"*"}, "", false},
		{[]string{"!*"}, "", true},
		{[]string{"!*"}, "a.example", false},
	} {
		criteria := Criteria{Host: c.criteria}
		f, _, err := criteria.Parse(now)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Host.Texts(c.text); got != c.want {
			t.Errorf("%q of %q: %t", c.criteria, c.text, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ criterion, yes, no, note string }{
		{criterion: "192.0.2.1", yes: "192.0.2.1 ::ffff:192.0.2.1", no: "192.0.2.10 192.0.2.11"},
		{criterion: "::ffff:192.0.2.1", yes: "192.0.2.1", no: "192.0.2.2"},
		{criterion: "192.0.2.0/24", yes: "192.0.2.0 192.0.2.255", no: "192.0.3.0 2001:db8::1"},
		{criterion: "192.0.2.77/24", yes: "192.0.2.0", no: "192.0.3.0", note: "read as 192.0.2.0/24"},
		{criterion: "::ffff:192.0.2.0/120", yes: "192.0.2.9", no: "192.0.3.0"},
		{criterion: "2001:db8::/32", yes: "2001:db8:1::1", no: "2001:db9::1"},
		{criterion: "0.0.0.0/0", yes: "192.0.2.1", no: "2001:db8::1"},
		{criterion: "192.168.", yes: "192.168.1.1", no: "192.16.8.1"},
		{criterion: "10.1", yes: "10.1.0.1 10.10.0.1 10.199.0.1", no: "10.2.0.1 110.1.0.1", note: "10.10.…"},
		{criterion: "2001:DB8:", yes: "2001:db8::1 2001:db8:1::1", no: "2001:db80::1"},
		{criterion: "2001:0db8:", yes: "2001:db8::1", no: "2001:db9::1"},
		{criterion: "2001:db8", yes: "2001:db8::1 2001:db80::1", no: "2001:db9::1"},
		{criterion: "!192.0.2.0/24,198.51.100.", yes: "203.0.113.1", no: "192.0.2.1 198.51.100.1"},
	} {
		criteria := Criteria{IP: []string{c.criterion}}
		f, notes, err := criteria.Parse(now)
		if err != nil {
			t.Errorf("%s: %v", c.criterion, err)
			continue
		}
		if text := fmt.Sprint(notes); (len(notes) > 0) != (c.note != "") || !strings.Contains(text, c.note) {
			t.Errorf("%s: notes %q, want %q", c.criterion, text, c.note)
		}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for address := range strings.FieldsSeq(list) {
				if got := f.IP.Has(netip.MustParseAddr(address)); got != want {
					t.Errorf("%s has %s: %t", c.criterion, address, got)
				}
			}
		}
	}
	for _, bad := range []string{"192.0.2.1/33", "192.0.2.256", "999.", "1.2.3.4.5", "mail.example.com", "192.0.2.0/24/1", "fe80::1%eth0", "g::", "192.0.02.", "12345:", "::/129", "*"} {
		criteria := Criteria{IP: []string{bad}}
		if _, _, err := criteria.Parse(now); !errors.Is(err, ErrCriteria) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWords(t *testing.T) {
	criteria := Criteria{
		Domain: []string{"Example.COM", "!b.example"}, Result: []string{"!compliant"}, Disposition: []string{"reject,-"}, Policy: []string{"!none"},
		Label: []string{"authorized"}, Reason: []string{"forwarded"},
	}
	f, _, err := criteria.Parse(now)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(f.Domain, f.Without) != "[example.com] [b.example]" || f.Result != ResultNotCompliant || !f.Disposition.Has("") || f.Disposition.Has("none") ||
		f.Policy.Has("none") || !f.Policy.Has("reject") || !f.Label.Has(LabelAuthorised) || f.RollupOnly() {
		t.Errorf("got %+v", f)
	}
	bad := Criteria{
		Domain: []string{"a..b"}, Result: []string{"maybe"}, Disposition: []string{"discard"}, Policy: []string{"all"}, Label: []string{"nice"},
		Service: []string{"a,!b"}, Host: []string{strings.Repeat("*a", 20)}, IP: []string{"x"}, Selector: []string{strings.Repeat("a,", 101)},
		Reporter: []string{strings.Repeat("a", 513)},
	}
	_, _, err = bad.Parse(now)
	for _, name := range []string{"domain", "result", "disposition", "policy", "label", "service", "host", "ip", "selector", "reporter"} {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("no fault of %s in %v", name, err)
		}
	}
}

func TestLike(t *testing.T) {
	if got := Pattern(`50%_of!*x`).Like("!"); got != `50!%!_of!!%x` {
		t.Errorf("got %s", got)
	}
}
