package outgoing

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

// ErrKey is wrapped where a key for signing cannot be used.
var ErrKey = errors.New("outgoing: reports.dkim.key_file")

// Sizes of RSA keys in bits: fewer than least are refused by verifiers (RFC 8301 section
// 3.2), and better is the recommended size.
const (
	leastRSA  = 1024
	betterRSA = 2048
)

// Signer signs mails by DKIM. It may be used from several goroutines.
type Signer struct {
	domain, selector string
	key              crypto.Signer
}

// LoadSigner reads the key of the settings; nil if they name none. Its warnings are for
// the operator: a key that others can read, or a domain that does not align with the
// reports' sender address (RFC 9990 section 3.5.2: the mail MUST pass DMARC).
func LoadSigner(s *settings.Settings) (*Signer, []string, error) {
	k := s.Reports.DKIM
	if k.KeyFile == "" {
		if s.Reports.Enabled {
			return nil, []string{"reports.dkim has no key: mails with reports must pass DMARC, so the MTA has to sign them or SPF has to pass"}, nil
		}
		return nil, nil, nil
	}
	path := s.Path(k.KeyFile)
	warnings := alignmentWarnings(k.Domain, s.Reports.Email)
	info, err := os.Stat(path)
	if err != nil {
		return nil, warnings, fmt.Errorf("%w: %w", ErrKey, err)
	}
	const others = fs.FileMode(0o037)
	if info.Mode().Perm()&others != 0 {
		warnings = append(warnings, fmt.Sprintf("reports.dkim.key_file %s can be read or changed by others (mode %04o); chmod 0600 it", path, info.Mode().Perm()))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, warnings, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, more, err := parseKey(data)
	warnings = append(warnings, more...)
	if err != nil {
		return nil, warnings, fmt.Errorf("%w: %s: %w", ErrKey, path, err)
	}
	return &Signer{domain: k.Domain.String(), selector: k.Selector, key: key}, warnings, nil
}

// alignmentWarnings looks whether a signature of domain aligns with From. Without
// the DNS it is only certain where one name is the other or below it.
func alignmentWarnings(domain dns.Name, email string) []string {
	from, err := dns.Parse(email[strings.LastIndexByte(email, '@')+1:])
	if err != nil || domain.IsZero() || from == domain || from.IsBelow(domain) || domain.IsBelow(from) {
		return nil
	}
	return []string{fmt.Sprintf("reports.dkim.domain %s does not align with reports.email <%s>: receivers drop reports that fail DMARC", domain, email)}
}

// parseKey reads an RSA or Ed25519 key in PEM form, PKCS #8 or PKCS #1.
func parseKey(data []byte) (crypto.Signer, []string, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, errors.New("no PEM block; expected an RSA or Ed25519 private key")
	}
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, nil, errors.New("the key is encrypted; store it without a password, readable by the daemon alone")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return checkRSA(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("not an RSA or Ed25519 private key: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return checkRSA(key)
	case ed25519.PrivateKey:
		return key, []string{"reports.dkim.key_file is an Ed25519 key: some receivers verify RSA signatures only"}, nil
	}
	return nil, nil, fmt.Errorf("a key of type %T cannot sign for DKIM; expected RSA or Ed25519", key)
}

func checkRSA(key *rsa.PrivateKey) (crypto.Signer, []string, error) {
	switch bits := key.N.BitLen(); {
	case bits < leastRSA:
		return nil, nil, fmt.Errorf("an RSA key of %d bits is not verified by anybody; use %d", bits, betterRSA)
	case bits < betterRSA:
		return key, []string{fmt.Sprintf("reports.dkim.key_file has only %d bits; %d are recommended", bits, betterRSA)}, nil
	}
	return key, nil, nil
}

// sign puts a DKIM-Signature on top of a mail (RFC 6376). From is listed twice, so that
// no second one can be added (section 8.15).
func (s *Signer) sign(mail []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(mail) + 1<<10)
	err := msgauth.Sign(&out, bytes.NewReader(mail), &msgauth.SignOptions{
		Domain: s.domain, Selector: s.selector, Signer: s.key, Hash: crypto.SHA256,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
		BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
		HeaderKeys: []string{
			"From", "From", "To", "Subject", "Subject", "Date", "Message-ID",
			"Auto-Submitted", "MIME-Version", "Content-Type",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("outgoing: sign: %w", err)
	}
	return out.Bytes(), nil
}
