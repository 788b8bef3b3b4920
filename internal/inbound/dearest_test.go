package inbound_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/filter"
	"dmarcd/internal/milter/miltertest"
)

// bytesOfOneMessage is what a message may leave on the disk.
const bytesOfOneMessage = 64 << 10

// TestBytesOfOneMessage has a forgery that leaves as much to be remembered as it can: by
// recipients, signatures, seals, forged fields, long names and large DNS answers.
func TestBytesOfOneMessage(t *testing.T) {
	m, zone := greedy(t)
	var b, junk strings.Builder
	b.WriteString(zone)
	for i := range 1900 {
		fmt.Fprintf(&junk, "DKIM-Signature: v=1; a=rsa-sha256; d=%s.flood.example; s=%s%d; i=%s@x.flood.example; h=From; bh=x; b=AAAA\n",
			strings.Repeat("a", 60), strings.Repeat("s", 55), i, strings.Repeat("i", 200))
	}
	for i := range 12 {
		fmt.Fprintf(&b, "m%d.flood.example TXT", i%spfTerms)
		for range 40 {
			fmt.Fprintf(&b, " %q", strings.Repeat(fmt.Sprint(i%10), 250))
		}
		b.WriteByte('\n')
	}
	m.raw = strings.Repeat("X-TM-Quarantine: "+strings.Repeat("q", 500)+"\n", 400) + m.raw
	for i := range 1000 {
		m.rcpts = append(m.rcpts, fmt.Sprintf("%s@d%d.%s.example", strings.Repeat("r", 60), i, strings.Repeat("x", 60)))
	}
	for name, raw := range map[string]string{"seals": m.raw, "signatures": junk.String() + m.raw} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, b.String(), "{default: {dmarc: {arc: {enabled: true}}, quarantine: {method: redirect, address: q@example.org}}}", "log: {addresses: true}")
			m := m
			m.raw = raw
			if res := r.send(m); res.Code != 550 {
				t.Fatalf("answered %+v", res.Answer)
			}
			whole, err := r.last().Record(filter.Remember{Settings: r.settings.Load(), Sampled: true}).AppendBinary(nil)
			if err != nil || len(whole) > bytesOfOneMessage {
				t.Errorf("%d octets are remembered, want at most %d; %v", len(whole), bytesOfOneMessage, err)
			}
			t.Logf("%d octets", len(whole))
		})
	}
}

// BenchmarkDearestMessage is the dearest message that a sender can make: ten signatures
// with four RSA keys of 4096 bits and the largest exponent each, below a chain of fifty
// seals that all verify, with RSA keys of 4096 bits. CPU is that of the whole process.
func BenchmarkDearestMessage(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	var zone, header strings.Builder
	zone.WriteString(behaviourZone)
	record := func(name string, k *rsa.PrivateKey) {
		p := arctest.Record(k)
		fmt.Fprintf(&zone, "%s._domainkey.seal.example TXT", name)
		for p != "" {
			n := min(250, len(p))
			fmt.Fprintf(&zone, " %q", p[:n])
			p = p[n:]
		}
		zone.WriteByte('\n')
	}
	for i := range 10 {
		for n := range 4 {
			other := *key
			other.PublicKey.E = 1<<31 - 1 - 2*n
			record(fmt.Sprintf("k%d", i), &other)
		}
		fmt.Fprintf(&header, "DKIM-Signature: v=1; a=rsa-sha256; d=seal.example; s=k%d; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=%s\r\n",
			i, strings.Repeat("A", 683)+"=")
	}
	record("a", key)
	raw := []byte(header.String() + "From: a@reject.example\r\nTo: user@example.org\r\nSubject: x\r\n\r\n")
	for range 50 {
		raw = arctest.Seal(raw, "mx.seal.example; dmarc=fail header.from=reject.example", "seal.example", "a", key, "")
	}
	r := newRig(b, zone.String(), arcRules(""))
	mta := r.open(miltertest.Peer{Addr: "203.0.113.9"}, miltertest.Postfix())
	m := mail{mailFrom: "x@flood.example", raw: strings.ReplaceAll(string(raw), "\r\n", "\n")}
	if res := r.sendOn(mta, m); res.Code != 550 || r.last().Verdict.ARC.Status != "pass" {
		b.Fatalf("answered %+v, %+v", res.Answer, r.last().Verdict.ARC)
	}
	before := cpuTime(b)
	n := 0
	for b.Loop() {
		r.sendOn(mta, m)
		n++
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(n), "cpu-ms/msg")
}
