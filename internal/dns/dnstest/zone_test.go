package dnstest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
)

const sample = `
; a comment
example.com          TXT  "v=spf1 mx -all"
EXAMPLE.com      60  IN TXT "second" " and \"rest\"\\ \065\000"
example.com          MX   20 b.example.com
example.com          MX   10 a.example.com
a.example.com        A    192.0.2.1
a.example.com        AAAA 2001:db8::1
deep.er.example.com  A    192.0.2.2
*.wild.example       TXT  "wild"
not.wild.example     A    192.0.2.3
null.example         MX   0 .
1.2.0.192.in-addr.arpa PTR a.example.com
1.2.0.192.in-addr.arpa PTR bad\.label.example.com
alias.example        CNAME www.alias.example
www.alias.example    CNAME a.example.com
dangling.example     CNAME nowhere.test
loop1.example        CNAME loop2.example
loop2.example        CNAME loop1.example

slow.example         FAULT timeout          ; every type
fail.example         FAULT servfail TXT
fail.example         A 192.0.2.4
twice.example        FAULT servfail times=2
twice.example        TXT "at last"
gone.example         FAULT nxdomain
gone.example         TXT "hidden"
empty.example        FAULT nodata
empty.example        TXT "hidden"
cut.example          FAULT truncate
cut.example          TXT "long"
huge.example         FAULT huge
toslow.example       CNAME slow.example
bare.example         FAULT bare
bare.example         CNAME a.example.com
`

func TestZoneTXT(t *testing.T) {
	z := MustZone(sample)
	cases := []struct {
		name, ask string
		want      []string
		err       error
	}{
		{"records", "example.com", []string{"v=spf1 mx -all", "second and \"rest\"\\ A\x00"}, nil},
		{"upper case in the zone", "a.example.com", nil, dns.ErrNoData},
		{"no such name", "x.example.com", nil, dns.ErrNXDomain},
		{"empty non-terminal", "er.example.com", nil, dns.ErrNoData},
		{"wildcard", "a.b.wild.example", []string{"wild"}, nil},
		{"wildcard does not reach an existing name", "not.wild.example", nil, dns.ErrNoData},
		{"wildcard does not reach below an existing name", "x.not.wild.example", nil, dns.ErrNXDomain},
		{"wildcard does not reach its parent", "wild.example", nil, dns.ErrNoData},
		{"alias without the type", "alias.example", nil, dns.ErrNoData},
		{"dangling alias", "dangling.example", nil, dns.ErrNXDomain},
		{"alias loop", "loop1.example", nil, dns.ErrTemporary},
		{"time-out", "slow.example", nil, dns.ErrTemporary},
		{"alias to a time-out", "toslow.example", nil, dns.ErrTemporary},
		{"SERVFAIL", "fail.example", nil, dns.ErrTemporary},
		{"first SERVFAIL", "twice.example", nil, dns.ErrTemporary},
		{"second SERVFAIL", "twice.example", nil, dns.ErrTemporary},
		{"no third SERVFAIL", "twice.example", []string{"at last"}, nil},
		{"NXDOMAIN on purpose", "gone.example", nil, dns.ErrNXDomain},
		{"no data on purpose", "empty.example", nil, dns.ErrNoData},
		{"truncated", "cut.example", []string{"long"}, nil},
		{"huge", "huge.example", nil, dns.ErrTemporary},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := z.LookupTXT(context.Background(), dns.MustParse(c.ask))
			if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("LookupTXT(%s) = %q, %v, want %q, %v", c.ask, got, err, c.want, c.err)
			}
			if e := (*dns.Error)(nil); err != nil && (!errors.As(err, &e) || e.Type != "TXT" || e.Name.String() != c.ask) {
				t.Errorf("error %v does not say which look-up failed", err)
			}
		})
	}
}

