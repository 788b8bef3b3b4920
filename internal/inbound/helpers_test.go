package inbound_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/netip"
)

func base64Key(k ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
