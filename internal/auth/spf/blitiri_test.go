package spf_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	blitiri "blitiri.com.ar/go/spf"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/auth/spf/spftest"
	"dmarcd/internal/dns"
)

// blitiriDiffers is how many tests of the suite another implementation ends
// with another status than ours. Where it does, ours is what the suite wants
// (TestSuite): it does not look for errors behind a match, does not check the
// form of a domain-spec, and takes %{p} for "unknown". A new number here is a
// change of one of the two that wants a look.
const blitiriDiffers = 30

func TestBlitiri(t *testing.T) {
	differs, ran := 0, 0
	for _, suite := range loadSuite(t, spftest.RFC7208) {
		c := checker(t, suite.Zone)
		for _, test := range suite.Tests {
			ran++
			theirs, err := blitiri.CheckHostWithSender(net.ParseIP(test.Host), test.Helo, test.MailFrom,
				blitiri.WithResolver(netResolver{c.Resolver}), blitiri.WithContext(t.Context()))
			ours := c.Check(t.Context(), request(test))
			if string(theirs) != string(ours.Status) {
				differs++
				t.Logf("%s: %s (%v), ours %s (%v), the suite %v", test.Name, theirs, err, ours.Status, ours.Err, test.Results)
			}
		}
	}
	if ran != suiteSize || differs != blitiriDiffers {
		t.Errorf("%d of %d differ, want %d of %d", differs, ran, blitiriDiffers, suiteSize)
	}
}

// netResolver puts our resolver in the shape of net.Resolver.
type netResolver struct{ r spf.Resolver }

func netError(err error) error {
	if err == nil {
		return nil
	}
	return &net.DNSError{Err: err.Error(), IsNotFound: dns.IsNone(err), IsTemporary: errors.Is(err, dns.ErrTemporary)}
}

func (n netResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	q, err := dns.ParseQuery(name)
	if err != nil {
		return nil, netError(dns.ErrNXDomain)
	}
	txts, err := n.r.LookupTXT(ctx, q)
	return txts, netError(err)
}

func (n netResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	q, err := dns.ParseQuery(name)
	if err != nil {
		return nil, netError(dns.ErrNXDomain)
	}
	hosts, err := n.r.LookupMX(ctx, q)
	var out []*net.MX
	for _, h := range hosts {
		out = append(out, &net.MX{Host: h.String() + "."})
	}
	return out, netError(err)
}

func (n netResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	q, err := dns.ParseQuery(name)
	if err != nil {
		return nil, netError(dns.ErrNXDomain)
	}
	var out []net.IPAddr
	for _, v6 := range []bool{false, true} {
		addrs, addrErr := n.r.LookupAddr(ctx, q, v6)
		for _, a := range addrs {
			out = append(out, net.IPAddr{IP: a.AsSlice()})
		}
		err = addrErr
	}
	if out != nil {
		return out, nil
	}
	return nil, netError(err)
}

func (n netResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, netError(dns.ErrNXDomain)
	}
	hosts, err := n.r.LookupPTR(ctx, ip.Unmap())
	var out []string
	for _, h := range hosts {
		out = append(out, h.String()+".")
	}
	return out, netError(err)
}
