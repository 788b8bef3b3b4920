package report

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
)

var (
	receiver = dns.MustParse("mx.receiver.example")
	domain   = dns.MustParse("example.com")
	begin    = time.Unix(1780272000, 0).UTC()
	end      = time.Unix(1780358399, 0).UTC()
)

func TestNewID(t *testing.T) {
	secret := []byte("secret")
	id := NewID(secret, receiver, domain, begin, end, "")
	if !regexp.MustCompile(`^20260601[a-z2-7]{24}$`).MatchString(id) {
		t.Errorf("the ID is %q", id)
	}
	if again := NewID(secret, receiver, domain, begin.In(time.FixedZone("", 7200)), end, ""); again != id {
		t.Errorf("made again it is %q, was %q", again, id)
	}
	for name, other := range map[string]string{
		"secret":   NewID([]byte("other"), receiver, domain, begin, end, ""),
		"receiver": NewID(secret, domain, domain, begin, end, ""),
		"domain":   NewID(secret, receiver, receiver, begin, end, ""),
		"begin":    NewID(secret, receiver, domain, begin.Add(time.Second), end, ""),
		"end":      NewID(secret, receiver, domain, begin, end.Add(time.Second), ""),
		"part":     NewID(secret, receiver, domain, begin, end, "2"),
	} {
		if other == id {
			t.Errorf("another %s gives the same ID", name)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, c := range []struct {
		domain, id, want string
	}{
		{"example.com", "", "mx.receiver.example!example.com!1780272000!1780358399.xml.gz"},
		{"example.com", "20260601abc", "mx.receiver.example!example.com!1780272000!1780358399!20260601abc.xml.gz"},
		{"example.com", "a-b@c/..", "mx.receiver.example!example.com!1780272000!1780358399!abc.xml.gz"},
		{"münchen.example", "", "mx.receiver.example!xn--mnchen-3ya.example!1780272000!1780358399.xml.gz"},
		{`a!b/"c\.example`, "", "mx.receiver.example!a_b__c_.example!1780272000!1780358399.xml.gz"},
	} {
		if got := FileName(receiver, dns.MustParse(c.domain), begin, end, c.id); got != c.want {
			t.Errorf("for %q, %q it is %s, want %s", c.domain, c.id, got, c.want)
		}
	}
}

// TestLongFileName bounds a name, with its hosts as whole labels where they have some,
// and keeps what tells files apart.
func TestLongFileName(t *testing.T) {
	label := strings.Repeat("a", 60)
	long := dns.MustParse(strings.Join([]string{label, label, label, "example.com"}, "."))
	single := dns.MustParse(strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 63))
	for _, c := range []struct{ receiver, domain dns.Name }{{receiver, long}, {long, domain}, {long, long}, {single, single}} {
		id := NewID([]byte("secret"), c.receiver, c.domain, begin, end, "")
		got := FileName(c.receiver, c.domain, begin, end, id)
		if len(got) > 200 || !strings.HasSuffix(got, "!1780272000!1780358399!"+id+".xml.gz") || strings.Count(got, "!") != 4 || len(got) < 120 {
			t.Errorf("%d octets: %s", len(got), got)
		}
		if c.domain == long && !strings.Contains(got, "!"+label+".example.com!") && !strings.Contains(got, "!example.com!") {
			t.Errorf("no whole labels: %s", got)
		}
	}
}

func TestSubject(t *testing.T) {
	want := "Report Domain: example.com Submitter: mx.receiver.example Report-ID: <20260601abc>"
	if got := Subject(domain, receiver, "2026 06<01>abc\r\n"); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
