package outgoing_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
)

func parseName(t testing.TB, s string) dns.Name {
	t.Helper()
	n, err := dns.ParseQuery(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const authResults = "mx.receiver.example; spf=fail smtp.mailfrom=sender.example; dmarc=fail header.from=sender.example"

// failing is a message that fails SPF and DKIM for its author's domain.
func failing(t testing.TB, record string) outgoing.Message {
	t.Helper()
	rec, err := dmarc.ParseRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	domain := dns.MustParse("sender.example")
	r := &memory.Record{
		At: today, QueueID: "4XYZ", ClientIP: netip.MustParseAddr("203.0.113.9"), Sender: "sender.example", EnvelopeFrom: domain,
		Verdict: policy.Verdict{
			SPF:  spf.Result{Status: spf.Fail, Domain: domain, Scope: spf.MailFrom, Chain: []string{"sender.example"}},
			DKIM: []dkim.Result{{Status: dkim.Fail, Domain: domain, Selector: "s1"}}, SPFAlignment: dmarc.Aligned, DKIMAlignments: []dmarc.Alignment{dmarc.Aligned},
			DMARC: dmarc.Result{Status: dmarc.Fail, Author: domain, PolicyDomain: domain, Record: rec, Policy: dmarc.PolicyReject},
		},
		Decision: policy.Decision{Action: policy.Reject, Evaluated: true, Status: dmarc.Fail},
		Trace: &memory.Trace{Answers: []memory.Answer{
			{Name: "sender.example", Type: "TXT", Texts: []string{`"v=spf1 ip4:192.0.2.0/24 " "-all"`, `"other=text"`}},
		}},
	}
	r.Outcomes = []memory.Outcome{{DailyReports: true, Decision: r.Decision}}
	return outgoing.Message{Record: r, AuthenticationResults: authResults, Header: header(
		"From: Alice Private <alice@sender.example>", "To: bob.secret@ours.example", "Subject: hush", "Date: Tue, 24 Nov 2026 10:00:00 +0000")}
}

func header(lines ...string) *message.Header {
	h := &message.Header{}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		h.Fields = append(h.Fields, message.Field{Name: name, Raw: []byte(line + "\r\n")})
	}
	return h
}

const wantsRUF = "v=DMARC1; p=reject; ruf=mailto:ruf@sender.example"

// TestFailure makes and sends a failure report.
func TestFailure(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Failures = true })
		r.p.Fail(failing(t, wantsRUF))
		r.p.Collect(t.Context())
		r.drain()
		mails := r.server.got("ruf@sender.example")
		if len(mails) != 1 {
			t.Fatalf("%d mails: %v, %+v", len(mails), r.states(), r.p.Stats())
		}
		m := mails[0]
		if m.from != "" {
			t.Errorf("envelope sender %q, want the null one", m.from)
		}
		for _, want := range []string{
			"To: <ruf@sender.example>", "report-type=feedback-report", "Auth-Failure: dmarc", "Identity-Alignment: dkim, spf",
			"Reported-Domain: sender.example", "Source-IP: 203.0.113.9", "Delivery-Result: reject", "DKIM-Selector: s1",
			`"v=spf1 ip4:192.0.2.0/24 -all"`, "Auto-Submitted: auto-generated", "mailto:ruf@sender.example",
		} {
			if !strings.Contains(m.data, want) {
				t.Errorf("no %q in\n%s", want, m.data)
			}
		}
		for _, secret := range []string{"alice", "Alice", "bob", "hush", "stand-in"} {
			if strings.Contains(m.data, secret) {
				t.Errorf("%q in\n%s", secret, m.data)
			}
		}
		if id := m.message(t).Header.Get("Message-ID"); id != "<"+r.reports(outgoing.Filter{})[0].Delivered[0].MessageID+">" {
			t.Errorf("message-id %s", id)
		}
	})
}

