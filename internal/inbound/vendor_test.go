package inbound_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// The tests of this file cover what users of the vendor's products rely on, as far as no
// other test through the socket holds it.

// refused loads a policy file that must be refused, as a reload would, and gives
// the faults; the running settings stay.
func (r *rig) refused(policyYAML string) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(policyYAML), 0o600); err != nil {
		r.t.Fatal(err)
	}
	_, _, err := settings.LoadPolicy(path)
	var faults settings.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		r.t.Fatalf("taken over, or refused without a fault: %v", err)
	}
	return err.Error()
}

// TestDomainEntries walks the life of a domain's entry: it replaces the default
// wholly, there is one at most, and without it the default is in force again,
// which is always there.
func TestDomainEntries(t *testing.T) {
	spoof := from("reject.example").by("203.0.113.9")
	const (
		bypassing = "default: {dmarc: {exceptions: [203.0.113.9], actions: {no_record: reject}}}\n"
		entry     = "domains:\n  example.org: {dmarc: {actions: {reject: quarantine}}}\n"
	)
	r := newRig(t, behaviourZone, bypassing)
	meets := func(step, want string, m mail) {
		t.Helper()
		if got := outcomeWord(r.send(m)); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	meets("the default's exception", "accept", spoof)
	meets("the default's slot", "reject", from("norecord.example"))

	r.configure(bypassing + entry)
	meets("an entry without the default's exception", "quarantine", spoof)
	meets("an entry without the default's slot", "accept", from("norecord.example"))
	meets("a domain without an entry", "accept", spoof.to("a@example.net"))

	faults := r.refused(bypassing + entry + "  EXAMPLE.org: {dmarc: {enabled: false}}\n")
	if !strings.Contains(faults, "example.org") {
		t.Errorf("a second entry: the fault names no domain: %s", faults)
	}
	meets("a second entry changes nothing", "quarantine", spoof)

	r.configure(bypassing)
	meets("the entry deleted", "accept", spoof)
	meets("the entry deleted", "reject", from("norecord.example"))

	for _, without := range []string{"", "default:\n", "default: {}\n"} {
		r.configure(without)
		meets(fmt.Sprintf("no default but %q", without), "reject", spoof)
		meets(fmt.Sprintf("no default but %q", without), "accept", from("norecord.example"))
	}
}

// TestSlots combines every published policy with every action, and the actions by
// default.
func TestSlots(t *testing.T) {
	slots := []struct{ slot, domain, byDefault string }{
		{"none", "none.example", "accept"},
		{"quarantine", "quarantine.example", "quarantine"},
		{"reject", "reject.example", "reject"},
		{"no_record", "norecord.example", "accept"},
	}
	outcomes := map[string]string{"bypass": "accept", "quarantine": "quarantine", "reject": "reject"}
	stamped := map[string]string{"accept": "none", "quarantine": "quarantine"}
	for _, s := range slots {
		spoof := from(s.domain).by("203.0.113.9")
		try := func(name, policy, want string) {
			t.Run(s.slot+"/"+name, func(t *testing.T) {
				r := newRig(t, behaviourZone, policy)
				res := r.send(spoof)
				if got := outcomeWord(res); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if want == "reject" {
					return
				}
				if got := field(t, spoof, res, "X-TM-Authentication-Results"); !strings.Contains(got, " action="+stamped[want]+" ") {
					t.Errorf("stamped %s", got)
				}
			})
		}
		try("default", "{}", s.byDefault)
		for action, want := range outcomes {
			try(action, "{default: {dmarc: {actions: {"+s.slot+": "+action+"}}}}", want)
		}
	}
}

// vector is a message of the table of criteria, and what each of the criteria
// makes of it.
type vector struct {
	name               string
	mail               mail
	rfc, hes, enforced dmarc.Status
}

// vectors are those of the table, From domain, with the DNS that they need. The
// domain publishes p=reject.
func vectors(t *testing.T, domain string) (zone string, table []vector) {
	own, late, foreign := newSigner(domain, "s1"), newSigner(domain, "s2"), newSigner("foreign.test", "s1")
	zone = own.record() + late.record() + foreign.record() + strings.ReplaceAll(`
_dmarc.DOMAIN. TXT "v=DMARC1; p=reject"
pass.DOMAIN. TXT "v=spf1 ip4:192.0.2.0/24 -all"
fail.DOMAIN. TXT "v=spf1 -all"
softfail.DOMAIN. TXT "v=spf1 ~all"
neutral.DOMAIN. TXT "v=spf1 ?all"
permerror.DOMAIN. TXT "v=spf1 nonsense -all"
temperror.DOMAIN. FAULT servfail
elsewhere.test. TXT "v=spf1 ip4:192.0.2.0/24 -all"
`, "DOMAIN", domain)
	plain := "From: a@" + domain + "\nSubject: hello\n\nbody\n"
	alter := func(raw string) string { return strings.Replace(raw, "Subject: hello", "Subject: hallo", 1) }
	good := own.sign(t, plain)
	const P, F, T = dmarc.Pass, dmarc.Fail, dmarc.TempError
	for _, v := range []struct {
		name, mailFrom, raw string
		rfc, hes, enforced  dmarc.Status
	}{
		{"1", "pass." + domain, plain, P, P, F},
		{"2", "pass." + domain, alter(good), P, F, F},
		{"3", "fail." + domain, good, P, F, F},
		{"4", "softfail." + domain, plain, F, P, F},
		{"5 none", "nospf." + domain, plain, F, P, F},
		{"5 neutral", "neutral." + domain, plain, F, P, F},
		{"6", "fail." + domain, plain, F, F, F},
		{"7", "elsewhere.test", good, P, P, P},
		{"8", "elsewhere.test", plain, F, F, F},
		{"9", "permerror." + domain, plain, F, P, F},
		{"9t", "temperror." + domain, plain, T, P, T},
		{"10", "pass." + domain, good, P, P, P},
		{"11", "softfail." + domain, good, P, P, F},
		{"12", "pass." + domain, foreign.sign(t, plain), P, P, P},
		{"13", "pass." + domain, own.sign(t, alter(late.sign(t, plain))), P, P, P},
	} {
		table = append(table, vector{v.name, mail{mailFrom: "a@" + v.mailFrom, raw: v.raw}, v.rfc, v.hes, v.enforced})
	}
	return zone, table
}

// TestCriteriaTable sends the vectors of the table of criteria and sees
// what each makes of them. Whatever that is, Authentication-Results has the
// RFC's verdict.
func TestCriteriaTable(t *testing.T) {
	zone, table := vectors(t, "example.com")
	for _, c := range table {
		try := func(name, policyYAML string, want dmarc.Status) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				r := newRig(t, zone, "{mode: monitor, default: {dmarc: {"+policyYAML+"}}}")
				res := r.send(c.mail)
				if got := field(t, c.mail, res, "X-TM-Authentication-Results"); !strings.Contains(got, " dmarc="+string(want)+" ") {
					t.Errorf("want dmarc=%s in %s", want, got)
				}
				if got := field(t, c.mail, res, "Authentication-Results"); !strings.Contains(got, " dmarc="+string(c.rfc)+" ") {
					t.Errorf("want dmarc=%s in %s", c.rfc, got)
				}
				actions := map[dmarc.Status]policy.Action{dmarc.Pass: policy.Bypass, dmarc.Fail: policy.Reject, dmarc.TempError: policy.Defer}
				if got := r.last().Decision.Would; got != actions[want] {
					t.Errorf("would %s, want %s", got, actions[want])
				}
			})
		}
		try("rfc", "criteria: rfc", c.rfc)
		try("hes", "criteria: hes", c.hes)
		try("enforced", "enforced_peers: [example.com]", c.enforced)
	}
}

