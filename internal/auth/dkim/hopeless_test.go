package dkim

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/dns"
)

// TestHopelessIsNoTempError: DNS does not give the key, but no key could make these
// signatures pass. Only one that a key might make pass is a TempError.
func TestHopelessIsNoTempError(t *testing.T) {
	ed, rsa1024, rsa4096 := edKey(), rsaKey(t, 1024), rsaKey(t, 4096)
	replace := func(tag, with string) func(string) string {
		return func(field string) string {
			at := strings.Index(field, tag)
			return field[:at] + with + field[at+strings.IndexByte(field[at:]+";", ';'):]
		}
	}
	cases := []struct {
		name   string
		key    crypto.Signer
		tags   string
		length int // as signer has it
		edit   func(field string) string
		body   string
		o      Options
		want   Status
		err    error
	}{
		{name: "might pass", key: ed, want: TempError, err: ErrKeyLookup},
		{name: "might pass, RSA", key: rsa1024, want: TempError, err: ErrKeyLookup},
		{name: "might pass, RSA at the limit", key: rsa4096, want: TempError, err: ErrKeyLookup},
		{name: "might pass, l= is all of the body", key: ed, tags: "; l=23", want: TempError, err: ErrKeyLookup},
		{name: "body hash of another body", key: ed, body: "other\r\n", want: Fail, err: ErrBodyHash},
		{name: "body hash of another body, RSA", key: rsa1024, body: "other\r\n", want: Fail, err: ErrBodyHash},
		{name: "body hash of an empty body", key: ed, body: "-", want: Fail, err: ErrBodyHash},
		{name: "body hash too short", key: ed, edit: replace("bh=", "bh=AAAA"), want: Fail, err: ErrBodyHash},
		{name: "body beyond l=", key: ed, tags: "; l=12", length: 12, want: Policy, err: ErrPartial},
		{name: "l=0", key: ed, tags: "; l=0", length: -1, want: Policy, err: ErrPartial},
		{name: "l= beyond the body", key: ed, tags: "; l=100000", want: Fail, err: ErrBodyLength},
		{name: "Ed25519 signature too short", key: ed, edit: replace("\tb=", "\tb=AAAA"), want: Fail, err: ErrSignature},
		{name: "RSA signature too short", key: rsa1024, edit: replace("\tb=", "\tb="+strings.Repeat("A", 168)), want: Fail, err: ErrSignature},
		{name: "RSA signature shorter than our floor", key: rsa1024, o: Options{MinRSABits: 2048}, want: Fail, err: ErrSignature},
		{name: "RSA signature too long", key: rsa4096, edit: replace("\tb=", "\tb="+strings.Repeat("A", 688)), want: Fail, err: ErrSignature},
		{name: "RSA signature longer than our limit", key: rsa4096, o: Options{MaxRSABits: 2048}, want: Fail, err: ErrSignature},
		{name: "another fault", key: ed, edit: replace("c=", "c=odd"), want: PermError, err: ErrUnsupported},
	}
	const name = "s1._domainkey.example.com"
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			field := signer{key: c.key, tags: usual + c.tags, length: c.length}.field(plainHead, plainText)
			if c.edit != nil {
				field = strings.TrimSuffix(c.edit(strings.TrimSuffix(field, "\r\n")), "\r\n") + "\r\n"
			}
			body := plainText
			switch c.body {
			case "":
			case "-":
				body = ""
			default:
				body = c.body
			}
			c.o.Now = testNow
			res := &zone{err: map[string]error{name: dns.ErrTemporary}}
			if got := one(t, res, field+plainHead, body, c.o); got.Status != c.want || !errors.Is(got.Err, c.err) || got.Processed {
				t.Errorf("%s, %v, processed %v; want %s, %v, not processed\n%s", got.Status, got.Err, got.Processed, c.want, c.err, field)
			}
			synctest.Test(t, func(t *testing.T) { // DNS does not answer in time
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				v := NewVerifier(ctx, newGate(), header(field+plainHead), c.o)
				v.Write([]byte(body))
				if got := v.Results()[0]; got.Status != c.want || !errors.Is(got.Err, c.err) {
					t.Errorf("time-out: %s, %v; want %s, %v", got.Status, got.Err, c.want, c.err)
				}
			})
		})
	}
}

// TestKeyBudget bounds what the keys of a signature may cost: keys with the usual
// exponent are all tried, dearer ones as far as the budget goes.
func TestKeyBudget(t *testing.T) {
	right := rsaKey(t, 4096)
	wrong := func(exponent int) string {
		other := *right
		other.PublicKey.E = exponent
		return record(&other)
	}
	usualOnes := []string{wrong(3), wrong(17), wrong(65539), record(right)}
	dear := []string{wrong(1<<31 - 1), wrong(1<<31 - 3), record(right)}
	const name = "s1._domainkey.example.com"
	field := signer{key: right, tags: usual}.field(plainHead, plainText)
	for _, c := range []struct {
		name string
		txt  []string
		want Status
		err  error
	}{
		{"the usual exponent", usualOnes, Pass, nil},
		{"one dear key", []string{dear[0], record(right)}, Fail, ErrSignature},
		{"one dear key behind the right one", []string{record(right), dear[0]}, Pass, nil},
		{"dear keys", dear, Fail, ErrSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := one(t, &zone{txt: map[string][]string{name: c.txt}}, field+plainHead, plainText, Options{Now: testNow})
			if got.Status != c.want || !errors.Is(got.Err, c.err) {
				t.Errorf("%s, %v; want %s, %v", got.Status, got.Err, c.want, c.err)
			}
		})
	}
	if most := rsaCost(4096, 1<<31-1); most > maxKeyRecords*rsaCost(4096, usualExponent) {
		t.Errorf("a key of 4096 bits costs up to %d: more than a signature may", most)
	}
}