// TestFailureOfPassingMessage has the record that SPF used (RFC 9991 section 4), though
// the answers of a message that passes are not kept with its record.
func TestFailureOfPassingMessage(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Failures = true })
		m := failing(t, wantsRUF+"; fo=1")
		v := &m.Record.Verdict
		v.DKIM[0].Status, v.DMARC.Status, v.DMARC.DKIMAligned = dkim.Pass, dmarc.Pass, true
		m.Record.Decision.Action = policy.Bypass
		trace, asked := m.Record.Trace, 0
		m.Record.Trace = nil
		m.Trace = func() *memory.Trace { asked++; return trace }
		r.p.Fail(m)
		unwanted := m
		unwanted.AuthenticationResults = ""
		r.p.Fail(unwanted)
		r.p.Collect(t.Context())
		r.drain()
		mails := r.server.got("ruf@sender.example")
		if len(mails) != 1 || !strings.Contains(mails[0].data, `SPF-DNS: txt : sender.example :`) || !strings.Contains(mails[0].data, "Identity-Alignment: spf\r\n") {
			t.Errorf("%d mails: %v", len(mails), mails)
		}
		if asked != 1 || m.Record.Trace != nil {
			t.Errorf("asked %d times for the answers", asked)
		}
	})
}

// TestFailureSelector leaves the fields of DKIM to a signature that could be read.
func TestFailureSelector(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Failures = true })
		for _, client := range []string{"203.0.113.10", "203.0.113.11"} {
			m := failing(t, wantsRUF)
			m.Record.ClientIP = netip.MustParseAddr(client)
			v := &m.Record.Verdict
			v.DKIM[0].Selector = ""
			if client == "203.0.113.11" {
				v.DKIM = append(v.DKIM, dkim.Result{Status: dkim.Fail, Domain: v.DMARC.Author, Selector: "s2"})
				v.DKIMAlignments = append(v.DKIMAlignments, dmarc.Aligned)
			}
			r.p.Fail(m)
		}
		r.p.Collect(t.Context())
		r.drain()
		for _, m := range r.server.got("ruf@sender.example") {
			second := strings.Contains(m.data, "203.0.113.11")
			if strings.Contains(m.data, "DKIM-Domain:") != second || strings.Contains(m.data, "DKIM-Selector: s2") != second {
				t.Errorf("second signature: %t\n%s", second, m.data)
			}
		}
		if n := len(r.server.got("")); n != 2 {
			t.Errorf("%d mails", n)
		}
	})
}

