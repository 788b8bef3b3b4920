//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"github.com/emersion/go-msgauth/dkim"
)

const selector = "s1" // of every DKIM key here

// signingKey is the key of all signing domains.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// keyRecords is zone text that publishes signingKey for the domains.
func keyRecords(domains ...string) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(signingKey().Public())
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, d := range domains {
		fmt.Fprintf(&b, "%s._domainkey.%s TXT \"v=DKIM1; k=rsa; p=%s\"\n", selector, d, base64.StdEncoding.EncodeToString(public))
	}
	return b.String(), nil
}

// letter is a message to be written.
type letter struct {
	from    string   // domain of the From field
	extra   []string // whole fields, put on top
	subject string   // the field's value with its leading space; " hello" if empty
	body    string   // a short text if empty
	signer  string   // d= of its DKIM signature; empty: unsigned
	simple  bool     // canonicalization simple/simple; otherwise relaxed/relaxed
}

// text writes the message for one recipient, lines ending in CRLF.
func (l letter) text(rcpt string) string {
	subject, body := l.subject, l.body
	if subject == "" {
		subject = " hello"
	}
	if body == "" {
		body = "Good day,\r\n\r\nthis is a test.\r\n.a line that begins with a dot\r\n"
	}
	var b strings.Builder
	for _, field := range l.extra {
		b.WriteString(field + "\r\n")
	}
	fmt.Fprintf(&b, "From: Someone <someone@%s>\r\n", l.from)
	fmt.Fprintf(&b, "To: <%s>\r\n", rcpt)
	fmt.Fprintf(&b, "Subject:%s\r\n", subject)
	b.WriteString("Date: Sat, 22 Nov 2025 10:00:00 +0000\r\n")
	fmt.Fprintf(&b, "Message-ID: %s\r\n", l.messageID(rcpt))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	b.WriteString(body)
	if l.signer == "" {
		return b.String()
	}
	return sign(b.String(), l.signer, l.simple)
}

// messageID is that of the message for one recipient.
func (l letter) messageID(rcpt string) string {
	return fmt.Sprintf("<%s.id@%s>", strings.ReplaceAll(rcpt, "@", "."), l.from)
}

func sign(text, domain string, simple bool) string {
	var canonicalization dkim.Canonicalization = dkim.CanonicalizationRelaxed
	if simple {
		canonicalization = dkim.CanonicalizationSimple
	}
	var signed bytes.Buffer
	err := dkim.Sign(&signed, strings.NewReader(text), &dkim.SignOptions{
		Domain:                 domain,
		Selector:               selector,
		Signer:                 signingKey(),
		HeaderCanonicalization: canonicalization,
		BodyCanonicalization:   canonicalization,
		HeaderKeys:             []string{"From", "To", "Subject", "Date", "Message-ID"},
	})
	if err != nil {
		panic(err) // the test's own text is at fault
	}
	return signed.String()
}
