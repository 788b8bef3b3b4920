package inbound_test

import (
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/spf/spftest"
	"dmarcd/internal/milter/miltertest"
)

// belowSocket are the tests of the suite whose envelope the milter protocol or
// an MTA would change on the way. They run whole in package spf.
var belowSocket = map[string]string{}

// TestSPFSuite runs the RFC 7208 suite through the milter socket and the
// resolver: what is compared is the field that mail gets.
func TestSPFSuite(t *testing.T) {
	path, err := spftest.Find(spftest.RFC7208)
	if err != nil {
		t.Skip(err)
	}
	suites, err := spftest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	const suiteSize = 203
	ran := 0
	for _, suite := range suites {
		r := newRig(t, suite.Zone.MasterFile(), "{mode: monitor}")
		for _, test := range suite.Tests {
			ran++
			t.Run(suite.Description+"/"+test.Name, func(t *testing.T) {
				if why, ok := belowSocket[test.Name]; ok {
					t.Skip(why)
				}
				mta := r.open(miltertest.Peer{Addr: test.Host, Helo: test.Helo}, miltertest.Postfix())
				m := mail{mailFrom: test.MailFrom, raw: "From: a@author.invalid\n\nbody\n"}
				value := field(t, m, r.sendOn(mta, m), authres.FieldName)
				parsed, err := authres.Parse(value)
				if err != nil {
					t.Fatalf("%q: %v", value, err)
				}
				item := parsed.Items[0]
				if item.Method != "spf" || !slices.Contains(test.Results, item.Result) {
					t.Errorf("%s, want spf=%v: RFC 7208 section %s: %s", strings.TrimSpace(value), test.Results, test.Spec, test.Description)
				}
				want := test.Explanation
				if want == spftest.Default {
					want = ""
				}
				if got := r.last().Verdict.SPF.Explanation; test.Explanation != "" && got != want {
					t.Errorf("explanation %q, want %q", got, want)
				}
			})
		}
	}
	if ran != suiteSize {
		t.Errorf("ran %d tests of the suite, want %d", ran, suiteSize)
	}
}
