package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

const simpleZone = `
_dmarc.example.com TXT "v=DMARC1; p=reject"
example.com A 192.0.2.1
`

func name(s string) dns.Name { return dns.MustParse(s) }

func passed(m Method, domain string) Identifier {
	return Identifier{Method: m, Domain: name(domain), State: Passed}
}

// within10s bounds a test that would hang if it failed.
func within10s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestBeginAsksAllAtOnce(t *testing.T) {
	zone, ctx := dnstest.MustZone(simpleZone), within10s(t)
	all := []string{
		"a.b.c.d.e.f.g.example.com", "c.d.e.f.g.example.com", "d.e.f.g.example.com", "e.f.g.example.com",
		"f.g.example.com", "g.example.com", "example.com", "com", // the walk of the author
		"x.bounce.example.com", "bounce.example.com", // what a candidate adds
	}
	var release []func()
	for _, n := range all {
		release = append(release, zone.Hold(name("_dmarc."+n), "TXT"))
	}
	d := (&Discoverer{Resolver: zone}).Begin(ctx, name(all[0]),
		name("x.bounce.example.com"), name("other.com"), name("other.net"), dns.Name{}, name(all[0]))
	defer d.Close()
	for _, n := range all {
		if err := zone.Await(ctx, name("_dmarc."+n), "TXT", 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range release {
		r()
	}
	r := d.Evaluate([]Identifier{passed(SPF, "x.bounce.example.com"), passed(DKIM, "other.com")})
	if r.Status != Pass || !r.SPFAligned || r.DKIMAligned {
		t.Errorf("got %+v", r)
	}
	if got := len(zone.Asked()); got != len(all) {
		t.Errorf("asked %q, want %d names", zone.Asked(), len(all))
	}
}

func TestExistenceIsAskedBeforeEvaluate(t *testing.T) {
	zone, ctx := dnstest.MustZone(`_dmarc.example.com TXT "v=DMARC1; p=none; np=reject"`), within10s(t)
	d := (&Discoverer{Resolver: zone}).Begin(ctx, name("nx.example.com"))
	defer d.Close()
	if err := zone.Await(ctx, name("nx.example.com"), "TXT", 1); err != nil {
		t.Fatal(err)
	}
	if r := d.Evaluate(nil); r.Policy != PolicyReject || !r.NonExistent {
		t.Errorf("got %+v", r)
	}
}

func TestEvaluateWaitsOnlyForWhatItNeeds(t *testing.T) {
	const needsRest = `_dmarc.example.com TXT "v=DMARC1; p=reject; adkim=s"`
	cases := []struct {
		name string
		ids  []Identifier
		held string
		want Status
	}{
		{"identical names", []Identifier{passed(DKIM, "example.com")}, "com", Pass},
		{"strict mode", []Identifier{passed(DKIM, "m.example.com")}, "com", Fail},
		{"another top-level domain", []Identifier{passed(SPF, "example.net")}, "com", Fail},
		{"no identifier", nil, "com", Fail},
		{"the walk of an identifier that cannot align", []Identifier{passed(SPF, "a.example.org")}, "a.example.org", Fail},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			zone, ctx := dnstest.MustZone(needsRest), within10s(t)
			defer zone.Hold(name("_dmarc."+c.held), "TXT")()
			d := (&Discoverer{Resolver: zone}).Begin(ctx, name("example.com"), domains(c.ids)...)
			defer d.Close()
			r := d.Evaluate(c.ids)
			if r.Status != c.want || r.Err != nil || ctx.Err() != nil {
				t.Errorf("got %s, %v, want %s", r.Status, r.Err, c.want)
			}
			if c.held == "com" && (!r.OrgDomain.IsZero() || len(r.Walk) != 1) {
				t.Errorf("org %s, walk %v of look-ups that are under way", r.OrgDomain, r.Walk)
			}
		})
	}
}