// TestFailureWanted heeds fo, ruf, psd and what makes no report.
func TestFailureWanted(t *testing.T) {
	aligned := func(dkimToo bool) func(*outgoing.Message) {
		return func(m *outgoing.Message) {
			d := &m.Record.Verdict.DMARC
			d.Status, d.SPFAligned, d.DKIMAligned = dmarc.Pass, true, dkimToo
			m.Record.Verdict.SPF.Status = spf.Pass
			if dkimToo {
				m.Record.Verdict.DKIM = nil
			}
		}
	}
	for _, c := range []struct {
		name, record string
		change       func(*outgoing.Message)
		want         bool
	}{
		{"fo absent", wantsRUF, nil, true},
		{"fo absent, one passes", wantsRUF, aligned(false), false},
		{"fo=1, one passes", wantsRUF + "; fo=1", aligned(false), true},
		{"fo=1, both pass", wantsRUF + "; fo=1", aligned(true), false},
		{"fo=d", wantsRUF + "; fo=d", aligned(false), true},
		{"fo=d, none", wantsRUF + "; fo=d", aligned(true), false},
		{"fo=s, passes", wantsRUF + "; fo=s", aligned(false), false},
		{"fo=s", wantsRUF + "; fo=s", nil, true},
		{"p=none", "v=DMARC1; p=none; t=y; ruf=mailto:ruf@sender.example", nil, true},
		{"no ruf", "v=DMARC1; p=reject; rua=mailto:rua@sender.example; fo=1", nil, false},
		{"psd=y", wantsRUF + "; psd=y", nil, false},
		{"a report", wantsRUF, func(m *outgoing.Message) { m.Record.CarriesReport = true }, false},
		{"a bounce", wantsRUF, func(m *outgoing.Message) { m.Record.NullSender = true }, false},
		{"an answer", wantsRUF, func(m *outgoing.Message) { m.Header = header("Auto-Submitted: auto-replied") }, false},
		{"written by people", wantsRUF, func(m *outgoing.Message) { m.Header = header("Auto-Submitted: no") }, true},
		{"a feedback report", wantsRUF, func(m *outgoing.Message) {
			m.Header = header("Content-Type: multipart/report; report-type=feedback-report")
		}, false},
		{"a report of no type", wantsRUF, func(m *outgoing.Message) { m.Header = header("Content-Type: Multipart/Report; boundary=x") }, false},
		{"a report by its subject", wantsRUF, func(m *outgoing.Message) {
			m.Header = header("Subject: Report Domain: a.example Submitter: b.example Report-ID: 1")
		}, false},
		{"no header", wantsRUF, func(m *outgoing.Message) { m.Header = nil }, true},
		{"temperror", wantsRUF, func(m *outgoing.Message) { m.Record.Verdict.DMARC.Status = dmarc.TempError }, false},
		{"a tenant that keeps out", wantsRUF, func(m *outgoing.Message) { m.Record.Outcomes[0].DailyReports = false }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "sqlite:test.db")
			r.change(func(c *outgoing.Config) { c.Failures = true })
			m := failing(t, c.record)
			if c.change != nil {
				c.change(&m)
			}
			r.p.Fail(m)
			r.p.Collect(t.Context())
			if got := len(r.reports(outgoing.Filter{Kind: outgoing.KindFailure})) == 1; got != c.want {
				t.Errorf("a report: %t, want %t", got, c.want)
			}
			s := r.p.Stats()
			if c.want && s.FailuresSent != 1 || !c.want && s.FailuresIgnored != 1 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// TestFailureLimits collapses what is alike and holds to the limits of an hour.
func TestFailureLimits(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Failures, c.FailuresPerHour = true, 12 })
		for range 30 {
			r.p.Fail(failing(t, wantsRUF))
		}
		r.p.Collect(t.Context())
		if n := len(r.reports(outgoing.Filter{})); n != 1 {
			t.Fatalf("%d reports on messages that fail alike", n)
		}
		r.clock.add(time.Hour + time.Second)
		r.p.Collect(t.Context())
		list := r.reports(outgoing.Filter{})
		if len(list) != 2 || list[0].Messages != 29 {
			t.Fatalf("after an hour: %+v", list)
		}
		r.drain()
		if mails := r.server.got(""); len(mails) != 2 || !strings.Contains(mails[0].data+mails[1].data, "Incidents: 29") {
			t.Errorf("%d mails, or no Incidents", len(mails))
		}
		// Two for an hour and host, twelve for all.
		r.clock.add(2 * time.Hour)
		for host := range 10 {
			for client := range 5 {
				m := failing(t, fmt.Sprintf("v=DMARC1; p=reject; ruf=mailto:ruf@h%d.sender.example", host))
				m.Record.ClientIP = netip.AddrFrom4([4]byte{198, 51, byte(100 + host), byte(client)})
				r.p.Fail(m)
			}
			r.p.Collect(t.Context())
		}
		perHost := map[string]int{}
		for _, report := range r.reports(outgoing.Filter{})[:len(r.reports(outgoing.Filter{}))-2] {
			for _, d := range report.Delivered {
				perHost[d.To]++
			}
		}
		all := 0
		for to, n := range perHost {
			if all += n; n > 2 {
				t.Errorf("%d to %s within an hour", n, to)
			}
		}
		if all != 12 {
			t.Errorf("%d within an hour, want 12: %v", all, perHost)
		}
		if s := r.p.Stats(); s.FailuresDropped != 50-12 {
			t.Errorf("%d dropped", s.FailuresDropped)
		}
	})
}

