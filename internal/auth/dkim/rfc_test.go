package dkim

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// The keys of RFC 6376 appendix C and RFC 8463 appendix A.2.
const (
	rfc6376RSA = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ" +
		"KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" +
		"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v" +
		"/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi" +
		"tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
	rfc8463RSA = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
		"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC" +
		"DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3" +
		"Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
	rfc8463Ed25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

// TestRFCExamples verifies the example messages of the RFCs, which stand
// outside of the repository.
func TestRFCExamples(t *testing.T) {
	res := &zone{txt: map[string][]string{
		"brisbane._domainkey.example.com":          {rfc6376RSA},
		"brisbane._domainkey.football.example.com": {rfc8463Ed25519},
		"test._domainkey.football.example.com":     {rfc8463RSA},
	}}
	for name, signatures := range map[string]int{"rfc6376-A.2.eml": 1, "rfc8463-A.3.eml": 2} {
		t.Run(name, func(t *testing.T) {
			mail, err := os.ReadFile("../../../../shared/suites/dkim/" + name)
			if errors.Is(err, os.ErrNotExist) {
				t.Skip("the published examples are not here: ../shared/suites/dkim")
			} else if err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(strings.ReplaceAll(string(mail), "\n", "\r\n"), "\r\n\r\n")
			got := verify(res, head+"\r\n", body, Options{Now: testNow})
			if len(got) != signatures {
				t.Fatalf("%d results, want %d", len(got), signatures)
			}
			for _, r := range got {
				if r.Status != Pass {
					t.Errorf("%s %s: %s, %v", r.Selector, r.Algorithm, r.Status, r.Err)
				}
			}
			for _, r := range verify(res, head+"\r\n", body+"x", Options{Now: testNow}) {
				if r.Status != Fail || !errors.Is(r.Err, ErrBodyHash) {
					t.Errorf("with a body changed: %s %s: %s, %v", r.Selector, r.Algorithm, r.Status, r.Err)
				}
			}
		})
	}
}
