package source_test

import (
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/source"
)

func builtin(t testing.TB) *source.Map {
	t.Helper()
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBuiltin holds the map to its form: Builtin refuses a row that is not, and two
// services that claim the same.
func TestBuiltin(t *testing.T) {
	m := builtin(t)
	detailed, labels := 0, map[string]string{}
	for _, s := range m.Services() {
		if other, twice := labels[strings.ToLower(s.Label)]; twice {
			t.Errorf("%s and %s have the same label %q", other, s.Domain, s.Label)
		}
		labels[strings.ToLower(s.Label)] = s.Domain.String()
		if len(s.Includes)+len(s.Selectors) > 0 && (s.SignStep != "" || s.PathStep != "") {
			detailed++
		}
		for _, p := range s.Selectors {
			sample := strings.NewReplacer("*", "x1", "#", "20240115").Replace(string(p))
			if got := m.BySelector(sample); got != s {
				t.Errorf("%s: the selector %s (of %s) names %v", s.Domain, sample, p, got)
			}
		}
		for _, name := range s.Includes {
			if got := m.ByInclude(name); got != s {
				t.Errorf("%s: the include %s names %v", s.Domain, name, got)
			}
		}
	}
	if m.Len() < 200 || detailed < 70 {
		t.Errorf("%d services, %d of them with a step", m.Len(), detailed)
	}
}

func TestMapLookUps(t *testing.T) {
	m := builtin(t)
	for _, c := range []struct {
		name string
		got  *source.Service
		want string
	}{
		{"a host", m.ByHost(dns.MustParse("mail-lf1-f41.google.com")), "google.com"},
		{"a host of another name", m.ByHost(dns.MustParse("mail73.sea31.mcsv.net")), "mailchimp.com"},
		{"a longer name first", m.ByHost(dns.MustParse("a4-7.smtp-out.eu-west-1.amazonses.com")), "amazonses.com"},
		{"not part of a label", m.ByHost(dns.MustParse("notgoogle.com")), ""},
		{"not what is above", m.ByHost(dns.MustParse("com")), ""},
		{"nobody", m.ByHost(dns.Name{}), ""},
		{"a signature", m.BySigner(dns.MustParse("example-com.20230601.gappssmtp.com")), "google.com"},
		{"a return path", m.BySigner(dns.MustParse("pm-bounces.pm.mtasv.net")), "postmarkapp.com"},
		{"an include", m.ByInclude(dns.MustParse("_spf.google.com")), "google.com"},
		{"an include below", m.ByInclude(dns.MustParse("1234567.spf05.hubspotemail.net")), "hubspot.com"},
		{"not an include", m.ByInclude(dns.MustParse("google.com")), ""},
		{"a selector", m.BySelector("Mandrill"), "mandrillapp.com"},
		{"a selector that people choose", m.BySelector("selector1"), ""},
		{"a selector with a date", m.BySelector("20230515103112pm"), "postmarkapp.com"},
		{"a selector of several services", m.BySelector("s1"), ""},
		{"a date alone", m.BySelector("pm"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := domainOf(c.got); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func domainOf(s *source.Service) string {
	if s == nil {
		return ""
	}
	return s.Domain.String()
}