// TestFailureNeverBlocks floods the collector while nobody collects.
func TestFailureNeverBlocks(t *testing.T) {
	r := newRig(t, "sqlite:test.db")
	r.change(func(c *outgoing.Config) { c.Failures = true })
	m := failing(t, wantsRUF)
	for range 1000 {
		r.p.Fail(m)
	}
	if s := r.p.Stats(); s.FailuresDropped != 1000-256 {
		t.Errorf("%d dropped", s.FailuresDropped)
	}
}

// TestSigned verifies what we sign, by keys of either kind.
func TestSigned(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		key      crypto.Signer
		pkcs1    bool
		mode     os.FileMode
		domain   string
		warnings []string
	}{
		{"RSA", big, false, 0o600, "receiver.example", nil},
		{"RSA of PKCS #1", big, true, 0o600, "receiver.example", nil},
		{"short RSA", small, false, 0o600, "receiver.example", []string{"1024 bits"}},
		{"Ed25519", edwards, false, 0o600, "receiver.example", []string{"Ed25519"}},
		{"open to all", big, false, 0o644, "receiver.example", []string{"0644"}},
		{"not aligned", big, false, 0o600, "other.example", []string{"does not align"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "sqlite:test.db")
			block := &pem.Block{Type: "PRIVATE KEY"}
			if c.pkcs1 {
				block.Type, block.Bytes = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(c.key.(*rsa.PrivateKey))
			} else if block.Bytes, err = x509.MarshalPKCS8PrivateKey(c.key); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, pem.EncodeToMemory(block), c.mode); err != nil {
				t.Fatal(err)
			}
			s := &settings.Settings{Reports: settings.Reports{Enabled: true, Email: "dmarc@receiver.example",
				DKIM: settings.ReportKey{Domain: dns.MustParse(c.domain), Selector: "r1", KeyFile: path}}}
			signer, warnings, err := outgoing.LoadSigner(s)
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != len(c.warnings) || len(warnings) == 1 && !strings.Contains(warnings[0], c.warnings[0]) {
				t.Errorf("warnings %q, want %q", warnings, c.warnings)
			}
			r.change(func(config *outgoing.Config) { config.Signer = signer })
			r.to("x@a.example")
			r.night()
			mails := r.server.got("")
			if len(mails) != 1 {
				t.Fatal(r.states())
			}
			public, err := x509.MarshalPKIXPublicKey(c.key.Public())
			kind := "rsa"
			if key, ok := c.key.Public().(ed25519.PublicKey); ok {
				public, kind = key, "ed25519"
			}
			if err != nil {
				t.Fatal(err)
			}
			verified, err := msgauth.VerifyWithOptions(strings.NewReader(mails[0].data), &msgauth.VerifyOptions{
				LookupTXT: func(name string) ([]string, error) {
					if name != "r1._domainkey."+c.domain {
						t.Errorf("asked for %s", name)
					}
					return []string{"v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public)}, nil
				},
			})
			if err != nil || len(verified) != 1 || verified[0].Err != nil || verified[0].Domain != c.domain {
				t.Errorf("verified %+v, %v", verified, err)
			}
			mails[0].report(t)
		})
	}
}

// TestBadKeys says what is wrong with a key.
func TestBadKeys(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no PEM":    {"hello", "no PEM block"},
		"no key":    {"-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n", "not an RSA or Ed25519"},
		"encrypted": {"-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----\n", "encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := &settings.Settings{Reports: settings.Reports{DKIM: settings.ReportKey{Domain: dns.MustParse("receiver.example"), Selector: "s", KeyFile: path}}}
			if _, _, err := outgoing.LoadSigner(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
