package main

import (
	"bytes"
	"context"
	"fmt"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns"
	"dmarcd/internal/filter"
	"dmarcd/internal/settings"
)

// secondOpinion is what go-msgauth's verifier says of each signature, in a line
// each. It knows fewer cases than ours; differences are for people to read.
func secondOpinion(ctx context.Context, client filter.Resolver, config *settings.Settings, raw []byte) []string {
	verifications, err := msgauth.VerifyWithOptions(bytes.NewReader(raw), &msgauth.VerifyOptions{
		MaxVerifications: config.Limits.Signatures,
		LookupTXT: func(domain string) ([]string, error) {
			name, err := dns.Parse(domain)
			if err != nil {
				return nil, err
			}
			return client.LookupTXT(ctx, name)
		},
	})
	lines := []string{}
	for _, v := range verifications {
		word := "pass"
		if v.Err != nil {
			word = "fail: " + v.Err.Error()
		}
		lines = append(lines, fmt.Sprintf("go-msgauth: d=%q %s", v.Domain, word))
	}
	if err != nil {
		lines = append(lines, "go-msgauth: "+err.Error())
	}
	if len(lines) == 0 {
		lines = append(lines, "go-msgauth: no signature")
	}
	return lines
}
