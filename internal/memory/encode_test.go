package memory

import (
	"errors"
	"reflect"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
)

// encode is the encoding, which never fails.
func encode(t testing.TB, r *Record) []byte {
	t.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRecordSurvives encodes random records and reads them back.
func TestRecordSurvives(t *testing.T) {
	d := newDice(1)
	for i := range 5000 {
		r := d.record()
		b := encode(t, r)
		got, err := DecodeRecord(b)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if again := encode(t, got); string(again) != string(b) {
			t.Fatalf("record %d: encoded anew it differs", i)
		}
		asReported(r)
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("record %d:\n got %+v\nwant %+v", i, got, r)
		}
	}
}

// asReported turns the errors of a record into what they are once they are read.
func asReported(r *Record) {
	turn := func(err *error) {
		w := writer{}
		w.error(*err)
		in := reader{s: string(w.b)}
		*err = in.error()
	}
	v := &r.Verdict
	for _, err := range []*error{&v.SPF.Err, &v.DMARC.Err, &v.ARC.Err} {
		turn(err)
	}
	for i := range v.DKIM {
		turn(&v.DKIM[i].Err)
	}
	for i := range v.DMARC.Walk {
		turn(&v.DMARC.Walk[i].Err)
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	r := &Record{Outcomes: []Outcome{{}}}
	r.Verdict.DKIM = []dkim.Result{{Err: errors.Join(dkim.ErrKeyLookup, &dns.Error{Type: "TXT", Err: dns.ErrTemporary})}}
	got, err := DecodeRecord(encode(t, r))
	if err != nil {
		t.Fatal(err)
	}
	e := got.Verdict.DKIM[0].Err
	if !errors.Is(e, dkim.ErrKeyLookup) || !errors.Is(e, dns.ErrTemporary) || errors.Is(e, dkim.ErrLimit) {
		t.Errorf("read back as %#v", e)
	}
}

// TestEveryPrefixIsRefused cuts a record off at every octet.
func TestEveryPrefixIsRefused(t *testing.T) {
	b := encode(t, newDice(3).record())
	for n := range b {
		if _, err := DecodeRecord(b[:n]); !errors.Is(err, ErrEncoding) {
			t.Fatalf("cut at %d of %d: %v", n, len(b), err)
		}
	}
	if _, err := DecodeRecord(append(b, 0)); !errors.Is(err, ErrEncoding) {
		t.Errorf("with an octet too many: %v", err)
	}
}

// TestCodesStay holds the codes of words and causes: records on disk hold them.
func TestCodesStay(t *testing.T) {
	for code, word := range map[byte]string{0: "", 1: "pass", 8: "policy", 14: "quarantine", 18: "discard", 29: "rsa-sha256", 46: "forged_fields", 62: "defer_limit", 80: "4.7.0"} {
		if got, _ := wordOf(code); got != word {
			t.Errorf("word %d is %q, want %q", code, got, word)
		}
	}
	if len(words()) >= otherWord {
		t.Errorf("%d words do not fit one octet", len(words()))
	}
	if c := causes(); c[2] != dns.ErrTemporary || c[18] != dkim.ErrLimit || len(c) > 64 {
		t.Error("causes moved, or are too many for the bits")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	d := newDice(4)
	for range 20 {
		f.Add(encode(f, d.record()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		r.Aggregate()
		again, err := DecodeRecord(encode(t, r))
		if err != nil {
			t.Fatalf("what was read and encoded anew: %v", err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Fatal("differs when read twice")
		}
	})
}

func BenchmarkAppendBinary(b *testing.B) {
	r := newDice(5).record()
	buf := encode(b, r)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = r.AppendBinary(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "octets")
}

func BenchmarkDecodeRecord(b *testing.B) {
	raw := encode(b, newDice(5).record())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(raw); err != nil {
			b.Fatal(err)
		}
	}
}
