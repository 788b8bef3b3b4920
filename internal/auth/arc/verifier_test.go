package arc_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
)

func TestNone(t *testing.T) {
	for _, raw := range []string{plain, "\r\n", "ARC: x\r\nA: y\r\n: z\r\n\r\n", "Arc-Sealed: i=1\r\n\r\n"} {
		if r := whole(t, raw); r.Status != arc.None || r.Err != nil || r.Hops != nil {
			t.Errorf("%q: %+v", raw, r)
		}
	}
}

// TestGood seals by all means that there are, one, two and three times.
func TestGood(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(), "ed25519": edKey} {
		for _, c := range []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple", "relaxed", "simple"} {
			t.Run(name+" "+c, func(t *testing.T) {
				zone := zoneFor(key)
				for _, body := range []string{"", "\r\n", "a  b \r\n\r\n", "no line end"} {
					raw := []byte("From: a@example.com\r\nSubject:\ta\r\n  b \r\n\r\n" + body)
					for n := 1; n <= 3; n++ {
						raw = arctest.Sealer{Domain: fmt.Sprintf("d%d.example", n), Selector: "s", Key: key, C: c}.Seal(raw, results, "")
						if r := validate(t, zone, string(raw), 3, arc.Options{Now: testNow}); r.Status != arc.Pass || r.OldestPass != 0 || len(r.Hops) != n {
							t.Fatalf("body %q, %d hops: %+v", body, n, r)
						}
					}
				}
			})
		}
	}
}

func TestHops(t *testing.T) {
	raw := arctest.Seal([]byte(plain), results, "d1.example", "s", edKey, "")
	raw = arctest.Sealer{Domain: "D2.example", Selector: "S", Key: edKey, H: "to:subject", SealTags: "t=1"}.Seal(raw, "second; none", "")
	r := whole(t, string(raw))
	want := []arc.Hop{
		{
			Instance: 1, SealDomain: dns.MustParse("d1.example"), SealSelector: "s", AMSDomain: dns.MustParse("d1.example"), AMSSelector: "s",
			AMSPass: true, FromSigned: true, Results: "mx.example.net;\tdmarc=pass header.from=example.com",
		},
		{
			Instance: 2, SealDomain: dns.MustParse("d2.example"), SealSelector: "S", AMSDomain: dns.MustParse("d2.example"), AMSSelector: "S",
			AMSPass: true, Results: "second; none",
		},
	}
	if r.Status != arc.Pass || fmt.Sprintf("%+v", r.Hops) != fmt.Sprintf("%+v", want) {
		t.Errorf("%s %v\ngot  %+v\nwant %+v", r.Status, r.Err, r.Hops, want)
	}
}

