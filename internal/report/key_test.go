package report

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fullRow has every part of a row.
func fullRow() Row {
	return Row{
		SourceIP:    netip.MustParseAddr("192.0.2.10"),
		Count:       2,
		Disposition: DispositionQuarantine,
		DKIM:        DMARCFail,
		SPF:         DMARCPass,
		Reasons:     []Reason{{Type: ReasonLocalPolicy, Comment: "held & marked"}, {Type: ReasonOther}},
		HeaderFrom:  "example.com",
		EnvelopeTo:  "customer.example",
		NullSender:  true,
		AuthDKIM: []DKIMResult{
			{Domain: "list.example", Selector: "s1", Result: ResultPass},
			{Domain: "example.com", Selector: "s2", Result: ResultFail, HumanResult: "body hash did not match"},
		},
		AuthSPF: &SPFResult{Domain: "example.com", Scope: ScopeMFrom, Result: ResultSoftfail, HumanResult: "~all"},
	}
}

func TestKeyRoundTrip(t *testing.T) {
	many := fullRow()
	for i := range 30 {
		many.AuthDKIM = append(many.AuthDKIM, DKIMResult{Domain: "d" + strings.Repeat("x", i) + ".example", Selector: "s1", Result: ResultTemperror})
	}
	v6 := fullRow()
	v6.SourceIP = netip.MustParseAddr("2001:db8::1")
	for name, row := range map[string]Row{
		"empty":   {},
		"full":    fullRow(),
		"IPv6":    v6,
		"many":    many,
		"minimal": {SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: DispositionNone, DKIM: DMARCPass, SPF: DMARCPass, HeaderFrom: "example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKey(row.AppendKey(nil))
			if err != nil {
				t.Fatal(err)
			}
			row.Count = 0
			if !reflect.DeepEqual(got, row) {
				t.Errorf("read back\n %+v, want\n %+v", got, row)
			}
		})
	}
}

// TestKeyTellsRowsApart changes one part at a time.
func TestKeyTellsRowsApart(t *testing.T) {
	changes := map[string]func(*Row){
		"nothing":       func(*Row) {},
		"source":        func(r *Row) { r.SourceIP = netip.MustParseAddr("192.0.2.11") },
		"disposition":   func(r *Row) { r.Disposition = DispositionNone },
		"DKIM":          func(r *Row) { r.DKIM = DMARCPass },
		"SPF":           func(r *Row) { r.SPF = DMARCFail },
		"header from":   func(r *Row) { r.HeaderFrom = "a.example.com" },
		"envelope from": func(r *Row) { r.EnvelopeFrom, r.NullSender = "example.com", false },
		"null sender":   func(r *Row) { r.NullSender = false },
		"envelope to":   func(r *Row) { r.EnvelopeTo = "" },
		"reason type":   func(r *Row) { r.Reasons[0].Type = ReasonMailingList },
		"comment":       func(r *Row) { r.Reasons[1].Comment = "x" },
		"reasons":       func(r *Row) { r.Reasons = r.Reasons[:1] },
		"domain":        func(r *Row) { r.AuthDKIM[0].Domain = "lists.example" },
		"selector":      func(r *Row) { r.AuthDKIM[0].Selector = "list.example" },
		"DKIM result":   func(r *Row) { r.AuthDKIM[0].Result = ResultNeutral },
		"signatures":    func(r *Row) { r.AuthDKIM = r.AuthDKIM[:1] },
		"no SPF":        func(r *Row) { r.AuthSPF = nil },
		"empty SPF":     func(r *Row) { r.AuthSPF = &SPFResult{} },
		"SPF scope":     func(r *Row) { r.AuthSPF.Scope = "" },
		"SPF human":     func(r *Row) { r.AuthSPF.HumanResult = "" },
	}
	seen := map[string]string{}
	for name, change := range changes {
		row := fullRow()
		change(&row)
		key := string(row.AppendKey(nil))
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q give one key", name, other)
		}
		seen[key] = name
	}
}

