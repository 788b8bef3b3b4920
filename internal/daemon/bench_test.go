package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkStart is the time from reading both files to all sockets open.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct {
		name    string
		domains int
	}{{"shipped", 0}, {"10000domains", 10_000}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			shipped, err := os.ReadFile("../../configs/policy.yaml")
			if err != nil {
				b.Fatal(err)
			}
			policy := string(shipped)
			if c.domains > 0 {
				policy = manyDomains(c.domains)
			}
			for name, text := range map[string]string{
				"dmarcd.yaml": "listen: [\"unix:" + dir + "/milter.sock\"]\nhttp: {listen: \"\"}\nstate_dir: " + dir + "\n",
				"policy.yaml": policy,
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			source := Source{File: filepath.Join(dir, "dmarcd.yaml")}
			level := new(slog.LevelVar)
			for b.Loop() {
				config, _, err := source.Load()
				if err != nil {
					b.Fatal(err)
				}
				d, err := New(Options{Source: source, Settings: config, Log: NewLog(io.Discard, config.Log, level), Level: level})
				if err != nil {
					b.Fatal(err)
				}
				d.discard()
			}
		})
	}
}

// manyDomains is a policy of n domain entries, all different.
func manyDomains(n int) string {
	var b strings.Builder
	b.WriteString("domains:\n")
	for i := range n {
		fmt.Fprintf(&b, "  customer%d.example:\n    dmarc:\n      exceptions: [10.%d.%d.0/24]\n      enforced_peers: [bank%d.example]\n      actions: {no_record: quarantine}\n", i, i/256, i%256, i)
	}
	return b.String()
}
