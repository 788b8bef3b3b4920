package report

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// goldenRows are rows by the file in testdata/key that has their key. The words are
// spelled out: the octets of a word stand in databases.
func goldenRows() map[string]Row {
	return map[string]Row{
		"minimal": {SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: "none", DKIM: "fail", SPF: "pass", HeaderFrom: "example.com"},
		"null-sender": {
			SourceIP: netip.MustParseAddr("2001:db8::1"), Disposition: "pass", DKIM: "pass", SPF: "fail", HeaderFrom: "example.com",
			NullSender: true, AuthSPF: &SPFResult{Domain: "mx.example.com", Scope: "helo", Result: "none"},
		},
		"rejected": {
			SourceIP: netip.MustParseAddr("198.51.100.7"), Disposition: "reject", DKIM: "fail", SPF: "fail", HeaderFrom: "example.com",
			EnvelopeFrom: "bounces.example", AuthSPF: &SPFResult{Domain: "bounces.example", Scope: "mfrom", Result: "softfail"},
		},
		"full": {
			SourceIP: netip.MustParseAddr("192.0.2.10"), Disposition: "quarantine", DKIM: "fail", SPF: "pass",
			HeaderFrom: "example.com", EnvelopeFrom: "list.example", EnvelopeTo: "customer.example",
			AuthSPF: &SPFResult{Domain: "list.example", Scope: "mfrom", Result: "pass", HumanResult: "ip4"},
			AuthDKIM: []DKIMResult{
				{Domain: "list.example", Selector: "s1", Result: "none"},
				{Domain: "list.example", Selector: "s2", Result: "pass"},
				{Domain: "example.com", Selector: "s1", Result: "fail", HumanResult: "body hash did not match"},
				{Domain: "example.com", Selector: "s2", Result: "softfail"},
				{Domain: "example.com", Selector: "s3", Result: "policy"},
				{Domain: "example.com", Selector: "s4", Result: "neutral"},
				{Domain: "example.com", Selector: "s5", Result: "temperror"},
				{Domain: "example.com", Selector: "s6", Result: "permerror"},
			},
			Reasons: []Reason{
				{Type: "local_policy", Comment: "held"}, {Type: "mailing_list", Comment: "list.example"}, {Type: "other"}, {Type: "policy_test_mode"},
				{Type: "trusted_forwarder"}, {Type: "forwarded"}, {Type: "sampled_out"},
			},
		},
	}
}

// TestKeyOctets reads keys that were written long ago, and writes them the same.
func TestKeyOctets(t *testing.T) {
	for name, want := range goldenRows() {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "key", name+".hex"))
			if err != nil {
				t.Fatal(err)
			}
			key, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseKey(key)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("read\n %+v, %v, want\n %+v", got, err, want)
			}
			if again := want.AppendKey(nil); !bytes.Equal(again, key) {
				t.Errorf("written\n %x, want\n %x", again, key)
			}
		})
	}
}

// TestKeyOctetsHaveAllWords asks for a golden row of each word that has a code.
func TestKeyOctetsHaveAllWords(t *testing.T) {
	seen := map[string]bool{}
	note := func(kind, word string) { seen[kind+word] = true }
	for _, r := range goldenRows() {
		note("disposition ", string(r.Disposition))
		note("verdict ", string(r.DKIM))
		note("verdict ", string(r.SPF))
		if r.AuthSPF != nil {
			note("result ", string(r.AuthSPF.Result))
			note("scope ", string(r.AuthSPF.Scope))
		}
		for i := range r.AuthDKIM {
			note("result ", string(r.AuthDKIM[i].Result))
		}
		for i := range r.Reasons {
			note("reason ", string(r.Reasons[i].Type))
		}
	}
	var all []string
	all = appendWords(all, "disposition ", dispositionCodes[1:])
	all = appendWords(all, "verdict ", dmarcResultCodes[1:])
	all = appendWords(all, "result ", resultCodes[1:])
	all = appendWords(all, "scope ", scopeCodes[1:])
	all = appendWords(all, "reason ", reasonCodes[1:])
	for _, word := range all {
		if !seen[word] {
			t.Errorf("no golden row has the %s", word)
		}
	}
}

func appendWords[W ~string](all []string, kind string, words []W) []string {
	for _, w := range words {
		all = append(all, kind+string(w))
	}
	return all
}