// TestStandaloneExamples holds the vendor's examples of the fields of standalone
// SPF and DKIM to the letter.
func TestStandaloneExamples(t *testing.T) {
	const who, tail = "example_address@example.com", " client-ip=10.64.72.206; envelope-from=example_address@example.com; helo=mailserver.example.com"
	spfForms := []struct{ name, record, want string }{
		{"Pass", `TXT "v=spf1 ip4:10.64.72.206 -all"`, " Pass (domain of " + who + " designates 10.64.72.206 as permitted sender)"},
		{"Fail", `TXT "v=spf1 -all"`, " Fail (domain of " + who + " does not designates 10.64.72.206 as permitted sender)"},
		{"SoftFail", `TXT "v=spf1 ~all"`, " SoftFail (domain of transitioning " + who + " discourages use of 10.64.72.206 as permitted sender)"},
		{"Neutral", `TXT "v=spf1 ?all"`, " Neutral (10.64.72.206 is neither permitted nor denied by domain of " + who + ")"},
		{"None", `TXT "another record"`, " None (domain of " + who + " does not designate permitted sender hosts)"},
		{"PermError", `TXT "v=spf1 nonsense -all"`, " PermError (domain of " + who + " uses mechanism not recognized by this client)"},
		{"TempError", "FAULT servfail", " TempError (error in processing during lookup of " + who + ")"},
	}
	for _, c := range spfForms {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "example.com. "+c.record+"\n", "{default: {spf: {enabled: true, x_header: true, actions: {fail: bypass}}}}")
			m := mail{client: "10.64.72.206", helo: "mailserver.example.com", mailFrom: who, raw: "From: a@norecord.example\n\nbody\n"}
			if got := field(t, m, r.send(m), "X-TM-Received-SPF"); got != c.want+tail {
				t.Errorf("got  %s\nwant %s", got, c.want+tail)
			}
		})
	}

	own := newSigner("test.com", "TM-DKIM_201603291435")
	own.identity = "sender@test.com"
	const plain = "From: sender@test.com\nSubject: hello\n\nbody\n"
	const malformed = "DKIM-Signature: v=1; nonsense\n" + plain
	signed := own.sign(t, plain)
	dkimForms := []struct{ name, more, raw, want string }{
		{"No signatures", "", plain, "dkim=pass; No signatures and verification is not enforced"},
		{"No processed signatures", "", malformed, "dkim=pass; No processed signatures and verification is not enforced"},
		{"enforced", ", enforced_peers: [test.com]", malformed, "dkim=fail; No processed signatures but verification is enforced"},
		{"Contain verified signature", "", signed, "dkim=pass; Contain verified signature, header.d=test.com, header.s=TM-DKIM_201603291435, header.i=sender@test.com"},
		{"No verified signatures", "", strings.Replace(signed, "Subject: hello", "Subject: hallo", 1), "dkim=fail; No verified signatures"},
	}
	for _, c := range dkimForms {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, own.record(), "{default: {dmarc: {x_header: false}, dkim: {enabled: true, x_header: true, actions: {fail: bypass}"+c.more+"}}}")
			m := mail{mailFrom: "sender@test.com", raw: c.raw}
			if got := field(t, m, r.send(m), "X-TM-Authentication-Results"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestTagStopsNothing has mail that is tagged go on to what happens to it, and the first
// check that intercepts end the chain before it is tagged.
func TestTagStopsNothing(t *testing.T) {
	const tag = "dmarc: {tag_subject: \"[SPOOF]\"%s}"
	spoof := from("quarantine.example").by("203.0.113.9")
	cases := []struct{ name, policy, outcome, subject string }{
		{"tagged and quarantined", "{default: {" + fmt.Sprintf(tag, "") + "}}", "quarantine", " [SPOOF] x"},
		{"tagged and let through", "{default: {" + fmt.Sprintf(tag, ", actions: {quarantine: bypass}") + "}}", "accept", " [SPOOF] x"},
		{"standalone SPF ends it", "{default: {spf: {enabled: true, actions: {fail: quarantine}}, " + fmt.Sprintf(tag, "") + "}}", "quarantine", " x"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy)
			res := r.send(spoof)
			if got := outcomeWord(res); got != c.outcome {
				t.Errorf("got %s, want %s", got, c.outcome)
			}
			if got := field(t, spoof, res, "Subject"); got != c.subject {
				t.Errorf("Subject:%s, want %s", got, c.subject)
			}
		})
	}
}

