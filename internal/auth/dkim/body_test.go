package dkim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// canonical runs a body through the canonicalizer in chunks that end at cuts.
func canonical(canon, body string, cuts ...int) string {
	b := newBodyHash(canon)
	var out strings.Builder
	b.digest.hash = recordingHash{b.digest.hash, &out}
	b.digest.want(-1)
	buf := make([]byte, 0, 16)
	at := 0
	for _, c := range cuts {
		b.write([]byte(body[at:c]), buf)
		at = c
	}
	b.write([]byte(body[at:]), buf)
	b.end(buf)
	return out.String()
}

// recordingHash keeps the hashed octets.
type recordingHash struct {
	hash.Hash
	out io.Writer
}

func (r recordingHash) Write(p []byte) (int, error) {
	r.out.Write(p)
	return r.Hash.Write(p)
}

func TestBodyCanonicalization(t *testing.T) {
	cases := []struct{ name, body, simple, relaxed string }{
		{"empty", "", "\r\n", ""},
		{"one empty line", "\r\n", "\r\n", ""},
		{"empty lines", "\r\n\r\n\r\n", "\r\n", ""},
		{"a line", "a\r\n", "a\r\n", "a\r\n"},
		{"no final line end", "a", "a\r\n", "a\r\n"},
		{"trailing empty lines", "a\r\n\r\n\r\n", "a\r\n", "a\r\n"},
		{"inner empty lines", "\r\n\r\na\r\n\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\n\r\nb\r\n"},
		{"RFC 6376 section 3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
		{"line of blanks", "a\r\n \t\r\nb\r\n", "a\r\n \t\r\nb\r\n", "a\r\n\r\nb\r\n"},
		{"blanks only", " ", " \r\n", ""},
		{"a line of blanks only", " \t \r\n", " \t \r\n", ""},
		{"blanks at the end", "a \t", "a \t\r\n", "a\r\n"},
		{"trailing lines of blanks", "a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"},
		{"tab", "a\tb\r\n", "a\tb\r\n", "a b\r\n"},
		{"leading tabs", "\t\ta\r\n", "\t\ta\r\n", " a\r\n"},
		{"bare LF", "a\nb\n\nc\n\n", "a\r\nb\r\n\r\nc\r\n", "a\r\nb\r\n\r\nc\r\n"},
		{"only bare LF", "\n\n", "\r\n", ""},
		{"bare CR", "a\rb\r\n", "a\rb\r\n", "a\rb\r\n"},
		{"CR CR LF", "a\r\r\n", "a\r\r\n", "a\r\r\n"},
		{"CR CR LF and more", "a\r\r\nb\r\n", "a\r\r\nb\r\n", "a\r\r\nb\r\n"},
		{"bare CR between blanks", "a \r \r\n", "a \r \r\n", "a \r\r\n"},
		{"bare CR at the end", "a\r", "a\r\r\n", "a\r\r\n"},
		{"only CR", "\r", "\r\r\n", "\r\r\n"},
		{"blank, then CR at the end", "a\r\n \r", "a\r\n \r\r\n", "a\r\n \r\r\n"},
		{"LF CR", "a\n\rb", "a\r\n\rb\r\n", "a\r\n\rb\r\n"},
		{"NUL and control characters", "\x00\x0b a \x1f\r\n", "\x00\x0b a \x1f\r\n", "\x00\x0b a \x1f\r\n"},
		{"8 bit", "\xff\xa0 \x80\x85\r\n", "\xff\xa0 \x80\x85\r\n", "\xff\xa0 \x80\x85\r\n"},
		{"eight octets and a double space", "abcdefg  h\r\n", "abcdefg  h\r\n", "abcdefg h\r\n"},
		{"a long line", strings.Repeat("word ", 300) + "\r\n", strings.Repeat("word ", 300) + "\r\n", strings.Repeat("word ", 299) + "word\r\n"},
	}
	for _, c := range cases {
		for canon, want := range map[string]string{simple: c.simple, relaxed: c.relaxed} {
			t.Run(c.name+"/"+canon, func(t *testing.T) {
				if got := plainBody(canon, c.body); got != want && !strings.Contains(c.name, "CR") {
					t.Errorf("the plain form is %q, want %q", got, want)
				}
				if got := canonical(canon, c.body); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				for i := range len(c.body) + 1 {
					for j := i; j <= len(c.body) && len(c.body) < 40; j++ {
						if got := canonical(canon, c.body, i, j); got != want {
							t.Fatalf("cut at %d and %d: got %q, want %q", i, j, got, want)
						}
					}
				}
			})
		}
	}
}

// randomBody is text of the octets that matter to canonicalization.
func randomBody(r *rand.Rand, most int) string {
	const alphabet = "  \t\t\r\n\n\rabc\x00\xe4"
	var b strings.Builder
	for range r.IntN(most) {
		switch r.IntN(6) {
		case 0:
			b.WriteString("\r\n")
		case 1:
			b.WriteString("word")
		case 2:
			b.WriteString(" ")
		default:
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
	}
	return b.String()
}

// TestChunks: however the body is cut, the results are the same.
func TestChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		body := randomBody(r, 60)
		for _, canon := range []string{simple, relaxed} {
			want := canonical(canon, body)
			if plain := plainBody(canon, body); !strings.Contains(strings.ReplaceAll(body, "\r\n", ""), "\r") && want != plain {
				t.Fatalf("%s %q: got %q, the plain form is %q", canon, body, want, plain)
			}
			var cuts []int
			for i := 0; i < len(body); i += 1 + r.IntN(8) {
				cuts = append(cuts, i)
			}
			if got := canonical(canon, body, cuts...); got != want {
				t.Fatalf("%s %q cut at %v: got %q, want %q", canon, body, cuts, got, want)
			}
		}
	}
}

