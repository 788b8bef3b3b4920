package dkim

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"strings"
	"testing"
)

// countingHash counts the hashed octets and pieces.
type countingHash struct {
	hash.Hash
	octets, writes int
}

func (c *countingHash) Write(p []byte) (int, error) {
	c.octets += len(p)
	c.writes++
	return c.Hash.Write(p)
}

// TestBodyAttacks: what is hashed of a body is never more than twice its size,
// in pieces that are few, however it is cut.
func TestBodyAttacks(t *testing.T) {
	const size = 1 << 18
	cases := map[string]string{
		"line ends":              "\r\n",
		"bare LF":                "\n",
		"bare CR":                "\r",
		"bare LF and text":       "x\n",
		"blanks":                 " \t",
		"blank lines":            " \r\n",
		"many line ends, text":   strings.Repeat("\r\n", 1000) + "x",
		"many blanks, text":      strings.Repeat(" ", 1000) + "x",
		"CR and blank":           "\r ",
		"one octet and a line":   "x\r\n",
		"double spaces":          "a  ",
		"CR CR LF":               "\r\r\n",
		"blanks before each CR":  "a \t\r\n",
		"text without line ends": "abcdefgh",
	}
	for name, unit := range cases {
		body := []byte(strings.Repeat(unit, size/len(unit)))
		for _, canon := range []string{simple, relaxed} {
			for _, step := range []int{1000, 65535, size} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, canon, step), func(t *testing.T) {
					b := newBodyHash(canon)
					count := &countingHash{Hash: sha256.New()}
					b.digest.hash = count
					b.digest.want(-1)
					buf := make([]byte, 0, scratchSize)
					chunks := 0
					for rest := body; len(rest) > 0; chunks++ {
						n := min(step, len(rest))
						b.write(rest[:n], buf)
						rest = rest[n:]
					}
					b.end(buf)
					if count.octets > 2*len(body)+2 {
						t.Errorf("%d octets hashed of a body of %d", count.octets, len(body))
					}
					if most := 2*chunks + 2*count.octets/directSize + 2; count.writes > most {
						t.Errorf("%d pieces hashed, want at most %d", count.writes, most)
					}
				})
			}
		}
	}
}

// TestManyLengths: the body is hashed once for all l= of one canonicalization.
func TestManyLengths(t *testing.T) {
	head := plainHead
	body := strings.Repeat("word ", 20000) + "\r\n"
	for i := range 10 {
		head = signer{key: edKey(), tags: fmt.Sprintf("%s; l=%d", usual, 5000*i+1), length: 5000*i + 1}.field(plainHead, body) + head
	}
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	v := NewVerifier(t.Context(), res, header(head), Options{Now: testNow})
	count := &countingHash{Hash: sha256.New()}
	v.bodies[0].digest.hash = count
	v.Write([]byte(body))
	for _, r := range v.Results() {
		if r.Status != Policy || !r.Partial {
			t.Errorf("%+v", r)
		}
	}
	if len(v.bodies) != 1 || count.octets > len(body) {
		t.Errorf("%d octets hashed %d times for a body of %d", count.octets, len(v.bodies), len(body))
	}
}

// TestHeaderAttacks: a signature hashes each field at most once, whatever h= says.
func TestHeaderAttacks(t *testing.T) {
	long := "Subject:" + strings.Repeat(" a\r\n", 20000)
	cases := []struct{ name, head, names string }{
		{"many names, many fields", plainHead + strings.Repeat("x:\r\n", 20000), strings.Repeat(":x", 1999)},
		{"many names, none there", plainHead + strings.Repeat("y:\r\n", 20000), strings.Repeat(":x", 1999)},
		{"the same field over and over", long + plainHead, strings.Repeat(":subject", 1999)},
		{"its own field", plainHead, strings.Repeat(":dkim-signature", 1999)},
	}
	for _, c := range cases {
		for _, canon := range []string{simple, relaxed} {
			t.Run(c.name+"/"+canon, func(t *testing.T) {
				tags := "v=1; c=" + canon + "; d=example.com; s=s1; h=from" + c.names
				head := "DKIM-Signature: " + tags + "; a=ed25519-sha256; bh=AAAA; b=AAAA\r\n" + c.head
				h := header(head)
				s := &signature{}
				if err := s.parse(h.Fields[0], testNow); err != nil {
					t.Fatal(err)
				}
				x := newHeaderIndex(h.Fields)
				count := &countingHash{Hash: sha256.New()}
				x.hashHeader(nil, s, count, make([]byte, 0, scratchSize))
				if count.octets > 2*len(head) {
					t.Errorf("%d octets hashed of a header of %d", count.octets, len(head))
				}
				if most := 2 + 2*count.octets/directSize; count.writes > most {
					t.Errorf("%d pieces hashed, want at most %d", count.writes, most)
				}
			})
		}
	}
}

// TestManySignatures: two thousand signatures cost no more look-ups, hashes and
// comparisons than the limit says.
func TestManySignatures(t *testing.T) {
	var head strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&head, "DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n", i)
	}
	res := &zone{}
	got := verify(res, head.String()+plainHead, plainText, Options{Now: testNow})
	count := map[Status]int{}
	for _, r := range got {
		count[r.Status]++
	}
	if len(got) != 2000 || count[Policy] != 1990 || count[PermError] != 10 || res.asked.Load() != 10 {
		t.Errorf("%d results, %v, %d look-ups", len(got), count, res.asked.Load())
	}
}
