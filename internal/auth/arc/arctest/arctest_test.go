package arctest

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const suite = `
description: First
tests:
  zulu:
    description: text
    message: |
      A: b

      body
    cv: Pass
  alpha:
    message: |

    cv:
  zulu:
    message: "A: c\n"
    cv: None
txt-records:
  k._domainkey.example.org: >-
    v=DKIM1;
    p=
---
description: Second
tests: {}
`

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "suite.yml")
	if err := os.WriteFile(path, []byte(suite), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := Load(path)
	if err != nil || len(cases) != 3 {
		t.Fatalf("%+v, %v", cases, err)
	}
	want := []struct{ name, message, status string }{{"zulu", "A: b\r\n\r\nbody\r\n", "pass"}, {"alpha", "", "fail"}, {"zulu#2", "A: c\r\n", "none"}}
	for i, w := range want {
		c := cases[i]
		if c.Name != w.name || string(c.Message) != w.message || c.Status() != w.status || c.Suite != "First" || c.TXT["k._domainkey.example.org"] != "v=DKIM1; p=" {
			t.Errorf("%+v, want %+v", c, w)
		}
	}
}

// TestSeal: the sets go on top, number themselves and do not change the message.
func TestSeal(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	const raw = "From: a@example.com\r\n\r\nbody\r\n"
	one := string(Seal([]byte(raw), "mx.example; none", "d1.example", "s", key, ""))
	two := string(Seal([]byte(one), "mx.example; none", "d2.example", "s", key, ""))
	if !strings.HasSuffix(one, "\r\n"+raw) || !strings.HasSuffix(two, "\r\n"+one) {
		t.Error(two)
	}
	h, body := Split([]byte(two))
	var names []string
	for _, f := range h.Fields {
		names = append(names, f.Name)
	}
	const set = "ARC-Seal ARC-Message-Signature ARC-Authentication-Results "
	if got := strings.Join(names, " "); got != set+set+"From" || string(body) != "body\r\n" {
		t.Errorf("%s, body %q", got, body)
	}
	for i, begins := range []string{" i=2; a=ed25519-sha256; cv=pass; d=d2.example", " i=2;", " i=2; mx.example", " i=1; a=ed25519-sha256; cv=none;"} {
		if value := string(h.Fields[i].Value()); !strings.HasPrefix(value, begins) {
			t.Errorf("%q does not begin %q", value, begins)
		}
	}
}
