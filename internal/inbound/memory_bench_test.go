package inbound_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
)

// BenchmarkMemory is the memory of the whole process, DNS server and test
// included: with nothing open, with 1,000 connections that have each sent a
// message, and what one message of 50 MiB adds at its peak.
func BenchmarkMemory(b *testing.B) {
	key, zone := benchKey(b)
	dir := b.TempDir()
	small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
	for name, size := range map[string]int{small: 4 << 10, large: 50 << 20} {
		if err := os.WriteFile(name, benchMessage(b, key, size), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	r := newRig(b, zone, "{}")
	r.journaled(b)
	for range b.N {
		debug.FreeOSMemory()
		idle := residentMiB(b, "VmRSS")
		b.Setenv(loadOpen, "1000")
		start, finish := startLoad(b, r.addr, small, 1000)
		open := residentMiB(b, "VmRSS")
		start()
		finish()
		after := residentMiB(b, "VmRSS")

		b.Setenv(loadOpen, "1")
		runLoad(b, r.addr, small, 1)
		debug.FreeOSMemory()
		before := residentMiB(b, "VmRSS")
		resetPeak(b)
		runLoad(b, r.addr, large, 1)
		peak := residentMiB(b, "VmHWM")
		b.ReportMetric(idle, "idle-MiB")
		b.ReportMetric(open, "1000-open-MiB")
		b.ReportMetric(after, "1000-sent-MiB")
		b.ReportMetric(peak-before, "50MiB-message-MiB")
	}
}

// residentMiB reads a line of /proc/self/status.
func residentMiB(b *testing.B, line string) float64 {
	b.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		b.Fatalf("no %s in /proc/self/status", line)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}

// resetPeak makes VmHWM start again (proc(5), clear_refs).
func resetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip(err)
	}
}