func TestWaitMakesTheWalkWhole(t *testing.T) {
	zone, ctx := dnstest.MustZone(simpleZone), within10s(t)
	release := zone.Hold(name("_dmarc.com"), "TXT")
	d := (&Discoverer{Resolver: zone}).Begin(ctx, name("example.com"))
	defer d.Close()
	if r := d.Evaluate(nil); len(r.Walk) != 1 {
		t.Errorf("walk %v while a look-up is held", r.Walk)
	}
	release()
	d.Wait()
	if r := d.Evaluate(nil); len(r.Walk) != 2 || r.OrgDomain != name("example.com") {
		t.Errorf("org %s, walk %v", r.OrgDomain, r.Walk)
	}
}

func TestOwnErrorIsFinal(t *testing.T) {
	zone, ctx := dnstest.MustZone(`_dmarc.example.com FAULT servfail`), within10s(t)
	defer zone.Hold(name("_dmarc.com"), "TXT")()
	d := (&Discoverer{Resolver: zone}).Begin(ctx, name("example.com"))
	defer d.Close()
	r := d.Evaluate([]Identifier{passed(SPF, "m.example.com"), passed(DKIM, "other.net")})
	if r.Status != TempError || !errors.Is(r.Err, dns.ErrTemporary) || ctx.Err() != nil {
		t.Errorf("got %+v", r)
	}
	if r.Alignments[0] != AlignmentUnknown || r.Alignments[1] != Unaligned {
		t.Errorf("alignments %v", r.Alignments)
	}
}

func TestContextEnds(t *testing.T) {
	zone := dnstest.MustZone(simpleZone)
	defer zone.Hold(name("_dmarc.com"), "TXT")()
	ctx, cancel := context.WithCancel(context.Background())
	d := (&Discoverer{Resolver: zone}).Begin(ctx, name("example.com"))
	d.wait(&d.answers[0])
	cancel()
	if r := d.Evaluate([]Identifier{passed(DKIM, "example.com")}); r.Status != Pass {
		t.Errorf("what has arrived in time does not count: %s, %v", r.Status, r.Err)
	}
	r := d.Evaluate([]Identifier{passed(DKIM, "other.com")})
	if r.Status != TempError || !errors.Is(r.Err, dns.ErrTemporary) {
		t.Errorf("got %s, %v, want %s", r.Status, r.Err, TempError)
	}
	d.Close()
}

// deafResolver answers nothing, not even when its context ends, until it is let go.
type deafResolver struct{ letGo chan struct{} }

func (r deafResolver) LookupTXT(context.Context, dns.Name) ([]string, error) {
	<-r.letGo
	return nil, dns.ErrNoData
}

func TestEvaluateDoesNotOutliveContext(t *testing.T) {
	r := deafResolver{make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	d := (&Discoverer{Resolver: r}).Begin(ctx, name("example.com"))
	cancel()
	got := d.Evaluate(nil)
	if got.Status != TempError || !errors.Is(got.Err, context.Canceled) || !errors.Is(got.Err, dns.ErrTemporary) {
		t.Errorf("got %s, %v", got.Status, got.Err)
	}
	if e := (*dns.Error)(nil); !errors.As(got.Err, &e) || e.Name != name("_dmarc.example.com") {
		t.Errorf("error %v does not name the look-up", got.Err)
	}
	close(r.letGo)
	d.Close()
}

// busyResolver counts the look-ups under way.
type busyResolver struct {
	now, most, all atomic.Int32
	full           chan struct{} // closed when maxParallel are under way
	once           sync.Once
}

func (r *busyResolver) LookupTXT(ctx context.Context, _ dns.Name) ([]string, error) {
	n := r.now.Add(1)
	defer r.now.Add(-1)
	r.all.Add(1)
	for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
	}
	if n == maxParallel {
		r.once.Do(func() { close(r.full) })
	}
	select {
	case <-ctx.Done():
	case <-r.full:
	}
	return nil, dns.ErrNXDomain
}

