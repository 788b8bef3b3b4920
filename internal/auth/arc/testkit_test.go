package arc_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// testNow is the arrival time of all test messages.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// edKey is the key of every sealer that has no other.
var edKey = ed25519.NewKeyFromSeed([]byte("a seed of thirty-two octets, yes"))

var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// plain is the message that the tests seal.
const plain = "From: Joe <joe@example.com>\r\nTo: ann@example.net\r\nSubject: lunch\r\n\r\nHello,  Ann. \r\n\r\nLunch?\r\n\r\n"

// results is the payload of every ARC-Authentication-Results field.
const results = "mx.example.net;\r\n\tdmarc=pass header.from=example.com"

// sealed puts a chain of n good sets by d1.example, d2.example, … on raw.
func sealed(raw string, n int) string { return sealedOn(raw, 1, n) }

// sealedOn puts the sets from instance to instance on raw.
func sealedOn(raw string, from, to int) string {
	out := []byte(raw)
	for i := from; i <= to; i++ {
		out = arctest.Seal(out, results, fmt.Sprintf("d%d.example", i), "s", edKey, "")
	}
	return string(out)
}

// zoneFor has the key of the sealers of sealed.
func zoneFor(key crypto.Signer) *dnstest.Zone {
	zone := dnstest.MustZone("")
	for i := range 50 {
		addKey(zone, "s", fmt.Sprintf("d%d.example", i+1), key)
	}
	return zone
}

func addKey(zone *dnstest.Zone, selector, domain string, key crypto.Signer) {
	zone.AddTXT(dns.MustParse(selector+"._domainkey."+domain), chunks(arctest.Record(key))...)
}

// chunks parts a text into character-strings.
func chunks(text string) []string {
	const most = 255
	var out []string
	for ; len(text) > most; text = text[most:] {
		out = append(out, text[:most])
	}
	return append(out, text)
}

// validate checks a message whose body arrives in pieces.
func validate(t testing.TB, res arc.Resolver, raw string, step int, o arc.Options) arc.Result {
	t.Helper()
	h, body := arctest.Split([]byte(raw))
	v := arc.NewVerifier(context.Background(), res, h, o)
	defer v.Close()
	for len(body) > 0 && v.NeedsBody() {
		n := min(len(body), step)
		if _, err := v.Write(body[:n]); err != nil {
			t.Fatal(err)
		}
		body = body[n:]
	}
	r := v.Result()
	if (r.Err == nil) != (r.Status != arc.Fail) {
		t.Errorf("%s with error %v", r.Status, r.Err)
	}
	return r
}

// whole checks a message in one piece against the usual keys.
func whole(t testing.TB, raw string) arc.Result {
	t.Helper()
	return validate(t, zoneFor(edKey), raw, len(raw), arc.Options{Now: testNow})
}

// edit replaces old, which must be there, by with.
func edit(t testing.TB, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in\n%s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

// field returns a whole field of a message, by the beginning of its text.
func field(t testing.TB, raw, begins string) string {
	t.Helper()
	h, _ := arctest.Split([]byte(raw))
	for _, f := range h.Fields {
		if strings.HasPrefix(string(f.Raw), begins) {
			return string(f.Raw)
		}
	}
	t.Fatalf("no field %q", begins)
	return ""
}
