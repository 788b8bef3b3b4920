package spf_test

import (
	"context"
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// attacker is a DNS whose answers are an attacker's, by the first octet of the
// name asked for.
type attacker struct {
	records [2]string
	client  netip.Addr
	asked   atomic.Int64
}

func (a *attacker) fails(name dns.Name) error {
	a.asked.Add(1)
	switch name.String()[0] {
	case 'v':
		return dns.ErrNXDomain
	case 't':
		return dns.ErrTemporary
	}
	return nil
}

func (a *attacker) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	if err := a.fails(name); err != nil {
		return nil, err
	}
	switch name.String()[0] {
	case 'b':
		return a.records[1:], nil
	case 'c':
		return a.records[:], nil
	}
	return a.records[:1], nil
}

func (a *attacker) LookupAddr(_ context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	if err := a.fails(name); err != nil {
		return nil, err
	}
	if name.String()[0] == 'm' && a.client.Is6() == v6 {
		return []netip.Addr{a.client}, nil
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, 1})}, nil
}

func (a *attacker) LookupMX(_ context.Context, name dns.Name) ([]dns.Name, error) {
	if err := a.fails(name); err != nil {
		return nil, err
	}
	hosts := make([]dns.Name, int(name.String()[0])%13)
	for i := range hosts {
		hosts[i] = dns.MustParse(string("aeiovmt"[i%7]) + "." + string('a'+rune(i)) + ".example")
	}
	return hosts, nil
}

func (a *attacker) LookupPTR(_ context.Context, addr netip.Addr) ([]dns.Name, error) {
	a.asked.Add(1)
	var names []dns.Name
	for i := range 15 {
		names = append(names, dns.MustParse(string("vtae"[i%4])+"."+string('a'+rune(i))+".example"))
	}
	return append(names[:i4(addr)], dns.MustParse("m.a.example")), nil
}

// i4 picks a number below 15 by the address.
func i4(addr netip.Addr) int { b := addr.As16(); return int(b[15]) % 15 }

// FuzzCheck has both records, the sender and HELO from an attacker. A check
// ends, within its limits, and Prefetch changes nothing but the cost.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:b.example a mx ptr exists:%{p}.%{l}.example -all exp=b.%{d}", "v=spf1 mx:l.example redirect=a.example", "u", "h.example", "192.0.2.10")
	f.Add("v=spf1 redirect=%{l}.example", "%{c} %{r} %{t} is no friend", "b", "%{h}", "2001:db8::10")
	f.Add("v=spf1 -all exp=b.example", "%{L}%{s}%{p}", "a\r\nb", "[192.0.2.1]", "192.0.2.3")
	f.Add("v=spf1 exists:%{p}.%{p}.%{h}", "v=spf1", "", "", "::ffff:192.0.2.10")
	f.Add("v=spf1 a:v1.example a:v2.example a:t.example", "v=spf1 +all", "", "a.example", "192.0.2.9")
	f.Fuzz(func(t *testing.T, first, second, local, helo, client string) {
		ip, _ := netip.ParseAddr(client)
		req := spf.Request{IP: ip, Helo: helo, Local: local, Host: "a.example"}
		var results [2]spf.Result
		for i, prefetch := range []bool{false, true} {
			a := &attacker{records: [2]string{first, second}, client: ip.Unmap().WithZone("")}
			c := spf.Checker{Resolver: a, Receiver: "mx.example", Prefetch: prefetch}
			r := c.Check(t.Context(), req)
			results[i] = r
			// Ten terms, each with ten hosts, the client's names, and an explanation.
			if most := int64(1 + 10*11 + 11 + 1 + i*(10+10*10)); a.asked.Load() > most {
				t.Errorf("%d questions, over %d", a.asked.Load(), most)
			}
			if r.Lookups > 10 || r.Voids > 3 || len(r.Chain) > 11 || len(r.Terms) > len(r.Chain) {
				t.Errorf("beyond the limits: %+v", r)
			}
			if (r.Err != nil) != (r.Status == spf.TempError || r.Status == spf.PermError) {
				t.Errorf("%s with error %v", r.Status, r.Err)
			}
			if r.Explanation != "" && r.Status != spf.Fail || len(r.Explanation) > 200 {
				t.Errorf("%s with the explanation %q", r.Status, r.Explanation)
			}
			for _, b := range []byte(r.Explanation) {
				if b < ' ' || b > '~' {
					t.Errorf("explanation %q", r.Explanation)
				}
			}
		}
		if !reflect.DeepEqual(results[0], results[1]) {
			t.Errorf("Prefetch changes\n%+v to\n%+v", results[0], results[1])
		}
	})
}
