package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// zone is a Resolver: TXT records by name, or an error.
type zone struct {
	txt   map[string][]string
	err   map[string]error
	asked atomic.Int64
	log   sync.Map // names asked
}

func (z *zone) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	z.asked.Add(1)
	z.log.Store(name.String(), true)
	if err := z.err[name.String()]; err != nil {
		return nil, &dns.Error{Name: name, Type: "TXT", Err: err}
	}
	if txt, ok := z.txt[name.String()]; ok {
		return txt, nil
	}
	return nil, &dns.Error{Name: name, Type: "TXT", Err: dns.ErrNXDomain}
}

// testNow is the arrival time of all test messages but those of the corpus.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rsaKey reads one of the keys of testdata/keys at the top, made for these tests.
func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("../../../testdata/keys/rsa%d.pem", bits))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("a seed of thirty-two octets, yes"))
}

// public is p= for a key: PKIX for RSA, the bare octets for Ed25519.
func public(key crypto.Signer) string {
	switch pub := key.Public().(type) {
	case ed25519.PublicKey:
		return base64.StdEncoding.EncodeToString(pub)
	default:
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			panic(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
}

// record is the plain key record of a key.
func record(key crypto.Signer) string {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return "v=DKIM1; k=ed25519; p=" + public(key)
	}
	return "v=DKIM1; k=rsa; p=" + public(key)
}

// header cuts the text of a header, CRLF at each line, into fields.
func header(text string) *message.Header {
	h := &message.Header{}
	for line := range strings.SplitAfterSeq(text, "\r\n") {
		switch {
		case line == "":
		case (line[0] == ' ' || line[0] == '\t') && len(h.Fields) > 0:
			f := &h.Fields[len(h.Fields)-1]
			f.Raw = append(f.Raw, line...)
		default:
			name, _, _ := strings.Cut(line, ":")
			h.Fields = append(h.Fields, message.Field{Name: strings.TrimRight(name, " \t\r\n"), Raw: []byte(line)})
		}
	}
	return h
}

// The canonical forms of RFC 6376 section 3.4, in the plainest way.

var (
	bareLF   = regexp.MustCompile(`(^|[^\r])\n`)
	blanks   = regexp.MustCompile(`[ \t]+`)
	trailing = regexp.MustCompile(`[ \t]+(\r\n|$)`)
	empties  = regexp.MustCompile(`(\r\n)*$`)
	fold     = regexp.MustCompile(`[ \t\r\n]+`)
)

func plainBody(canon, body string) string {
	for bareLF.MatchString(body) {
		body = bareLF.ReplaceAllString(body, "$1\r\n")
	}
	if canon == relaxed {
		body = trailing.ReplaceAllString(body, "$1")
		body = blanks.ReplaceAllString(body, " ")
	}
	if body = empties.ReplaceAllString(body, ""); canon == relaxed && body == "" {
		return ""
	}
	return body + "\r\n"
}

func plainField(canon, raw string) string {
	if canon == simple {
		return raw
	}
	name, value, _ := strings.Cut(raw, ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(fold.ReplaceAllString(value, " ")) + "\r\n"
}

// plainPick returns the fields of h= as RFC 6376 section 5.4.2 says.
func plainPick(h *message.Header, names string) []string {
	var out []string
	used := map[int]bool{}
	for name := range strings.SplitSeq(names, ":") {
		for i := len(h.Fields) - 1; i >= 0; i-- {
			if !used[i] && h.Fields[i].Is(strings.TrimSpace(name)) {
				used[i] = true
				out = append(out, string(h.Fields[i].Raw))
				break
			}
		}
	}
	return out
}

// signer makes signatures that go-msgauth's does not.
type signer struct {
	key    crypto.Signer
	tags   string // all but a=, bh= and b=; "h=" must be among them
	after  string // tags after b=, with their ";"
	length int    // octets of the canonical body that bh= is over; all if it is 0, none if negative
}

// field is the DKIM-Signature field for a message, CRLF included.
func (s signer) field(head, body string) string {
	list, err := parseTags(nil, []byte(s.tags))
	if err != nil {
		panic(err)
	}
	get := func(name string) string { t, _ := list.get(name); return string(t.value) }
	headCanon, bodyCanon, both := strings.Cut(get("c"), "/")
	if headCanon == "" {
		headCanon = simple
	}
	if !both {
		bodyCanon = simple
	}
	alg := "rsa-sha256"
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		alg = "ed25519-sha256"
	}
	canonical := plainBody(bodyCanon, body)
	if s.length > 0 && s.length <= len(canonical) {
		canonical = canonical[:s.length]
	} else if s.length < 0 {
		canonical = ""
	}
	bh := sha256.Sum256([]byte(canonical))
	raw := "DKIM-Signature: " + s.tags + ";\r\n a=" + alg + "; bh=" + base64.StdEncoding.EncodeToString(bh[:]) + ";\r\n\tb="
	data := strings.Join(mapped(plainPick(header(head), get("h")), func(f string) string { return plainField(headCanon, f) }), "")
	data += strings.TrimSuffix(plainField(headCanon, raw+strings.TrimLeft(s.after, " ")+"\r\n"), "\r\n")
	digest := sha256.Sum256([]byte(data))
	opts := crypto.SignerOpts(crypto.SHA256)
	if alg == "ed25519-sha256" {
		opts = crypto.Hash(0)
	}
	sig, err := s.key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		panic(err)
	}
	b := base64.StdEncoding.EncodeToString(sig)
	return raw + b[:20] + "\r\n\t " + b[20:] + s.after + "\r\n"
}

func mapped(in []string, f func(string) string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = f(s)
	}
	return out
}

// The message that most tests sign.
const (
	plainHead = "From: Joe <joe@example.com>\r\nTo: ann@example.net\r\nSubject: lunch\r\n"
	plainText = "Hello,  Ann. \r\n\r\nLunch?\r\n\r\n"
	usual     = "v=1; c=relaxed/relaxed; d=example.com; s=s1; h=from:to:subject"
)

// verify checks a message in one piece.
func verify(res Resolver, head, body string, o Options) []Result {
	v := NewVerifier(context.Background(), res, header(head), o)
	v.Write([]byte(body))
	return v.Results()
}

// one checks a message that has one signature.
func one(t *testing.T, res Resolver, head, body string, o Options) Result {
	t.Helper()
	r := verify(res, head, body, o)
	if len(r) != 1 {
		t.Fatalf("%d results, want 1", len(r))
	}
	if (r[0].Err == nil) != (r[0].Status == Pass) {
		t.Errorf("%s with error %v", r[0].Status, r[0].Err)
	}
	return r[0]
}