func TestBounds(t *testing.T) {
	var ids []Identifier
	for i := range 3 * maxIdentifiers {
		ids = append(ids, passed(DKIM, fmt.Sprintf("a.b.c.d%d.example.com", i)))
	}
	t.Run("look-ups under way", func(t *testing.T) {
		r := &busyResolver{full: make(chan struct{})}
		d := (&Discoverer{Resolver: r}).Begin(within10s(t), name("example.com"), domains(ids)...)
		d.Evaluate(ids)
		d.Close()
		if most := r.most.Load(); most != maxParallel {
			t.Errorf("%d look-ups at once, want %d", most, maxParallel)
		}
		if all, most := r.all.Load(), int32(2+maxOtherNames); all > most {
			t.Errorf("%d look-ups in all, want %d at most", all, most)
		}
		if r.now.Load() != 0 {
			t.Error("look-ups under way after Close")
		}
	})
	t.Run("identifiers", func(t *testing.T) {
		d := (&Discoverer{Resolver: dnstest.MustZone(simpleZone)}).Begin(within10s(t), name("example.com"))
		defer d.Close()
		last := Identifier{Method: SPF, Domain: name("last.example.com"), State: Undecided}
		for i := range ids {
			ids[i].State = NotPassed
		}
		r := d.Evaluate(append(ids, last))
		for i, a := range r.Alignments {
			if want := i < maxOtherNames/4; want != (a == Aligned) {
				t.Errorf("identifier %d is %s", i, a)
			}
		}
		if r.Status != Fail {
			t.Errorf("an identifier beyond the limit makes the result %s", r.Status)
		}
	})
}

// TestQueryLimit: an identifier whose walk the resolver cuts off does not align, and
// that is no trouble of DNS. The author's walk is not to be cut off.
func TestQueryLimit(t *testing.T) {
	const zone = simpleZone
	for _, c := range []struct {
		cut    string
		status Status
		want   Alignment
	}{
		{"", Pass, Aligned},
		{"_dmarc.sub.example.com", Fail, Unaligned},
		{"_dmarc.example.com", TempError, AlignmentUnknown},
	} {
		r := cutResolver{Resolver: dnstest.MustZone(zone), name: c.cut}
		d := (&Discoverer{Resolver: r}).Begin(within10s(t), name("example.com"))
		got := d.Evaluate([]Identifier{passed(DKIM, "sub.example.com")})
		d.Close()
		if got.Status != c.status || got.Alignments[0] != c.want {
			t.Errorf("cut off at %q: %s, %s, %v; want %s, %s", c.cut, got.Status, got.Alignments[0], got.Err, c.status, c.want)
		}
	}
}

// cutResolver does not ask for one name.
type cutResolver struct {
	Resolver
	name string
}

func (r cutResolver) LookupTXT(ctx context.Context, n dns.Name) ([]string, error) {
	if n.String() == r.name {
		return nil, &dns.Error{Name: n, Type: "TXT", Err: dns.ErrQueryLimit}
	}
	return r.Resolver.LookupTXT(ctx, n)
}

// lameResolver panics.
type lameResolver struct{}

func (lameResolver) LookupTXT(context.Context, dns.Name) ([]string, error) { panic("lame") }

func TestPanicReachesTheCaller(t *testing.T) {
	d := (&Discoverer{Resolver: lameResolver{}}).Begin(within10s(t), name("example.com"))
	defer d.Close()
	defer func() {
		if r := fmt.Sprint(recover()); !strings.HasPrefix(r, "lame") || !strings.Contains(r, "LookupTXT") {
			t.Errorf("recovered %q, want the panic and its stack", r)
		}
	}()
	d.Evaluate(nil)
}

func TestEvaluateAgain(t *testing.T) {
	zone := dnstest.MustZone(simpleZone)
	d := (&Discoverer{Resolver: zone}).Begin(within10s(t), name("example.com"))
	defer d.Close()
	for _, c := range []struct {
		id   Identifier
		want Status
	}{
		{passed(SPF, "a.example.com"), Pass},
		{Identifier{Method: SPF, Domain: name("a.example.com")}, Fail},
		{Identifier{Method: DKIM, Domain: name("a.example.com"), State: Undecided}, TempError},
		{passed(DKIM, "b.example.com"), Pass},
	} {
		if r := d.Evaluate([]Identifier{c.id}); r.Status != c.want {
			t.Errorf("%+v: got %s, want %s", c.id, r.Status, c.want)
		}
	}
	if n := zone.Queries(dns.Name{}, ""); n != 4 {
		t.Errorf("%d queries, want 4: %q", n, zone.Asked())
	}
}

