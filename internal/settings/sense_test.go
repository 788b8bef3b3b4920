package settings

import (
	"strings"
	"testing"
)

// TestNotNetworks checks the hints for names or patterns in place of addresses.
func TestNotNetworks(t *testing.T) {
	for entry, want := range map[string]string{
		"192.0.2.*":        `did you mean "192.0.2.0/24"?`,
		"192.0.*.*":        `did you mean "192.0.0.0/16"?`,
		"10.*":             `did you mean "10.0.0.0/8"?`,
		"192.0.2.":         `did you mean "192.0.2.0/24"?`,
		"mail.example.org": "names are not taken here",
		"*.example.org":    "names are not taken here",
		"300.0.2.*":        "expected an address or a network such as 192.0.2.0/24",
	} {
		_, _, err := ParsePolicy("policy.yaml", "", []byte("default: {dmarc: {exceptions: ['"+entry+"']}}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}

// TestSenseOfDaemonKeys has warnings of what is taken and hardly meant.
func TestSenseOfDaemonKeys(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"authserv_id: mx1", `authserv_id: "mx1" is no full host name`},
		{"authserv_id: mx1.example.org", ""},
		{"store: postgres://u@db.example.org/d", "store: the database is on another host"},
		{"store: postgres://u@db.example.org/d?sslmode=prefer", "store: the database is on another host"},
		{"store: postgres://u@db.example.org/d?sslmode=verify-full", ""},
		{"store: postgres://u@127.0.0.1/d", ""},
		{"store: postgres://u@localhost/d", ""},
		{"store: postgres:///d?host=/run/postgresql", ""},
		{"store: postgres://u@127.0.0.1/d?host=db.example.org", "store: the database is on another host"},
	} {
		_, warnings, err := loadText(t, c.yaml+"\n", "")
		text := Faults(warnings).Error()
		if err != nil || !strings.Contains(text, c.want) || c.want == "" && text != "" {
			t.Errorf("%s: %v, %q, want %q", c.yaml, err, text, c.want)
		}
	}
	s, _, err := loadText(t, "", "")
	if err != nil || !strings.Contains(s.DailyReportsOff(), "reports.enabled of dmarcd.yaml is false") {
		t.Errorf("daily_reports without reports: %v, %q", err, s.DailyReportsOff())
	}
	if s, _, _ := loadText(t, "", "default: {dmarc: {daily_reports: false}}\n"); s.DailyReportsOff() != "" {
		t.Errorf("without daily_reports: %q", s.DailyReportsOff())
	}
	if _, warnings, _ := loadShort(t); len(warnings) != 1 || !strings.Contains(warnings[0].String(), "is no full host name") {
		t.Errorf("on a host with a short name: %v", warnings)
	}
}

// loadShort loads empty files on a host whose name is short.
func loadShort(t *testing.T) (*Settings, []Fault, error) {
	t.Helper()
	dir := folder(t, map[string]string{"dmarcd.yaml": "", "policy.yaml": ""})
	return Load(dir+"/dmarcd.yaml", "mx1")
}
