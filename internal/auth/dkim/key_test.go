package dkim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"testing"
)

func pkcs1Of(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))
}

// withExponent is p= for a key with that public exponent.
func withExponent(t *testing.T, e int64) string {
	t.Helper()
	der, err := asn1.Marshal(struct{ N, E *big.Int }{rsaKey(t, 2048).N, big.NewInt(e)})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}
