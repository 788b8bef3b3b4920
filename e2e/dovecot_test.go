//go:build e2e

package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// dovecot is a Dovecot in a jail, configured by testdata/dovecot: twice, with MOVE
// and TLS, and without either.
type dovecot struct {
	jail *jail
	ca   []byte // the certificate
}

const (
	uidMail = 8
	gidMail = 8
	// What Dovecot has without MOVE (RFC 6851).
	withoutMove = "imap_capability = IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE UIDPLUS"
)

func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	jail, err := newJail("dovecot")
	if err != nil {
		t.Fatal(err)
	}
	d := &dovecot{jail: jail}
	cert, key := d.certificate(t)
	text, err := os.ReadFile("testdata/dovecot/dovecot.conf")
	if err != nil {
		t.Fatal(err)
	}
	ssl := "ssl_cert = </etc/dovecot/cert.pem\nssl_key = </etc/dovecot/key.pem"
	files := map[string]string{
		"etc/dovecot/cert.pem": cert, "etc/dovecot/key.pem": key,
		"etc/dovecot/moving.conf":  strings.NewReplacer("@NAME@", "moving", "@IMAP@", "1143", "@IMAPS@", "1993", "@SSL@", "yes", "@CERT@", ssl, "@MORE@", "").Replace(string(text)),
		"etc/dovecot/copying.conf": strings.NewReplacer("@NAME@", "copying", "@IMAP@", "2143", "@IMAPS@", "0", "@SSL@", "no", "@CERT@", "", "@MORE@", withoutMove).Replace(string(text)),
	}
	for name, content := range files {
		if err := jail.write(name, content); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"moving", "copying"} {
		for _, dir := range []string{"run/" + name, "var/lib/" + name} {
			if err := jail.mkdir(dir, 0o755, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		p := &process{name: "dovecot-" + name, cmd: jail.command("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/"+name+".conf")}
		if err := p.start(jail.log); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.stop() }) // it ends with the signal
		port := map[string]string{"moving": "127.0.0.1:1143", "copying": "127.0.0.1:2143"}[name]
		if err := p.awaitPort(port); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// certificate makes one for localhost.
func (d *dovecot) certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	d.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(d.ca), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// deliver puts a mail into a user's mailbox, as a delivery agent does (maildir).
func (d *dovecot) deliver(t *testing.T, user, name, mail string) {
	t.Helper()
	for _, dir := range []string{"", "/tmp", "/new", "/cur"} {
		if err := d.jail.mkdir("var/mail/"+user+dir, 0o700, uidMail, gidMail); err != nil {
			t.Fatal(err)
		}
	}
	tmp := "var/mail/" + user + "/tmp/" + name
	if err := d.jail.write(tmp, mail); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(d.jail.path(tmp), uidMail, gidMail); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.jail.path(tmp), d.jail.path("var/mail/"+user+"/new/"+name)); err != nil {
		t.Fatal(err)
	}
}

// count is the number of mails in a folder of a user: "" is INBOX.
func (d *dovecot) count(folder string) int {
	n := 0
	for _, dir := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(d.jail.path("var/mail/"+folder), dir))
		if err == nil {
			n += len(entries)
		}
	}
	return n
}

var (
	copyCommand  = regexp.MustCompile(`(?i)^(\S+) UID COPY `)
	storeCommand = regexp.MustCompile(`(?i)^\S+ UID STORE `)
)

// proxy is an IMAP server before another: it refuses the first COPY of all, and cuts the
// connection off where the first mails that were copied are to be removed.
type proxy struct{ copies, removals atomic.Int32 }

func newProxy(t *testing.T, addr, server string) *proxy {
	t.Helper()
	p := &proxy{}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				backend, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer backend.Close()
				go func() {
					_, _ = io.Copy(client, backend)
					_ = client.Close()
				}()
				lines := bufio.NewReader(client)
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					if m := copyCommand.FindStringSubmatch(line); m != nil && p.copies.Add(1) == 1 {
						fmt.Fprintf(client, "%s NO [OVERQUOTA] Quota exceeded\r\n", m[1])
						continue
					}
					if storeCommand.MatchString(line) && p.removals.Add(1) == 1 {
						return
					}
					if _, err := io.WriteString(backend, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return p
}
