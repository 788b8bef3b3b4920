package text

import (
	"errors"
	"testing"
)

func TestError(t *testing.T) {
	for in, want := range map[string]string{
		"outgoing: dns: example.com TXT: no such name":                  "example.com TXT: no such name",
		"mailer: TLS: tls: failed to verify certificate: x509: expired": "TLS: failed to verify certificate: expired",
		"dial tcp 192.0.2.1:25: connect: connection refused":            "dial tcp 192.0.2.1:25: connect: connection refused",
		"cannot be asked: cannot be asked: closed":                      "cannot be asked: closed",
		"policy.yaml:3:9: dmarc: expected a mapping":                    "policy.yaml:3:9: dmarc: expected a mapping",
		"no such thing":  "no such thing",
		"store":          "store",
		"store: store: ": "",
	} {
		if got := Error(errors.New(in)); got != want {
			t.Errorf("Error(%q) = %q, want %q", in, got, want)
		}
	}
	if Error(nil) != "" {
		t.Error("nil says something")
	}
}
