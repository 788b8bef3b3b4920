package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

// TestServicesFollowTheFile: the map is read again when its file changes, and a file
// that cannot be used changes nothing and is told once.
func TestServicesFollowTheFile(t *testing.T) {
	var log strings.Builder
	config := settings.Default("localhost")
	s := newServices(func() *settings.Settings { return config }, slog.New(slog.NewTextHandler(&log, nil)))
	host := dns.MustParse("mx.acme-crm.example")
	if s.get().ByHost(host) != nil || s.get().ByHost(dns.MustParse("mail.google.com")) == nil {
		t.Fatal("the built-in map is not in force")
	}
	path := filepath.Join(t.TempDir(), "map.csv")
	config.Analysis.SourceMap = path
	for range 2 {
		s.get()
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("a missing file was told %d times:\n%s", n, log.String())
	}
	at := time.Unix(1_700_000_000, 0)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("base_reverse_dns,name,type\nacme-crm.example,Acme,SaaS\n")
	if got := s.get().ByHost(host); got == nil || got.Label != "Acme" {
		t.Errorf("the file gives %+v", got)
	}
	write("base_reverse_dns,name,type\nacme-crm.example,Better,SaaS\n")
	if got := s.get().ByHost(host); got == nil || got.Label != "Better" {
		t.Errorf("the changed file gives %+v", got)
	}
	write("no map\n")
	if got := s.get().ByHost(host); got == nil || got.Label != "Better" {
		t.Errorf("a file with a fault gives %+v", got)
	}
	config.Analysis.SourceMap = ""
	if s.get().ByHost(host) != nil {
		t.Error("the file holds although nothing names it")
	}
}