// TestListFiles has the senders list and the exceptions come from text files, one
// entry a line; a file with a bad line is refused as a whole, by the line's number.
func TestListFiles(t *testing.T) {
	dir := t.TempDir()
	list := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "\"file:" + path + "\""
	}
	form := func(senders, exceptions string) string {
		return "{default: {dmarc: {senders: [" + senders + "], exceptions: [" + exceptions + "]}}}"
	}
	senders := list("senders.txt", "# partners\nreject.example\n*.quarantine.example\n")
	exceptions := list("exceptions.txt", "198.51.100.7\n\n203.0.113.128/25 # the branch\n")
	r := newRig(t, behaviourZone, form(senders, exceptions))
	for _, c := range []struct {
		name string
		mail mail
		want policy.Reason
	}{
		{"listed", from("reject.example").by("203.0.113.9"), policy.ReasonPolicy},
		{"not listed", from("none.example").by("203.0.113.9"), policy.ReasonNotListed},
		{"below a listed one", from("mail.quarantine.example").by("203.0.113.9"), policy.ReasonPolicy},
		{"the listed one itself", from("quarantine.example").by("203.0.113.9"), policy.ReasonNotListed},
		{"excepted address", from("reject.example").by("198.51.100.7"), policy.ReasonException},
		{"excepted network", from("reject.example").by("203.0.113.200"), policy.ReasonException},
	} {
		r.send(c.mail)
		if got := r.last().Decision.Reason; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	faults := r.refused(form(senders, list("bad.txt", "192.0.2.1\n192.0.2.300\n10.0.0.0/40\n")))
	for _, want := range []string{"bad.txt:2", "192.0.2.300", "bad.txt:3", "10.0.0.0/40"} {
		if !strings.Contains(faults, want) {
			t.Errorf("no %s in %s", want, faults)
		}
	}
}