func TestZoneOtherTypes(t *testing.T) {
	z, ctx := MustZone(sample), context.Background()
	mx, err := z.LookupMX(ctx, dns.MustParse("example.com"))
	if err != nil || !slices.Equal(mx, []dns.Name{dns.MustParse("a.example.com"), dns.MustParse("b.example.com")}) {
		t.Errorf("MX by preference = %v, %v", mx, err)
	}
	if mx, err := z.LookupMX(ctx, dns.MustParse("null.example")); err != nil || mx == nil || len(mx) != 0 {
		t.Errorf("null MX = %v, %v, want an empty list", mx, err)
	}
	for _, name := range []string{"a.example.com", "alias.example", "bare.example"} {
		a, err := z.LookupAddr(ctx, dns.MustParse(name), false)
		if err != nil || !slices.Equal(a, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
			t.Errorf("A of %s = %v, %v", name, a, err)
		}
	}
	a, err := z.LookupAddr(ctx, dns.MustParse("a.example.com"), true)
	if err != nil || !slices.Equal(a, []netip.Addr{netip.MustParseAddr("2001:db8::1")}) {
		t.Errorf("AAAA = %v, %v", a, err)
	}
	if _, err := z.LookupAddr(ctx, dns.MustParse("fail.example"), false); err != nil {
		t.Errorf("a fault of TXT alone strikes A: %v", err)
	}
	if _, err := z.LookupPTR(ctx, netip.Addr{}); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("PTR of no address: %v", err)
	}
	ptr, err := z.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
	if err != nil || !slices.Equal(ptr, []dns.Name{dns.MustParse("a.example.com")}) {
		t.Errorf("PTR = %v, %v", ptr, err)
	}
	if _, err := z.LookupPTR(ctx, netip.MustParseAddr("2001:db8::1")); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("PTR of an unlisted address: %v", err)
	}
}

func TestZoneByProgram(t *testing.T) {
	z, ctx := MustZone(""), context.Background()
	var all []byte
	for c := range 255 {
		all = append(all, byte(c+1))
	}
	name := dns.MustParse(`a\"(;)@$'.example`)
	z.AddTXT(name, string(all), "and \x00")
	if got, err := z.LookupTXT(ctx, name); err != nil || len(got) != 1 || got[0] != string(all)+"and \x00" {
		t.Errorf("TXT of all octets = %q, %v", got, err)
	}
	host, addr4, addr6 := dns.MustParse("h.example"), netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	z.AddAddr(host, addr4)
	z.AddAddr(host, addr6)
	z.AddMX(host, 5, name)
	z.AddPTR(addr6, name)
	z.AddCNAME(dns.MustParse("c.example"), host)
	if got, err := z.LookupAddr(ctx, dns.MustParse("c.example"), true); err != nil || !slices.Equal(got, []netip.Addr{addr6}) {
		t.Errorf("AAAA by an alias = %v, %v", got, err)
	}
	if got, err := z.LookupMX(ctx, host); err != nil || !slices.Equal(got, []dns.Name{name}) {
		t.Errorf("MX = %v, %v", got, err)
	}
	if got, err := z.LookupPTR(ctx, addr6); err != nil || !slices.Equal(got, []dns.Name{name}) {
		t.Errorf("PTR = %v, %v", got, err)
	}
	z.AddFault(host, Fault{Kind: ServFail, Type: "MX"})
	if _, err := z.LookupMX(ctx, host); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("MX with a fault: %v", err)
	}
	if n, all := z.Queries(host, "MX"), z.Queries(dns.Name{}, ""); n != 2 || all != 5 {
		t.Errorf("counted %d MX queries of %d, want 2 of 5", n, all)
	}
	if got := z.Asked(); !slices.Contains(got, "MX h.example") || len(got) != 4 {
		t.Errorf("Asked = %q", got)
	}
	z.Remove(host)
	if _, err := z.LookupAddr(ctx, host, false); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("removed name: %v", err)
	}
}

func TestZoneHold(t *testing.T) {
	z := MustZone("a.example TXT x")
	name := dns.MustParse("a.example")
	release := z.Hold(name, "TXT")
	done := make(chan error)
	go func() {
		_, err := z.LookupTXT(context.Background(), name)
		done <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := z.Await(ctx, name, "TXT", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("answered while held: %v", err)
	default:
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := z.LookupTXT(ended, name); !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, context.Canceled) {
		t.Errorf("held past the caller's context: %v", err)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestParseZoneFaults(t *testing.T) {
	for _, text := range []string{
		"a.example FAULT",
		"a.example FAULT sometimes",
		"a.example FAULT timeout times=0",
		"a.example FAULT timeout delay=fast",
		"a.example FAULT timeout NOTYPE",
		"a.example TXT x\n" + strings.Repeat("a", 64) + ".example FAULT timeout",
		"a.example A 192.0.2",
	} {
		if _, err := ParseZone(text); err == nil {
			t.Errorf("ParseZone(%q): no error", text)
		}
	}
}