// TestFaults changes one thing of a good chain, mostly of three sets.
func TestFaults(t *testing.T) {
	good, one := sealed(plain, 3), sealed(plain, 1)
	third := field(t, good, "ARC-Seal: i=3")
	cases := []struct {
		name, raw string
		want      error
		also      error // wrapped too
	}{
		{"a set is missing", strings.NewReplacer(field(t, good, "ARC-Seal: i=2"), "", field(t, good, "ARC-Message-Signature: i=2"), "", field(t, good, "ARC-Authentication-Results: i=2"), "").Replace(good), arc.ErrStructure, nil},
		{"the newest set has no results", edit(t, good, field(t, good, "ARC-Authentication-Results: i=3"), ""), arc.ErrStructure, nil},
		{"a seal alone", third + plain, arc.ErrStructure, nil},
		{"a seal twice", third + good, arc.ErrStructure, nil},
		{"the newest says fail", edit(t, good, "ARC-Seal: i=3; a=ed25519-sha256; cv=pass", "ARC-Seal: i=3; a=ed25519-sha256; cv=fail"), arc.ErrBroken, nil},
		{"an older says fail", edit(t, good, "ARC-Seal: i=2; a=ed25519-sha256; cv=pass", "ARC-Seal: i=2; a=ed25519-sha256; cv=fail"), arc.ErrStructure, nil},
		{"the second says none", edit(t, good, "ARC-Seal: i=2; a=ed25519-sha256; cv=pass", "ARC-Seal: i=2; a=ed25519-sha256; cv=none"), arc.ErrStructure, nil},
		{"the first says pass", edit(t, good, "cv=none", "cv=pass"), arc.ErrStructure, nil},
		{"letter case of cv", edit(t, good, "cv=none", "cv=None"), arc.ErrStructure, nil},
		{"no cv", edit(t, good, "cv=none; ", ""), arc.ErrStructure, nil},
		{"i=0", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: i=0"), arc.ErrStructure, nil},
		{"i=001", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: i=001"), arc.ErrStructure, nil},
		{"i=51", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: i=51"), arc.ErrLimit, nil},
		{"i=+1", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: i=+1"), arc.ErrStructure, nil},
		{"two i=", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: i=1; i=1"), arc.ErrStructure, dkim.ErrSyntax},
		{"I=", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: I=1"), arc.ErrStructure, nil},
		{"not a tag-list", edit(t, good, third, "ARC-Seal: \x00\xff\r\n"), arc.ErrStructure, dkim.ErrSyntax},
		{"an empty field", edit(t, good, third, "ARC-Seal:\r\n"), arc.ErrStructure, nil},
		{"a field without colon", edit(t, good, third, "ARC-Seal\r\n"), arc.ErrStructure, nil},
		{";;", edit(t, good, "ARC-Seal: i=1;", "ARC-Seal: i=1;;"), arc.ErrStructure, dkim.ErrSyntax},
		{"a tag that begins with a digit", edit(t, good, "ARC-Seal: i=1;", "ARC-Seal: i=1; 1=1;"), arc.ErrStructure, dkim.ErrSyntax},
		{"h= in a seal", edit(t, good, "ARC-Seal: i=1;", "ARC-Seal: i=1; h=from;"), arc.ErrSeal, dkim.ErrSyntax},
		{"SHA-1 in a seal", edit(t, good, "ARC-Seal: i=1; a=ed25519-sha256", "ARC-Seal: i=1; a=rsa-sha1"), arc.ErrSeal, dkim.ErrUnsupported},
		{"SHA-1 in the newest message signature", edit(t, good, "ARC-Message-Signature: i=3; a=ed25519-sha256", "ARC-Message-Signature: i=3; a=rsa-sha1"), arc.ErrMessageSignature, dkim.ErrUnsupported},
		{"another algorithm", edit(t, one, "ARC-Seal: i=1; a=ed25519-sha256", "ARC-Seal: i=1; a=rsa-sha256"), arc.ErrSeal, dkim.ErrKeyUnfit},
		{"the body was changed", good + "x", arc.ErrMessageSignature, dkim.ErrBodyHash},
		{"the header was changed", edit(t, good, "lunch", "dinner"), arc.ErrMessageSignature, dkim.ErrSignature},
		{"a field was added to those covered", strings.Replace(good, "\r\n\r\n", "\r\nSubject: x\r\n\r\n", 1), arc.ErrMessageSignature, dkim.ErrSignature},
		{"results were changed", edit(t, good, "i=1; mx.example.net", "i=1; mx.example.org"), arc.ErrSeal, dkim.ErrSignature},
		{"a message signature was changed", edit(t, good, "ARC-Message-Signature: i=1", "ARC-Message-Signature: x=y; i=1"), arc.ErrSeal, dkim.ErrSignature},
		{"a seal was changed", edit(t, good, "ARC-Seal: i=1", "ARC-Seal: t=1; i=1"), arc.ErrSeal, dkim.ErrSignature},
		{"another sealer", edit(t, good, "cv=none; d=d1.example", "cv=none; d=d9.example"), arc.ErrSeal, dkim.ErrSignature},
		{"no key", edit(t, one, "cv=none; d=d1.example", "cv=none; d=d1.invalid"), arc.ErrSeal, dkim.ErrNoKey},
		{"two sets have changed places", swap(good, "i=1;", "i=2;"), arc.ErrStructure, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := whole(t, c.raw)
			if r.Status != arc.Fail || !errors.Is(r.Err, c.want) || c.also != nil && !errors.Is(r.Err, c.also) {
				t.Errorf("%s: %v, want %v, %v", r.Status, r.Err, c.want, c.also)
			}
			if r.Temporary || r.OldestPass != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := whole(t, good); r.Status != arc.Pass {
		t.Errorf("the unchanged chain: %v", r.Err)
	}
}

func swap(s, a, b string) string { return strings.NewReplacer(a, b, b, a).Replace(s) }

// TestFreedoms changes a good chain of one set in ways that do not count.
func TestFreedoms(t *testing.T) {
	good := sealed(plain, 1)
	h, body := arctest.Split([]byte(good))
	cases := map[string]string{
		"order of the fields": string(h.Fields[2].Raw) + string(h.Fields[1].Raw) + string(h.Fields[0].Raw) + plain,
		"fields at the end":   "From: Joe <joe@example.com>\r\nTo: ann@example.net\r\nSubject: lunch\r\n" + string(h.Fields[0].Raw) + string(h.Fields[2].Raw) + string(h.Fields[1].Raw) + "\r\n" + string(body),
		"letter case":         edit(t, good, "ARC-Seal", "arc-SEAL"),
		"blank before colon":  edit(t, good, "ARC-Seal:", "ARC-Seal\t :"),
		"a line end in b=":    edit(t, good, "\tb=", "\tb=\r\n\t  "),
		"new fields":          "Received: x\r\nARC-Other: i=7\r\n" + good,
		"results of others":   "Authentication-Results: mx.example; arc=fail\r\n" + good,
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			if r := whole(t, raw); r.Status != arc.Pass {
				t.Errorf("%s: %v", r.Status, r.Err)
			}
		})
	}
}

// TestMessageSignature has sets whose message signature is out of the ordinary.
func TestMessageSignature(t *testing.T) {
	first := sealed(plain, 1)
	cases := []struct {
		name   string
		sealer arctest.Sealer
		want   error // nil for Pass
		from   bool
	}{
		{"usual", arctest.Sealer{}, nil, true},
		{"covers From among others", arctest.Sealer{H: "to : FROM"}, nil, true},
		{"does not cover From", arctest.Sealer{H: "to:subject"}, nil, false},
		{"covers nothing", arctest.Sealer{H: " "}, nil, false},
		{"v= is no tag of it", arctest.Sealer{MessageTags: "v=9"}, nil, true},
		{"covers results", arctest.Sealer{H: "from:arc-authentication-results"}, nil, true},
		{"covers a seal", arctest.Sealer{H: "from:Arc-Seal"}, arc.ErrMessageSignature, true},
		{"l= of the whole body", arctest.Sealer{C: "simple/simple", MessageTags: "l=25"}, nil, true},
		{"l= of a part", arctest.Sealer{MessageTags: "l=1"}, dkim.ErrBodyHash, true},
		{"expired", arctest.Sealer{MessageTags: "x=1"}, dkim.ErrExpired, true},
		{"not expired", arctest.Sealer{MessageTags: "x=9999999999"}, nil, true},
		{"t= is no number", arctest.Sealer{MessageTags: "t=now"}, dkim.ErrSyntax, true},
		{"another query", arctest.Sealer{MessageTags: "q=http/get"}, dkim.ErrUnsupported, true},
		{"t= of the seal is no number", arctest.Sealer{SealTags: "t=-1"}, dkim.ErrSyntax, true},
		{"x= is no tag of a seal", arctest.Sealer{SealTags: "x=1"}, nil, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.sealer.Domain, c.sealer.Selector, c.sealer.Key = "d2.example", "s", edKey
			r := whole(t, string(c.sealer.Seal([]byte(first), results, "")))
			if !errors.Is(r.Err, c.want) || (r.Status == arc.Pass) != (c.want == nil) {
				t.Errorf("%s: %v, want %v", r.Status, r.Err, c.want)
			}
			if len(r.Hops) != 2 || r.Hops[1].FromSigned != c.from || r.Hops[1].AMSPass != (c.want == nil) {
				t.Errorf("%+v", r.Hops)
			}
		})
	}
}

// TestPartial: a signature that is good but for l= does not verify.
func TestPartial(t *testing.T) {
	raw := arctest.Sealer{Domain: "d1.example", Selector: "s", Key: edKey, C: "simple/simple", MessageTags: "l=5"}.Seal([]byte("From: a\r\n\r\nabc\r\n"), results, "")
	if r := whole(t, string(raw)); r.Status != arc.Pass {
		t.Fatalf("before anything is added: %v", r.Err)
	}
	if r := whole(t, string(raw)+"more\r\n"); !errors.Is(r.Err, dkim.ErrPartial) {
		t.Errorf("%s: %v", r.Status, r.Err)
	}
}

func TestOldestPass(t *testing.T) {
	footed := func(raw string) string { return raw + "-- \r\nthe list\r\n" }
	expired := func(raw string) string {
		return string(arctest.Sealer{Domain: "d1.example", Selector: "s", Key: edKey, MessageTags: "x=1"}.Seal([]byte(raw), results, ""))
	}
	cases := []struct {
		name, raw string
		oldest    int
		pass      string // of the message signatures
	}{
		{"one", sealed(plain, 1), 0, "+"},
		{"all of three", sealed(plain, 3), 0, "+++"},
		{"changed after the first", sealed(footed(sealed(plain, 1)), 2), 2, "-++"},
		{"changed after the second", sealed(footed(sealed(plain, 2)), 1), 3, "--+"},
		{"the first has expired", sealed(expired(plain), 2), 2, "-++"},
		{"all of ten", sealed(plain, 10), 0, "++++++++++"},
		{"more than are tried", sealed(plain, 12), 3, "--++++++++++"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := whole(t, c.raw)
			pass := ""
			for _, h := range r.Hops {
				pass += map[bool]string{true: "+", false: "-"}[h.AMSPass]
			}
			if r.Status != arc.Pass || r.OldestPass != c.oldest || pass != c.pass {
				t.Errorf("%s (%v), oldest %d, %s; want %d, %s", r.Status, r.Err, r.OldestPass, pass, c.oldest, c.pass)
			}
		})
	}
}

// TestSealedFailure: RFC 8617 section 5.1.2. What the seal covers does not matter.
func TestSealedFailure(t *testing.T) {
	raw := arctest.Seal([]byte("Subject: x\r\n"+sealed(plain, 2)), results, "d3.example", "s", edKey, "fail")
	if r := whole(t, string(raw)); r.Status != arc.Fail || !errors.Is(r.Err, arc.ErrBroken) || len(r.Hops) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestLimits(t *testing.T) {
	fifty := sealed(plain, 50)
	if r := whole(t, fifty); r.Status != arc.Pass || r.OldestPass != 41 {
		t.Errorf("fifty sets: %s (%v), oldest %d", r.Status, r.Err, r.OldestPass)
	}
	long := strings.Repeat(" x", 300<<10)
	cases := []struct{ name, raw string }{
		{"fifty-one sets", string(arctest.Seal([]byte(fifty), results, "d1.example", "s", edKey, ""))},
		{"many fields", strings.Repeat("ARC-Seal: i=1\r\n", 100000) + plain},
		{"long fields", "ARC-Seal: i=1;" + long + "\r\n" + plain},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if r := whole(t, c.raw); r.Status != arc.Fail || !errors.Is(r.Err, arc.ErrLimit) {
				t.Errorf("%s: %v", r.Status, r.Err)
			}
		})
	}
}

func TestHeaderCut(t *testing.T) {
	for raw, want := range map[string]arc.Status{sealed(plain, 1): arc.Fail, plain: arc.None} {
		h, _ := arctest.Split([]byte(raw))
		h.Cut = true
		r := arc.NewVerifier(context.Background(), zoneFor(edKey), h, arc.Options{}).Result()
		if r.Status != want || want == arc.Fail && !errors.Is(r.Err, arc.ErrHeaderCut) {
			t.Errorf("%+v", r)
		}
	}
}

func TestKeySize(t *testing.T) {
	zone := zoneFor(rsaKey())
	raw := string(arctest.Seal([]byte(plain), results, "d1.example", "s", rsaKey(), ""))
	for o, want := range map[arc.Options]error{
		{}:                 nil,
		{MinRSABits: 2048}: nil,
		{MinRSABits: 2049}: dkim.ErrKeySize,
		{MaxRSABits: 2047}: dkim.ErrKeySize,
	} {
		if r := validate(t, zone, raw, 100, o); !errors.Is(r.Err, want) {
			t.Errorf("%+v: %v, want %v", o, r.Err, want)
		}
	}
}

// TestWithoutC: both readings of a missing c= are good.
func TestWithoutC(t *testing.T) {
	zone := zoneFor(edKey)
	for _, c := range []string{"simple/simple", "relaxed/relaxed"} {
		s := arctest.Sealer{Domain: "d1.example", Selector: "s", Key: edKey, C: c, NoC: true}
		raw := string(s.Seal([]byte(plain), results, ""))
		if strings.Contains(raw, "c=simple") || strings.Contains(raw, "c=relaxed") {
			t.Fatal(raw)
		}
		if r := validate(t, zone, raw, 1, arc.Options{Now: testNow}); r.Status != arc.Pass || !r.Hops[0].AMSPass {
			t.Errorf("%s: %v", c, r.Err)
		}
		if r := validate(t, zone, raw+"x", 1, arc.Options{Now: testNow}); r.Status != arc.Fail {
			t.Errorf("%s, changed: %v", c, r.Status)
		}
	}
}

func TestComment(t *testing.T) {
	none := netip.Addr{}
	three := whole(t, sealed(plain, 3))
	const want = "arc=pass as[3].d=d3.example as[3].s=s as[2].d=d2.example as[2].s=s as[1].d=d1.example as[1].s=s"
	if got := three.Comment(none); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for addr, text := range map[string]string{"2001:DB8::1A": "2001:db8::1a", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1"} {
		if got := three.Comment(netip.MustParseAddr(addr)); got != want+" remote-ip[1]="+text {
			t.Errorf("%s", got)
		}
	}
	if got := whole(t, plain).Comment(none); got != "arc=none" {
		t.Errorf("%s", got)
	}
	faulty := whole(t, edit(t, sealed(plain, 2), "cv=none; d=d1.example", "cv=none; d=<x>"))
	if got := faulty.Comment(none); got != "arc=fail as[2].d=d2.example as[2].s=s" {
		t.Errorf("%s", got)
	}
	if got := whole(t, sealed(plain, 12)).Comment(none); strings.Contains(got, "as[2]") || !strings.Contains(got, "as[3].d=d3.example") {
		t.Errorf("%s", got)
	}
}