// TestChunksOfVerifier does the same with a whole message, asking NeedsBody on the way.
func TestChunksOfVerifier(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	for range 200 {
		body := strings.ReplaceAll(randomBody(r, 200), "\r", "") + "x"
		head := plainHead
		for _, s := range []signer{
			{key: edKey(), tags: usual},
			{key: edKey(), tags: "v=1; d=example.com; s=s1; h=from"},
			{key: edKey(), tags: "v=1; c=simple/relaxed; d=example.com; s=s1; h=from; l=1", length: 1},
			{key: edKey(), tags: "v=1; d=example.com; s=s1; h=from; l=9", length: 9},
			{key: edKey(), tags: "v=1; d=example.com; s=s1; h=from; l=8", length: 9},
		} {
			head = s.field(plainHead, body) + head
		}
		want := verify(res, head, body, Options{Now: testNow})
		v := NewVerifier(context.Background(), res, header(head), Options{Now: testNow})
		for rest := body; len(rest) > 0 && v.NeedsBody(); {
			n := 1 + r.IntN(len(rest))
			v.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if got := v.Results(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q\ngot  %v\nwant %v", body, got, want)
		}
	}
}

func TestParts(t *testing.T) {
	const body = "0123456789\r\n"
	b := newBodyHash(simple)
	for _, l := range []int64{5, 0, 12, 5, 3, 13, 4096} {
		b.digest.want(l)
	}
	var lengths []int64
	for _, p := range b.digest.parts {
		lengths = append(lengths, p.length)
	}
	if want := []int64{0, 3, 5, 12, 13, 4096}; !reflect.DeepEqual(lengths, want) {
		t.Fatalf("parts %v, want %v", lengths, want)
	}
	buf := make([]byte, 0, scratchSize)
	b.write([]byte(body[:4]), buf)
	if !b.digest.knows(3) || b.digest.knows(4) || b.digest.knows(5) || b.digest.knows(-1) {
		t.Error("after 4 octets l=3 is known and no more")
	}
	b.write([]byte(body[4:]), buf)
	b.end(buf)
	for _, l := range []int64{0, 3, 5, 12} {
		want := sha256.Sum256([]byte(body[:l]))
		if got, ok := b.digest.part(l); !ok || string(got) != string(want[:]) {
			t.Errorf("l=%d: %x, %v; want %x", l, got, ok, want)
		}
	}
	for _, l := range []int64{13, 4096} {
		if _, ok := b.digest.part(l); ok {
			t.Errorf("l=%d is beyond the body, yet known", l)
		}
	}
}

// TestNextEvent compares the scan of eight octets at once with one by one.
func TestNextEvent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		p := []byte(randomBody(r, 30))
		for i := range p {
			if r.IntN(3) > 0 {
				p[i] = byte(r.IntN(256))
			}
		}
		from := r.IntN(len(p) + 1)
		want := len(p)
		for i := from; i < len(p); i++ {
			if p[i] < ' ' || p[i] == ' ' && i > from && p[i-1] == ' ' {
				want = i
				break
			}
		}
		if got := nextEvent(p, from); got != want {
			t.Fatalf("nextEvent(%q, %d) = %d, want %d", p, from, got, want)
		}
	}
}
