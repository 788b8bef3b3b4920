package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/message"
)

// text returns n octets of mail: "plain" lines of words, or "spaced", with runs
// of white space in each line, as indented or justified text has them.
func text(kind string, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		line := "The quick brown fox jumps over the lazy dog and runs through the wood."
		if kind == "spaced" {
			line = "\tThe quick  brown fox jumps   over the lazy dog  and runs through it. "
		}
		if i%12 == 11 {
			line = ""
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()[:n-2] + "\r\n"
}

// benchHead is a header of 26 fields.
func benchHead() string {
	var b strings.Builder
	for i := range 5 {
		fmt.Fprintf(&b, "Received: from relay%d.example.com (relay%d.example.com [192.0.2.%d])\r\n\tby mx.example.net (Postfix) with ESMTPS id 4XyZ%d\r\n\tfor <ann@example.net>; Sun, 22 Nov 2026 12:00:00 +0000 (UTC)\r\n", i, i, i, i)
	}
	b.WriteString(plainHead + "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n")
	for i := range 13 {
		fmt.Fprintf(&b, "X-Field-%d: some value of ordinary length, number %d\r\n", i, i)
	}
	return b.String()
}

const benchNames = "h=from:to:subject:date:message-id:mime-version:content-type:from:subject"

type benchCase struct {
	name, head, body string
	res              *zone
}

func benchCases(b *testing.B) []benchCase {
	key := rsaKey(b, 2048)
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(key)}}}
	var out []benchCase
	for _, size := range []int{4 << 10, 50 << 10, 1 << 20} {
		for _, c := range []struct{ way, kind string }{{relaxed, "plain"}, {relaxed, "spaced"}, {simple, "plain"}} {
			head, body := benchHead(), text(c.kind, size)
			tags := fmt.Sprintf("v=1; c=%s/%s; d=example.com; s=s1; t=1795000000; %s", c.way, c.way, benchNames)
			out = append(out, benchCase{
				name: fmt.Sprintf("%s/%s/%dKiB", c.way, c.kind, size>>10),
				head: signer{key: key, tags: tags}.field(head, body) + head,
				body: body, res: res,
			})
		}
	}
	return out
}

