package dkim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestRelaxedField(t *testing.T) {
	cases := []struct{ name, raw, want string }{
		{"RFC 6376 section 3.4.5", "A: X\r\n", "a:X\r\n"},
		{"folded", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
		{"empty", "X-Empty:\r\n", "x-empty:\r\n"},
		{"blank", "X-Blank: \t \r\n", "x-blank:\r\n"},
		{"only a fold", "X-Fold:\r\n \r\n", "x-fold:\r\n"},
		{"8 bit", "Subject:  Gr\xfc\xdfe\xa0 \x85\r\n", "subject:Gr\xfc\xdfe\xa0 \x85\r\n"},
		{"colon in the value", "X: a : b\r\n", "x:a : b\r\n"},
		{"no colon", "Odd\r\n", "odd:\r\n"},
		{"no final line end", "X: y", "x:y\r\n"},
		{"longer than the buffer", "X: " + strings.Repeat("ab  cd ", 100) + "\r\n", "x:" + strings.TrimSpace(strings.Repeat("ab cd ", 100)) + "\r\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			g := gather{to: &out, buf: make([]byte, 0, 16)}
			g.relaxedField([]byte(c.raw))
			g.flush()
			if got := out.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestPick compares the choice of fields with the plain way of going through
// the header for each name.
func TestPick(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	names := []string{"From", "to", "SUBJECT", "X-Überlang", "Received", "x-" + strings.Repeat("n", 100)}
	for range 500 {
		var head strings.Builder
		for i := range r.IntN(12) {
			fmt.Fprintf(&head, "%s: %d\r\n", swapCase(r, names[r.IntN(len(names))]), i)
		}
		var list []string
		for range r.IntN(10) {
			list = append(list, swapCase(r, names[r.IntN(len(names))]))
		}
		h := header(head.String())
		x := newHeaderIndex(h.Fields)
		for range 2 {
			x.reset()
			var got []string
			for _, n := range list {
				if f, ok := x.pick([]byte(n), -1); ok {
					got = append(got, string(f.Raw))
				}
			}
			if want := plainPick(h, strings.Join(list, ":")); strings.Join(got, "") != strings.Join(want, "") {
				t.Fatalf("h=%q of\n%s got %q, want %q", list, head.String(), got, want)
			}
		}
	}
}

// swapCase changes letters of s, ASCII only.
func swapCase(r *rand.Rand, s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c|0x20 && c|0x20 <= 'z' && r.IntN(2) == 0 {
			b[i] ^= 0x20
		}
	}
	return string(b)
}

// TestOwnField: b= counts as empty in the signature's own hash, wherever it
// stands and whatever stands round it.
func TestOwnField(t *testing.T) {
	cases := []struct{ name, raw, simple, relaxed string }{
		{"last", "DKIM-Signature: v=1;\r\n b=AAAA\r\n", "DKIM-Signature: v=1;\r\n b=", "dkim-signature:v=1; b="},
		{"last, with blanks", "DKIM-Signature: v=1; b= AA\r\n\tAA \r\n", "DKIM-Signature: v=1; b=", "dkim-signature:v=1; b="},
		{"last, closed", "DKIM-Signature: v=1; b=AAAA ;\r\n", "DKIM-Signature: v=1; b=;", "dkim-signature:v=1; b=;"},
		{"first", "DKIM-Signature: b=AAAA; v=1 \r\n", "DKIM-Signature: b=; v=1 ", "dkim-signature:b=; v=1"},
		{"blanks before the equals sign", "DKIM-Signature: b \t= AA; v=1\r\n", "DKIM-Signature: b \t=; v=1", "dkim-signature:b =; v=1"},
		{"bh= before", "DKIM-Signature: bh=b=; b=AA; xb=b=; v=1\r\n", "DKIM-Signature: bh=b=; b=; xb=b=; v=1", "dkim-signature:bh=b=; b=; xb=b=; v=1"},
		{"blanks after", "DKIM-Signature: b=AA;\r\n  v=1;\r\n\r\n", "DKIM-Signature: b=;\r\n  v=1;\r\n", "dkim-signature:b=; v=1;"},
		{"at once", "DKIM-Signature:b=AA\r\n", "DKIM-Signature:b=", "dkim-signature:b="},
	}
	for _, c := range cases {
		for canon, want := range map[string]string{simple: c.simple, relaxed: c.relaxed} {
			t.Run(c.name+"/"+canon, func(t *testing.T) {
				h := header("")
				h.Fields = append(h.Fields, header("DKIM-Signature: x\r\n").Fields...)
				h.Fields[0].Raw = []byte(c.raw)
				s := &signature{}
				s.parse(h.Fields[0], testNow)
				s.Header, s.names = canon, nil
				digest := newHeaderIndex(h.Fields).hashHeader(nil, s, sha256.New(), make([]byte, 0, 8))
				if sum := sha256.Sum256([]byte(want)); !bytes.Equal(digest, sum[:]) {
					t.Errorf("%q is not hashed as %q", c.raw, want)
				}
			})
		}
	}
}
