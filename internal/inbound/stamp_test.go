package inbound_test

import (
	"strings"
	"testing"
)

// zone of the header examples: test.com and example.com publish what the
// examples need, and the clients' addresses are those of the examples.
const exampleZone = `
test.com. TXT "v=spf1 -all"
_dmarc.test.com. TXT "v=DMARC1; p=reject"
example.com. TXT "v=spf1 ip4:10.210.128.20 ip4:10.204.128.20 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"
`

// TestHeaderExamples holds the vendor's examples of the DMARC form to the letter.
func TestHeaderExamples(t *testing.T) {
	good := newSigner("example.com", "s1")
	const plain = "From: Ann <ann@example.com>\nSubject: hello\n\nbody\n"
	broken := func(t *testing.T) string {
		return strings.Replace(good.sign(t, plain), "Subject: hello", "Subject: hallo", 1)
	}
	cases := []struct {
		name   string
		policy string
		mail   func(t *testing.T) mail
		want   string
	}{
		{
			name:   "seed: unsigned spoof, criteria hes, monitor",
			policy: "{mode: monitor, default: {dmarc: {criteria: hes}}}",
			mail: func(*testing.T) mail {
				return mail{client: "10.204.148.40", mailFrom: "a@test.com", raw: "From: a@test.com\nSubject: x\n\nbody\n"}
			},
			want: " spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=test.com; dkim=pass (no processed signatures) header.d=none; dmarc=fail action=reject header.from=test.com;",
		},
		{
			name:   "the same under criteria rfc",
			policy: "{mode: monitor}",
			mail: func(*testing.T) mail {
				return mail{client: "10.204.148.40", mailFrom: "a@test.com", raw: "From: a@test.com\nSubject: x\n\nbody\n"}
			},
			want: " spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=test.com; dkim=none (no processed signatures) header.d=none; dmarc=fail action=reject header.from=test.com;",
		},
		{
			name: "guide: both pass",
			mail: func(t *testing.T) mail {
				return mail{client: "10.210.128.20", mailFrom: "ann@example.com", raw: good.sign(t, plain)}
			},
			want: " spf=pass (sender IP address: 10.210.128.20) smtp.mailfrom=example.com; dkim=pass (signatures verified) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		{
			name:   "guide: both fail, nothing done",
			policy: "{default: {dmarc: {actions: {reject: bypass}}}}",
			mail: func(t *testing.T) mail {
				return mail{client: "10.204.148.40", mailFrom: "ann@example.com", raw: broken(t)}
			},
			want: " spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=example.com; dkim=fail (no verified signatures found) header.d=example.com; dmarc=fail action=none header.from=example.com;",
		},
		{
			name: "guide: SPF fails, DKIM passes",
			mail: func(t *testing.T) mail {
				return mail{client: "10.204.148.40", mailFrom: "ann@example.com", raw: good.sign(t, plain)}
			},
			want: " spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=example.com; dkim=pass (signatures verified) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		{
			name: "guide: SPF passes, DKIM fails",
			mail: func(t *testing.T) mail {
				return mail{client: "10.204.128.20", mailFrom: "ann@example.com", raw: broken(t)}
			},
			want: " spf=pass (sender IP address: 10.204.128.20) smtp.mailfrom=example.com; dkim=fail (no verified signatures found) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		{
			name: "null sender, IPv6, no record",
			mail: func(*testing.T) mail {
				return mail{client: "2001:db8::1", helo: "mx.nowhere.example", raw: "From: a@nowhere.example\n\nbody\n"}
			},
			want: " spf=none (sender IP address: 2001:db8::1) smtp.mailfrom=none; dkim=none (no processed signatures) header.d=none; dmarc=none action=none header.from=nowhere.example;",
		},
		{
			name:   "no record, quarantined",
			policy: "{default: {dmarc: {actions: {no_record: quarantine}}}}",
			mail: func(*testing.T) mail {
				return mail{client: "192.0.2.1", mailFrom: "a@nowhere.example", raw: "From: a@nowhere.example\n\nbody\n"}
			},
			want: " spf=none (sender IP address: 192.0.2.1) smtp.mailfrom=nowhere.example; dkim=none (no processed signatures) header.d=none; dmarc=none action=quarantine header.from=nowhere.example;",
		},
		{
			name:   "enforced peer without a record",
			policy: "{default: {dmarc: {enforced_peers: [nowhere.example]}}}",
			mail: func(*testing.T) mail {
				return mail{client: "192.0.2.1", mailFrom: "a@nowhere.example", raw: "From: a@nowhere.example\n\nbody\n"}
			},
			want: " spf=none (sender IP address: 192.0.2.1) smtp.mailfrom=nowhere.example; dkim=fail (no processed signatures) header.d=none; dmarc=fail action=quarantine header.from=nowhere.example;",
		},
		{
			name:   "no readable From, let through",
			policy: "{default: {dmarc: {multiple_from: bypass}}}",
			mail: func(*testing.T) mail {
				return mail{client: "192.0.2.1", mailFrom: "a@test.com", raw: "Subject: no From\n\nbody\n"}
			},
			want: " spf=fail (sender IP address: 192.0.2.1) smtp.mailfrom=test.com; dkim=none (no processed signatures) header.d=none; dmarc=permerror action=none header.from=none;",
		},
	}
	zone := exampleZone + good.record()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, zone, c.policy)
			m := c.mail(t)
			res := r.send(m)
			if got := field(t, m, res, "X-TM-Authentication-Results"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestSeedFolding holds the places where the vendor's line is folded.
func TestSeedFolding(t *testing.T) {
	r := newRig(t, exampleZone, "{mode: monitor, default: {dmarc: {criteria: hes}}}")
	res := r.send(mail{client: "10.204.148.40", mailFrom: "a@test.com", raw: "From: a@test.com\n\nbody\n"})
	want := " spf=fail (sender IP address: 10.204.148.40)\n" +
		" smtp.mailfrom=test.com; dkim=pass (no processed signatures) header.d=none;\n" +
		" dmarc=fail action=reject header.from=test.com;"
	for _, mod := range res.Mods {
		if mod.Name == "X-TM-Authentication-Results" && mod.Value == want {
			return
		}
	}
	t.Errorf("no field folded so:\n%s\nin %+v", want, res.Mods)
}

// TestAuthenticationResults holds the standard field to the letter.
func TestAuthenticationResults(t *testing.T) {
	good := newSigner("example.com", "s1")
	r := newRig(t, exampleZone+good.record(), "{}")
	m := mail{client: "10.210.128.20", mailFrom: "ann@example.com", raw: good.sign(t, "From: ann@example.com\nSubject: x\n\nbody\n")}
	res := r.send(m)
	got := field(t, m, res, "Authentication-Results")
	prefix := r.last().Verdict.DKIM[0].SigPrefix
	if len(prefix) != 8 {
		t.Errorf("header.b is %q, want 8 octets", prefix)
	}
	want := " mx.example.org; spf=pass smtp.mailfrom=example.com;" +
		" dkim=pass header.d=example.com header.s=s1 header.a=ed25519-sha256 header.b=" + quoteIfNeeded(prefix) + ";" +
		" dmarc=pass header.from=example.com policy.dmarc=reject"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if res.Mods[len(res.Mods)-1].Name != "Authentication-Results" || res.Mods[len(res.Mods)-1].Index != 0 {
		t.Errorf("not inserted on top: %+v", res.Mods)
	}
}

// quoteIfNeeded quotes what is no token (RFC 2045 section 5.1): base64 may hold "/" and "=".
func quoteIfNeeded(s string) string {
	if strings.ContainsAny(s, "/=") {
		return `"` + s + `"`
	}
	return s
}

// TestForgedFields checks that forged fields are removed and foreign ones kept, in every
// case but mail that is bypassed.
func TestForgedFields(t *testing.T) {
	const raw = "X-TM-Authentication-Results: spf=pass\n" +
		"Authentication-Results: mx.example.org; dmarc=pass header.from=bank.example\n" +
		"Authentication-Results: MX.Example.ORG 1; spf=pass\n" +
		"Authentication-Results: (a (nested) comment)\n \"mx.example.org\"; dkim=pass\n" +
		"Authentication-Results: other.example; spf=pass\n" +
		"Authentication-Results: backup.example.org; spf=pass\n" +
		"ARC-Authentication-Results: i=1; mx.example.org; spf=pass\n" +
		"X-TM-Received-SPF: Pass\nX-TM-Quarantine: dmarc\n" +
		"From: a@nowhere.example\n\nbody\n"
	r := newRig(t, exampleZone, "{}", "remove_authserv_ids: [backup.example.org]")
	m := mail{mailFrom: "a@nowhere.example", raw: raw}
	res := r.send(m)
	results := fields(m, res, "Authentication-Results")
	if len(results) != 2 || !strings.HasPrefix(results[0], " mx.example.org; spf=none") || results[1] != " other.example; spf=pass" {
		t.Errorf("Authentication-Results delivered: %q", results)
	}
	for name, want := range map[string]int{
		"X-TM-Authentication-Results": 1, "X-TM-Received-SPF": 0, "X-TM-Quarantine": 0, "ARC-Authentication-Results": 1,
	} {
		if got := fields(m, res, name); len(got) != want {
			t.Errorf("%s: %q, want %d", name, got, want)
		}
	}

	exception := newRig(t, exampleZone, `{default: {dmarc: {exceptions: ["192.0.2.1"]}}}`)
	res = exception.send(m)
	if got := fields(m, res, "X-TM-Authentication-Results"); len(got) != 0 {
		t.Errorf("an exception address kept or got %q", got)
	}
	if got := fields(m, res, "Authentication-Results"); len(got) != 3 || strings.Contains(got[0], "dmarc") {
		t.Errorf("an exception address: %q, want ours without dmarc and the two foreign ones", got)
	}
}