// reportCPU adds the processor time of all threads, which other work on the
// machine disturbs less than the wall clock.
func reportCPU(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric(float64((used()-start).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

// chunk is how much of a body an MTA hands over at once.
const chunk = 65535

func verifyChunks(res Resolver, h *message.Header, body []byte) []Result {
	v := NewVerifier(context.Background(), res, h, Options{Now: testNow})
	for len(body) > 0 && v.NeedsBody() {
		n := min(len(body), chunk)
		v.Write(body[:n])
		body = body[n:]
	}
	return v.Results()
}

func BenchmarkVerify(b *testing.B) {
	for _, c := range benchCases(b) {
		b.Run(c.name, func(b *testing.B) {
			h, body := header(c.head), []byte(c.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				if r := verifyChunks(c.res, h, body); r[0].Status != Pass {
					b.Fatal(r[0].Err)
				}
			}
		})
	}
}

// BenchmarkFloor is what no verifier can do without: SHA-256 over the body and
// one RSA verification.
func BenchmarkFloor(b *testing.B) {
	key := rsaKey(b, 2048)
	digest := sha256.Sum256(nil)
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 50 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			body := []byte(text("plain", size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				h := sha256.New()
				h.Write(body)
				h.Sum(nil)
				if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMsgauth is go-msgauth on the messages of BenchmarkVerify.
func BenchmarkMsgauth(b *testing.B) {
	for _, c := range benchCases(b) {
		b.Run(c.name, func(b *testing.B) {
			mail := []byte(c.head + "\r\n" + c.body)
			o := &msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return c.res.txt[name], nil }}
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				if r, err := msgauth.VerifyWithOptions(bytes.NewReader(mail), o); err != nil || r[0].Err != nil {
					b.Fatal(err, r[0].Err)
				}
			}
		})
	}
}

// BenchmarkParseKey measures what a cache of parsed keys could save.
func BenchmarkParseKey(b *testing.B) {
	for _, key := range []crypto.Signer{rsaKey(b, 2048), edKey()} {
		text := record(key)
		b.Run(fmt.Sprintf("%T", key), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseKey(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseSignature(b *testing.B) {
	field := header(signer{key: rsaKey(b, 2048), tags: usual}.field(plainHead, plainText)).Fields[0]
	b.ReportAllocs()
	for b.Loop() {
		s := signature{}
		if err := s.parse(field, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

// Known attacks: the cost of each must match its size.
func BenchmarkAttack(b *testing.B) {
	key := edKey()
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(key)}}}
	sign := func(tags, head, body string) string { return signer{key: key, tags: tags}.field(head, body) }
	simpleTags := "v=1; c=simple/simple; d=example.com; s=s1; h=from"
	lines := strings.Repeat("\r\n", 4<<20)
	mail := func(name, head, body string) {
		b.Run(name, func(b *testing.B) {
			h, octets := header(head), []byte(body)
			b.SetBytes(int64(len(head) + len(body)))
			for b.Loop() {
				verifyChunks(res, h, octets)
			}
		})
	}
	mail("8MiB of line ends", sign(simpleTags, plainHead, "")+plainHead, lines)
	mail("8MiB of line ends, relaxed", sign(usual, plainHead, "")+plainHead, lines)
	mail("8MiB of bare LF and x", sign(simpleTags, plainHead, "")+plainHead, strings.Repeat("x\n", 4<<20))
	mail("8MiB of blanks, relaxed", sign(usual, plainHead, "")+plainHead, strings.Repeat(" \t", 4<<20))
	mail("500 names over 200000 fields", sign(simpleTags+strings.Repeat(":x", 500), plainHead, "")+plainHead+strings.Repeat("y:\r\n", 200000), "")
	mail("2000 names over 2000 fields, 10 signatures", strings.Repeat(sign(simpleTags+strings.Repeat(":x", 1990), plainHead, ""), 10)+plainHead+strings.Repeat("x:\r\n", 2000), "")
	mail("a field of 20000 lines", sign(usual, "Subject:"+strings.Repeat(" a\r\n", 20000)+plainHead, "")+"Subject:"+strings.Repeat(" a\r\n", 20000)+plainHead, "")
	mail("2000 signatures over 1MiB", strings.Repeat(sign(usual, plainHead, ""), 2000)+plainHead, text("plain", 1<<20))
	mail("10 l= over 1MiB", strings.Repeat(sign(simpleTags, plainHead, "")+sign(usual+"; l=1000000", plainHead, ""), 5)+plainHead, text("plain", 1<<20))
	mail("2000 fields of tags", strings.Repeat("DKIM-Signature: "+manyTags()[2:]+"\r\n", 2000), "")
}

// BenchmarkDearest is the dearest message that a sender can make: ten signatures with
// four RSA keys of 4096 bits and the largest exponent each, over a header of 1 MiB.
func BenchmarkDearest(b *testing.B) {
	for name, head := range map[string]string{
		"keys":                    plainHead,
		"keys and 1MiB of header": plainHead + "X: " + strings.Repeat("a ", 1<<19) + "\r\n",
		"keys and 1MiB of fields": plainHead + strings.Repeat("X: "+strings.Repeat("a", 520)+"\r\n", 1990),
	} {
		b.Run(name, func(b *testing.B) {
			h, res := dearest(b, head)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				verifyChunks(res, h, []byte(plainText))
			}
		})
	}
}

// dearest returns a header with ten signatures over all of head, and their keys.
func dearest(b testing.TB, head string) (*message.Header, *zone) {
	key := *rsaKey(b, 4096)
	res := &zone{txt: map[string][]string{}}
	fields := ""
	for i := range 10 {
		tags := fmt.Sprintf("v=1; c=relaxed/relaxed; d=example.com; s=s%d; h=from%s", i, strings.Repeat(":x", 1990))
		fields += signer{key: &key, tags: tags}.field(head, plainText)
		for n := range 4 {
			other := key
			other.PublicKey.E = 1<<31 - 1 - 2*n
			name := fmt.Sprintf("s%d._domainkey.example.com", i)
			res.txt[name] = append(res.txt[name], record(&other))
		}
	}
	return header(fields + head), res
}
