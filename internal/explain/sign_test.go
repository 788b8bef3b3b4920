package explain

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"regexp"
	"strings"
)

// testKey is a key of that name, always the same.
func testKey(name string) crypto.Signer {
	if name == "ed25519" {
		return ed25519.NewKeyFromSeed([]byte("a seed of thirty-two octets, yes"))
	}
	text, err := os.ReadFile("../../testdata/keys/" + name + ".pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key
}

var blanks = regexp.MustCompile(`[ \t\r\n]+`)

// sign puts a DKIM-Signature on a plain message with CRLF line ends, relaxed and
// without anything that changes from run to run (RFC 6376 section 3.4). Tags that
// are not given are filled in.
func sign(raw []byte, key crypto.Signer, tags string) []byte {
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	algorithm := "rsa-sha256"
	if _, ok := key.(ed25519.PrivateKey); ok {
		algorithm = "ed25519-sha256"
	}
	for _, tag := range []string{"v=1", "a=" + algorithm, "c=relaxed/relaxed", "h=from:subject"} {
		if name := tag[:2]; !strings.Contains("; "+tags, "; "+name) {
			tags = tag + "; " + tags
		}
	}
	sum := sha256.Sum256([]byte(body))
	own := "DKIM-Signature: " + tags + "; bh=" + base64.StdEncoding.EncodeToString(sum[:]) + "; b="
	signed := ""
	covered := strings.ToLower(tags[strings.Index(tags, "h=")+2:])
	covered, _, _ = strings.Cut(covered, ";")
	for _, name := range strings.Split(covered, ":") {
		for _, line := range strings.Split(head, "\r\n") {
			if strings.HasPrefix(strings.ToLower(line), name+":") {
				signed += relaxed(line) + "\r\n"
				break
			}
		}
	}
	digest := sha256.Sum256([]byte(signed + relaxed(own)))
	hash := crypto.Hash(crypto.SHA256)
	if algorithm == "ed25519-sha256" {
		hash = 0 // RFC 8463 section 3 signs the digest as a message
	}
	sig, err := key.Sign(rand.Reader, digest[:], hash)
	if err != nil {
		panic(err)
	}
	return []byte(own + base64.StdEncoding.EncodeToString(sig) + "\r\n" + string(raw))
}

func relaxed(field string) string {
	name, value, _ := strings.Cut(field, ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(blanks.ReplaceAllString(value, " "))
}
