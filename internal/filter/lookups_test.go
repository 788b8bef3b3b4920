package filter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/memory"
)

// TestLookupsAreNoted asks from many goroutines, more than is kept, and once more
// after the end.
func TestLookupsAreNoted(t *testing.T) {
	zone := dnstest.MustZone("a.example TXT x\na.example A 192.0.2.1\na.example MX 10 a.example.\n1.2.0.192.in-addr.arpa PTR a.example.\n")
	l := lookups{resolver: zone}
	name := dns.MustParse("a.example")
	const rounds = 100
	var wg sync.WaitGroup
	for range rounds {
		wg.Go(func() {
			ctx := t.Context()
			_, err1 := l.LookupTXT(ctx, name)
			_, err2 := l.LookupAddr(ctx, name, false)
			_, err3 := l.LookupMX(ctx, name)
			_, err4 := l.LookupPTR(ctx, netip.MustParseAddr("192.0.2.1"))
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				t.Error(err)
			}
			if _, err := l.LookupAddr(ctx, name, true); !errors.Is(err, dns.ErrNoData) {
				t.Error(err)
			}
			if _, _, ok := l.Cached(name); ok {
				t.Error("known, although the resolver knows nothing by heart")
			}
		})
	}
	wg.Wait()
	done, cut := l.close()
	if len(done) != memory.MaxAnswers || !cut || len(l.asked) != 5 {
		t.Errorf("%d noted, cut: %v, %d counted", len(done), cut, len(l.asked))
	}
	seen := map[string]bool{}
	for i := range done {
		seen[done[i].kind.String()+" "+done[i].question()+" "+done[i].failure()] = true
	}
	for _, want := range []string{"TXT a.example ", "A a.example ", "AAAA a.example nodata", "MX a.example ", "PTR 1.2.0.192.in-addr.arpa "} {
		if !seen[want] {
			t.Errorf("%q is missing in %v", want, seen)
		}
	}

	l = lookups{resolver: zone}
	release, asked := zone.Hold(name, ""), zone.Queries(name, "TXT")
	late := make(chan error)
	go func() {
		_, err := l.LookupTXT(t.Context(), name)
		late <- err
	}()
	if err := zone.Await(t.Context(), name, "TXT", asked+1); err != nil {
		t.Fatal(err)
	}
	if done, cut := l.close(); len(done) != 0 || cut {
		t.Errorf("noted before it ended: %v", done)
	}
	release()
	if err := <-late; err != nil {
		t.Error(err)
	}
	if len(l.done) != 0 {
		t.Errorf("noted after the end: %v", l.done)
	}
}

// known is a resolver that knows one name by heart.
type known struct{ *dnstest.Zone }

func (known) Cached(name dns.Name) ([]string, error, bool) {
	return []string{"x"}, nil, name == dns.MustParse("a.example")
}

func TestKnownAnswersAreNoted(t *testing.T) {
	r := known{dnstest.MustZone("")}
	l := lookups{resolver: r, cache: r}
	l.Cached(dns.MustParse("a.example"))
	l.Cached(dns.MustParse("b.example"))
	if done, _ := l.close(); len(done) != 1 || done[0].question() != "a.example" || done[0].took != 0 {
		t.Errorf("noted: %+v", done)
	}
}

func TestFailureWords(t *testing.T) {
	name := dns.MustParse("a.example")
	temporary := func(why error) error { return &dns.Error{Name: name, Type: "TXT", Err: why} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{dns.ErrNXDomain, "nxdomain"},
		{temporary(dns.ErrNXDomain), "nxdomain"},
		{dns.ErrNoData, "nodata"},
		{nil, "nodata"},
		{dns.ErrTemporary, "temporary"},
		{temporary(fmt.Errorf("%w: servfail", dns.ErrTemporary)), "temporary: servfail"},
		{context.DeadlineExceeded, "temporary: context deadline exceeded"},
		{fmt.Errorf("a\x01b"), "temporary: a?b"},
	} {
		l := lookup{err: c.err}
		if got := l.failure(); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.10":        "10.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.10": "10.2.0.192.in-addr.arpa",
		"2001:db8::10":      "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := reverse(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := reverse(netip.Addr{}); got != "" {
		t.Errorf("no address: %q", got)
	}
}

func TestEscaped(t *testing.T) {
	for in, want := range map[string]string{"": "", "v=spf1 -all": "v=spf1 -all", "a\\b\"c": `a\\b"c`, "\x00\x7f\xff é": `\000\127\255 \195\169`} {
		if got := escaped(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// BenchmarkNote is what the noting of one lookup costs beside the lookup.
func BenchmarkNote(b *testing.B) {
	name := dns.MustParse("a.example")
	texts := []string{"x"}
	b.ReportAllocs()
	for b.Loop() {
		l := lookups{}
		for range usual {
			began := time.Now()
			l.note(lookup{name: name, took: time.Since(began), texts: texts})
		}
	}
}

// TestQueriesForTheAuthor are answered, whatever else a message asks for.
func TestQueriesForTheAuthor(t *testing.T) {
	zone := dnstest.MustZone("_dmarc.a.b.example TXT x\n_dmarc.example TXT x\na.b.example A 192.0.2.1\nother.example TXT x\n_dmarc.other.example TXT x\n")
	l := lookups{resolver: zone}
	l.reserve(dns.MustParse("a.b.example"))
	for i := range maxQueries {
		_, err := l.LookupTXT(t.Context(), dns.MustParse(fmt.Sprintf("n%d.other.example", i)))
		if over := i >= maxQueries-authorQueries; errors.Is(err, dns.ErrQueryLimit) != over {
			t.Errorf("question %d: %v", i, err)
		}
	}
	for name, want := range map[string]error{
		"_dmarc.a.b.example": nil, "_dmarc.example": nil, "_dmarc.b.example": dns.ErrNXDomain,
		"other.example": dns.ErrQueryLimit, "_dmarc.other.example": dns.ErrQueryLimit, "_dmarc.c.a.b.example": dns.ErrQueryLimit,
	} {
		if _, err := l.LookupTXT(t.Context(), dns.MustParse(name)); !errors.Is(err, want) {
			t.Errorf("TXT %s: %v, want %v", name, err, want)
		}
	}
	if _, err := l.LookupAddr(t.Context(), dns.MustParse("a.b.example"), false); err != nil {
		t.Error(err)
	}
	if _, err := l.LookupTXT(t.Context(), dns.MustParse("n0.other.example")); errors.Is(err, dns.ErrQueryLimit) {
		t.Errorf("a question that was asked before: %v", err)
	}
}