func TestKeyOfEquals(t *testing.T) {
	a, b := fullRow(), fullRow()
	b.Count = 77
	b.SourceIP = netip.MustParseAddr("::ffff:192.0.2.10")
	b.HeaderFrom = " example.com\r\n"
	b.Reasons[0].Comment = "held\x00& marked"
	b.AuthDKIM = slices.Clone(b.AuthDKIM)
	if !bytes.Equal(a.AppendKey(nil), b.AppendKey(nil)) {
		t.Error("rows that print the same have two keys")
	}
	prefix := []byte("prefix")
	if got := a.AppendKey(prefix); !bytes.Equal(got[len(prefix):], a.AppendKey(nil)) || !bytes.HasPrefix(got, prefix) {
		t.Error("AppendKey depends on what it appends to")
	}
}

// TestKeyBounded takes a row of hostile size: its key stays readable.
func TestKeyBounded(t *testing.T) {
	long := strings.Repeat("\u00e4\xff<", 5000)
	row := Row{HeaderFrom: long, EnvelopeFrom: long, EnvelopeTo: long, AuthSPF: &SPFResult{Domain: long, HumanResult: long, Scope: "nonsense"}, DKIM: "maybe"}
	for i := range 500 {
		row.AuthDKIM = append(row.AuthDKIM, DKIMResult{Domain: strings.Repeat("d", i) + long, Selector: long[i:], HumanResult: long[2*i:]})
		row.Reasons = append(row.Reasons, Reason{Comment: long[3*i:]})
	}
	key := row.AppendKey(nil)
	if len(key) > maxKey {
		t.Fatalf("a key of %d octets", len(key))
	}
	got, err := ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.AuthDKIM) != MaxDKIM || len(got.Reasons) != maxReasons {
		t.Errorf("%d signatures, %d reasons", len(got.AuthDKIM), len(got.Reasons))
	}
}

func TestParseKeyRefuses(t *testing.T) {
	row := fullRow()
	key := row.AppendKey(nil)
	for i := range key {
		if _, err := ParseKey(key[:i]); !errors.Is(err, ErrBadKey) {
			t.Errorf("the first %d octets: %v", i, err)
		}
	}
	if _, err := ParseKey(append(slices.Clone(key), 0)); !errors.Is(err, ErrBadKey) {
		t.Error("an octet too many is taken")
	}
	next := slices.Clone(key)
	next[0]++
	if _, err := ParseKey(next); !errors.Is(err, ErrBadKey) {
		t.Error("another version is taken")
	}
}

func FuzzParseKey(f *testing.F) {
	row := fullRow()
	f.Add(row.AppendKey(nil))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r := randomRow(rng)
		f.Add(r.AppendKey(nil))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		r, err := ParseKey(key)
		if err != nil {
			return
		}
		if again := r.AppendKey(nil); !bytes.Equal(again, key) {
			t.Errorf("%x read and made again is %x", key, again)
		}
	})
}

func BenchmarkAppendKey(b *testing.B) {
	row := fullRow()
	var room [1024]byte
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = len(row.AppendKey(room[:0]))
	}
	b.ReportMetric(float64(n), "octets/key")
}

func BenchmarkParseKey(b *testing.B) {
	row := fullRow()
	key := row.AppendKey(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseKey(key); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRankDKIM(t *testing.T) {
	results := []DKIMResult{
		{Domain: "a.example", Result: ResultFail},
		{Domain: "other.example", Result: ResultPass, Selector: "1"},
		{Domain: "sub.example.com", Result: ResultPass},
		{Domain: "other.example", Result: ResultPass, Selector: "2"},
		{Domain: "example.com", Result: ResultTemperror},
		{Domain: "example.com", Result: ResultPass},
	}
	got := RankDKIM(results, func(d string) Aligned {
		switch d {
		case "example.com":
			return StrictAligned
		case "sub.example.com":
			return RelaxedAligned
		}
		return NotAligned
	})
	want := "example.com sub.example.com other.example1 other.example2 a.example example.com"
	var words []string
	for _, r := range got {
		words = append(words, r.Domain+r.Selector)
	}
	if s := strings.Join(words, " "); s != want {
		t.Errorf("order is %s, want %s", s, want)
	}
	many := make([]DKIMResult, 300)
	many[299].Result = ResultPass
	if got := RankDKIM(many, nil); len(got) != MaxDKIM || got[0].Result != ResultPass {
		t.Errorf("%d results, the first %q", len(got), got[0].Result)
	}
}
