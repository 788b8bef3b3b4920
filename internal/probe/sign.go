package probe

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/settings"
)

// signingKey signs a message of ours.
type signingKey struct {
	domain, selector string
	key              crypto.Signer
}

// findSigningKey is the key of reports.dkim, else one made on the spot.
func findSigningKey(config *settings.Settings) (*signingKey, error) {
	k := config.Reports.DKIM
	if k.KeyFile == "" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		return &signingKey{domain: config.AuthServID, selector: "dmarcd-ping", key: key}, nil
	}
	path := config.Path(k.KeyFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reports.dkim.key_file: %w", err)
	}
	key, err := parsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("reports.dkim.key_file %s: %w", path, err)
	}
	return &signingKey{domain: k.Domain.String(), selector: k.Selector, key: key}, nil
}

// parsePrivateKey reads an RSA or Ed25519 key in PEM form, PKCS #8 or PKCS #1.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block; expected a private key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not an RSA or Ed25519 private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a key that can sign")
	}
	return signer, nil
}

// sign puts a DKIM-Signature on top of raw (RFC 6376).
func (k *signingKey) sign(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	err := msgauth.Sign(&out, bytes.NewReader(raw), &msgauth.SignOptions{
		Domain: k.domain, Selector: k.selector, Signer: k.key, Hash: crypto.SHA256,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
		BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
		// From stands twice, so that no second one can be added (RFC 6376 section 8.15).
		HeaderKeys: []string{"From", "From", "To", "Subject", "Date", "Message-ID"},
	})
	if err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