func TestEmptyAnswerIsNone(t *testing.T) {
	d := (&Discoverer{Resolver: emptyResolver{}}).Begin(within10s(t), name("example.com"))
	defer d.Close()
	if r := d.Evaluate(nil); r.Status != None || r.Err != nil {
		t.Errorf("got %s, %v", r.Status, r.Err)
	}
}

type emptyResolver struct{}

func (emptyResolver) LookupTXT(context.Context, dns.Name) ([]string, error) { return nil, nil }

func TestNoAuthor(t *testing.T) {
	why := errors.New("several")
	if r := NoAuthor(why); r.Status != PermError || !errors.Is(r.Err, why) || !errors.Is(r.Err, ErrNoAuthor) {
		t.Errorf("got %+v", r)
	}
	if r := NoAuthor(nil); r.Status != PermError || !errors.Is(r.Err, ErrNoAuthor) {
		t.Errorf("got %+v", r)
	}
	d := (&Discoverer{Resolver: lameResolver{}}).Begin(context.Background(), dns.Name{}, name("example.com"))
	defer d.Close()
	if r := d.Evaluate([]Identifier{passed(SPF, "example.com")}); r.Status != PermError {
		t.Errorf("got %+v", r)
	}
}

func TestListOrg(t *testing.T) {
	for in, want := range map[string]string{
		"a.b.example.com": "example.com",
		"example.com":     "example.com",
		"com":             "com",
		"example.co.uk":   "example.co.uk",
		"x.example.co.uk": "example.co.uk",
		"co.uk":           "co.uk",
		"a.b.unlisted":    "b.unlisted",
		"x.y.ck":          "x.y.ck",
		"www.ck":          "www.ck",
	} {
		if got := ListOrg(name(in)).String(); got != want {
			t.Errorf("ListOrg(%s) = %s, want %s", in, got, want)
		}
	}
}

// fixed answers from a map at once, as a warm cache does.
type fixed map[string][]string

func (f fixed) LookupTXT(_ context.Context, n dns.Name) ([]string, error) {
	if texts, ok := f[n.String()]; ok {
		return texts, nil
	}
	return nil, dns.ErrNXDomain
}

type warm struct{ fixed }

func (w warm) Cached(n dns.Name) ([]string, error, bool) {
	texts, err := w.LookupTXT(context.Background(), n)
	return texts, err, true
}

func BenchmarkEvaluate(b *testing.B) {
	records := fixed{"_dmarc.example.com": {
		"v=DMARC1; p=reject; sp=quarantine; pct=100; adkim=r; aspf=r; fo=1; rua=mailto:dmarc@example.com,mailto:reports@provider.example; ruf=mailto:dmarc@example.com"}}
	cases := []struct {
		name, author string
		ids          []Identifier
	}{
		{"own", "example.com", []Identifier{passed(SPF, "example.com"), passed(DKIM, "example.com")}},
		{"bounce", "example.com", []Identifier{passed(SPF, "bounce.example.com"), passed(DKIM, "example.com"), passed(DKIM, "provider.example")}},
		{"deep", "news.mail.example.com", []Identifier{passed(SPF, "a.bounce.example.com"), passed(DKIM, "example.com")}},
	}
	for _, c := range cases {
		for how, r := range map[string]Resolver{"warm": warm{records}, "goroutines": records} {
			b.Run(c.name+"/"+how, func(b *testing.B) {
				d := &Discoverer{Resolver: r}
				author, ctx := name(c.author), context.Background()
				candidates := domains(c.ids)
				b.ReportAllocs()
				for b.Loop() {
					s := d.Begin(ctx, author, candidates...)
					if res := s.Evaluate(c.ids); res.Status != Pass {
						b.Fatal(res.Status)
					}
					s.Close()
				}
			})
		}
	}
}
