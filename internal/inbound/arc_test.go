package inbound_test

import (
	"strings"
	"testing"

	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/auth/authres"
	"dmarcd/internal/dns"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
)

// arcPolicy has chains validated and believes one sealer.
const arcPolicy = "{default: {dmarc: {arc: {enabled: true, trusted_sealers: [list.example]}%s}}}"

func arcRules(more string) string { return strings.Replace(arcPolicy, "%s", more, 1) }

// TestARCSuite runs the published ARC validation suite through the milter socket:
// what is compared is the field that mail gets.
func TestARCSuite(t *testing.T) {
	path, err := arctest.Find()
	if err != nil {
		t.Skip(err)
	}
	cases, err := arctest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	const suiteSize = 175
	if len(cases) != suiteSize {
		t.Errorf("%d cases, want %d", len(cases), suiteSize)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, "", strings.Replace(arcRules(""), "{default", "{mode: monitor, default", 1))
			for name, text := range c.TXT {
				r.dns.Zone.AddTXT(dns.MustParse(name), inStrings(text)...)
			}
			mta := r.open(miltertest.Peer{}, miltertest.Postfix())
			res, err := mta.Send(&miltertest.Message{From: "<a@sender.invalid>", Rcpts: []string{"<user@example.org>"}, Raw: c.Message})
			if err != nil {
				t.Fatal(err)
			}
			m := mail{raw: strings.ReplaceAll(string(c.Message), "\r\n", "\n")}
			if got := arcWord(t, field(t, m, &res, authres.FieldName)); got != c.Status() {
				t.Errorf("arc=%s, want %s: %s", got, c.Status(), c.Description)
			}
		})
	}
}

// inStrings parts a record into character-strings (RFC 1035 section 3.3).
func inStrings(text string) []string {
	const most = 255
	var out []string
	for len(text) > most {
		out, text = append(out, text[:most]), text[most:]
	}
	return append(out, text)
}

// arcWord is the result of the arc item of our field.
func arcWord(t *testing.T, value string) string {
	t.Helper()
	parsed, err := authres.Parse(value)
	if err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	for _, item := range parsed.Items {
		if item.Method == "arc" {
			return item.Result
		}
	}
	t.Errorf("no arc item in %q", value)
	return ""
}

// TestARCOverride rescues a failing message by a trusted seal alone.
func TestARCOverride(t *testing.T) {
	list, other := newSigner("list.example", "a1"), newSigner("other.example", "a1")
	zone := behaviourZone + "hop.example. TXT \"v=spf1 ip4:203.0.113.0/24 -all\"\n" + list.record() + other.record()
	const raw = "From: a@reject.example\r\nTo: user@example.org\r\nSubject: [list] hello\r\n\r\nbody\r\n"
	const passed = "mx.list.example; arc=none smtp.remote-ip=198.51.100.1; dmarc=pass header.from=reject.example; spf=pass smtp.mailfrom=reject.example"
	const failed = "mx.list.example; dmarc=fail header.from=reject.example"
	seal := func(s signer, raw []byte, results string) []byte {
		return arctest.Seal(raw, results, s.domain, s.selector, s.key, "")
	}
	once := seal(list, []byte(raw), passed)
	broken := []byte(strings.Replace(string(once), "body", "changed", 1))
	cases := []struct {
		name, policy string
		raw          []byte
		want         string
		reason       policy.Reason
	}{
		{"a trusted sealer saw it pass", arcRules(""), once, "accept", policy.ReasonARC},
		{"off", "{default: {dmarc: {arc: {enabled: false, trusted_sealers: [list.example]}}}}", once, "reject", policy.ReasonPolicy},
		{"no sealer is trusted", "{default: {dmarc: {arc: {enabled: true}}}}", once, "reject", policy.ReasonPolicy},
		{"a self-made chain", arcRules(""), seal(other, []byte(raw), passed), "reject", policy.ReasonPolicy},
		{"a trusted sealer saw it fail", arcRules(""), seal(list, []byte(raw), failed), "reject", policy.ReasonPolicy},
		{"a trusted sealer saw another author pass", arcRules(""), seal(list, []byte(raw), "mx.list.example; dmarc=pass header.from=other.example"), "reject", policy.ReasonPolicy},
		{"a trusted sealer saw an aligned DKIM pass", arcRules(""), seal(list, []byte(raw), "mx.list.example; dkim=pass header.d=reject.example"), "accept", policy.ReasonARC},
		{"a trusted sealer saw an aligned SPF pass", arcRules(""), seal(list, []byte(raw), "mx.list.example; spf=pass smtp.mailfrom=ann@reject.example"), "accept", policy.ReasonARC},
		{"a trusted sealer saw an unrelated pass", arcRules(""), seal(list, []byte(raw), "mx.list.example; dkim=pass header.d=other.example; spf=pass smtp.mailfrom=a@other.example"), "reject", policy.ReasonPolicy},
		{"changed after it was sealed", arcRules(""), broken, "reject", policy.ReasonPolicy},
		{"an untrusted sealer on top of a trusted one", arcRules(""), seal(other, once, "mx.other.example; dmarc=pass header.from=reject.example"), "reject", policy.ReasonPolicy},
		{"a trusted sealer on top of an untrusted one that saw it pass", arcRules(""), seal(list, seal(other, []byte(raw), passed), failed), "reject", policy.ReasonPolicy},
		{"back through trusted sealers to the one that saw it pass", arcRules(""), seal(list, once, failed), "accept", policy.ReasonARC},
		{"an enforced peer gets nothing", arcRules(", enforced_peers: [reject.example]"), once, "reject", policy.ReasonEnforcedPeer},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, zone, c.policy)
			m := mail{client: "203.0.113.9", mailFrom: "list@hop.example", raw: strings.ReplaceAll(string(c.raw), "\r\n", "\n")}
			res := r.send(m)
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s, want %s; chain %+v", got, c.want, r.last().Verdict.ARC)
			}
			d := r.last().Decision
			if d.Reason != c.reason {
				t.Errorf("reason %s, want %s", d.Reason, c.reason)
			}
			if c.reason != policy.ReasonARC {
				return
			}
			if !strings.HasPrefix(d.Comment, "arc=pass as[") || !strings.Contains(d.Comment, "d=list.example") {
				t.Errorf("comment %q", d.Comment)
			}
			const first = " remote-ip[1]=198.51.100.1" // whom the first hop had it from, not our own client
			if told := strings.Contains(m.raw, "smtp.remote-ip="); strings.HasSuffix(d.Comment, first) != told || !told && strings.Contains(d.Comment, "remote-ip") {
				t.Errorf("comment %q; the first hop tells of its client: %v", d.Comment, told)
			}
			if got := field(t, m, res, "X-TM-Authentication-Results"); !strings.Contains(got, "dmarc=fail action=none") {
				t.Errorf("stamped %s", got)
			}
		})
	}
}
