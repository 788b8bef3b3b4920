package filter

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseReceived(t *testing.T) {
	cases := []struct{ name, value, addr, helo string }{
		{"Postfix", " from mail.example (mail.example [198.51.100.7])\r\n\tby relay.example", "198.51.100.7", "mail.example"},
		{"IPv6", " from x (unknown [IPv6:2001:db8::7]) by relay.example", "2001:db8::7", "x"},
		{"mapped IPv4", " from x (unknown [::ffff:198.51.100.7]) by relay.example", "198.51.100.7", "x"},
		{"comment in the comment", " from x (h.example [198.51.100.7] (may be forged)) by relay.example", "198.51.100.7", "x"},
		{"address only in HELO", " from [198.51.100.7] by relay.example", "", ""},
		{"address in a later comment", " from x (h.example) by relay.example ([198.51.100.7])", "", ""},
		{"two addresses", " from x ([198.51.100.7] [203.0.113.9]) by relay.example", "", ""},
		{"no address", " from x (h.example) by relay.example", "", ""},
		{"comment never closed", " from x (h.example [198.51.100.7] by relay.example", "198.51.100.7", "x"},
		{"no from clause", " by relay.example; Mon, 23 Nov 2026 10:00:00 +0000", "", ""},
		{"from what", " fromage (h [198.51.100.7])", "", ""},
		{"empty", "", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			addr, helo := parseReceived([]byte(c.value))
			got := ""
			if addr.IsValid() {
				got = addr.String()
			}
			if got != c.addr || helo != c.helo {
				t.Errorf("got %q, %q; want %q, %q", got, helo, c.addr, c.helo)
			}
		})
	}
}

func FuzzParseReceived(f *testing.F) {
	f.Add(" from mail.example (mail.example [198.51.100.7])\r\n\tby relay.example")
	f.Add(" from x (unknown [IPv6:2001:db8::7]) by relay.example")
	f.Add(" from [1.2.3.4] ((((")
	f.Fuzz(func(t *testing.T, value string) {
		addr, helo := parseReceived([]byte(value))
		if addr == (netip.Addr{}) {
			if helo != "" {
				t.Errorf("%q: HELO %q without an address", value, helo)
			}
			return
		}
		// The address never comes from the part that the client wrote itself.
		_, behind, _ := strings.Cut(strings.TrimLeft(value, " \t\r\n")[len("from"):], helo)
		if !strings.Contains(behind, "[") || strings.ContainsAny(helo, " \t\r\n") {
			t.Errorf("%q: address %s, HELO %q", value, addr, helo)
		}
	})
}
