package arc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// keys is a Resolver that costs next to nothing.
type keys map[string][]string

func (k keys) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	if texts, ok := k[name.String()]; ok {
		return texts, nil
	}
	return nil, dns.ErrNXDomain
}

// usualMail is a message of 4 KiB with 26 header fields.
func usualMail() string {
	var b strings.Builder
	b.WriteString("From: Joe <joe@example.com>\r\nTo: ann@example.net\r\nSubject: lunch\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n")
	for i := range 20 {
		fmt.Fprintf(&b, "X-Field-%d: some value of ordinary length, number %d\r\n", i, i)
	}
	b.WriteString("\r\n")
	for b.Len() < 4<<10 {
		b.WriteString("The quick brown fox jumps over the lazy dog and runs through the wood.\r\n")
	}
	return b.String()
}

func run(res arc.Resolver, h *message.Header, body []byte) arc.Result {
	v := arc.NewVerifier(context.Background(), res, h, arc.Options{Now: testNow})
	if v.NeedsBody() {
		v.Write(body)
	}
	return v.Result()
}

func BenchmarkValidate(b *testing.B) {
	res := keys{}
	raw := []byte(usualMail())
	for n := range 11 {
		if n > 0 {
			domain := fmt.Sprintf("d%d.example", n)
			res["s._domainkey."+domain] = []string{arctest.Record(rsaKey())}
			raw = arctest.Seal(raw, results, domain, "s", rsaKey(), "")
		}
		if n > 1 && n != 3 && n != 10 {
			continue
		}
		h, body := arctest.Split(raw)
		want := arc.Pass
		if n == 0 {
			want = arc.None
		}
		b.Run(fmt.Sprintf("%d hops", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := run(res, h, body); r.Status != want {
					b.Fatal(r.Err)
				}
			}
		})
	}
}

// BenchmarkAttack: the cost of each attack must match its size.
func BenchmarkAttack(b *testing.B) {
	res := keys{}
	for i := range 50 {
		res[fmt.Sprintf("s._domainkey.d%d.example", i+1)] = []string{arctest.Record(edKey)}
	}
	long := "X: " + strings.Repeat("x ", 250<<10) + "\r\n"
	covers := func(raw string) string { // ten sets that each cover all of a long header
		out := []byte(raw)
		for i := range 10 {
			out = arctest.Sealer{Domain: fmt.Sprintf("d%d.example", i+1), Selector: "s", Key: edKey, H: "x:from"}.Seal(out, results, "")
		}
		return string(out)
	}
	padded := string(arctest.Seal([]byte(plain), "x "+strings.Repeat("x ", 250<<10), "d1.example", "s", edKey, ""))
	for _, c := range []struct {
		name, raw string
		want      arc.Status
	}{
		{"50 sets", sealed(plain, 50), arc.Pass},
		{"5 sets on one of 500 KiB", sealedOn(padded, 2, 6), arc.Pass},
		{"10 sets cover 500 KiB", covers(long + plain), arc.Pass},
		{"100000 seals", strings.Repeat("ARC-Seal: i=1\r\n", 100000) + plain, arc.Fail},
		{"150 fields of comments", strings.Repeat("ARC-Authentication-Results: "+strings.Repeat("(", 3000)+"\r\n", 150) + plain, arc.Fail},
		{"500 KiB of tags", "ARC-Seal: " + strings.Repeat("a=;", 170000) + "\r\n" + plain, arc.Fail},
	} {
		b.Run(c.name, func(b *testing.B) {
			h, body := arctest.Split([]byte(c.raw))
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if r := run(res, h, body); r.Status != c.want {
					b.Fatal(r.Status, r.Err)
				}
			}
		})
	}
}
