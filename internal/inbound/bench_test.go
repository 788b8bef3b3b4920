package inbound_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/journal"
	"dmarcd/internal/milter/miltertest"
)

// The load comes from a process of its own, so that the CPU time of this one is
// the filter's alone.
const (
	loadAddr  = "DMARCD_BENCH_ADDR"
	loadCount = "DMARCD_BENCH_COUNT"
	loadOpen  = "DMARCD_BENCH_CONNECTIONS" // how many connections; "" for loadConns
	loadConns = 16
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(loadAddr); addr != "" {
		if err := load(addr, os.Getenv(loadCount), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// load sends count messages over loadConns connections, as Postfix would. It
// prints a line when it is connected and waits for one line before it starts.
func load(addr, count string, in io.Reader, out io.Writer) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(os.Getenv("DMARCD_BENCH_MESSAGE"))
	if err != nil {
		return err
	}
	connections := loadConns
	if text := os.Getenv(loadOpen); text != "" {
		if connections, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	var mtas []*miltertest.MTA
	for range connections {
		m, err := miltertest.Open("tcp", addr, miltertest.Postfix())
		if err != nil {
			return err
		}
		defer m.Quit()
		if _, err := m.Greet(miltertest.Peer{Addr: "198.51.100.1"}); err != nil {
			return err
		}
		mtas = append(mtas, m)
	}
	fmt.Fprintln(out, "ready")
	if _, err := in.Read(make([]byte, 1)); err != nil {
		return err
	}
	return loadAll(mtas, n, raw)
}

func loadAll(mtas []*miltertest.MTA, n int, raw []byte) error {
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	errs := make(chan error, len(mtas))
	var wg sync.WaitGroup
	for _, m := range mtas {
		wg.Go(func() {
			msg := &miltertest.Message{From: "<ann@bench.example>", Rcpts: []string{"<user@example.org>"}, Raw: raw}
			for range work {
				res, err := m.Send(msg)
				if err == nil && (!res.Accepts() || len(res.Mods) != 2) {
					err = fmt.Errorf("not let through with two fields: %+v", res)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// benchMessage is a signed message of about size octets with 26 header fields.
func benchMessage(tb testing.TB, key *rsa.PrivateKey, size int) []byte {
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, "Received: from mta%d.bench.example (mta%d.bench.example [198.51.100.%d])\r\n\tby mx%d.bench.example (Postfix) with ESMTPS id ABCDEF%d\r\n\tfor <user@example.org>; Mon, 23 Nov 2026 10:00:0%d +0000 (UTC)\r\n", i, i, i, i, i, i)
	}
	for i := range 10 {
		fmt.Fprintf(&b, "X-Bench-%d: some value of usual length, number %d\r\n", i, i)
	}
	b.WriteString("From: Ann Example <ann@bench.example>\r\nTo: User <user@example.org>\r\nSubject: a message of usual shape\r\n" +
		"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <bench@bench.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	line := "Ordinary text of a message, with words  and some runs of   blanks, up to the margin.\r\n"
	for b.Len() < size-len(line)-600 {
		b.WriteString(line)
	}
	var out bytes.Buffer
	err := msgauth.Sign(&out, strings.NewReader(b.String()), &msgauth.SignOptions{
		Domain: "bench.example", Selector: "s1", Signer: key, Hash: crypto.SHA256,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func sizes() []struct {
	name  string
	bytes int
} {
	return []struct {
		name  string
		bytes int
	}{{"4KiB", 4 << 10}, {"30KiB", 30 << 10}, {"300KiB", 300 << 10}, {"1MiB", 1 << 20}}
}

func benchKey(tb testing.TB) (*rsa.PrivateKey, string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	p := base64.StdEncoding.EncodeToString(der)
	return key, "bench.example. TXT \"v=spf1 ip4:198.51.100.0/24 -all\"\n_dmarc.bench.example. TXT \"v=DMARC1; p=reject\"\n" +
		"s1._domainkey.bench.example. TXT \"v=DKIM1; p=" + p[:200] + "\" \"" + p[200:] + "\"\n"
}

// journaled has the rig keep its records in a journal, as the daemon does.
func (r *rig) journaled(b *testing.B) {
	j, err := journal.Open(journal.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	r.journal = j
}

// BenchmarkFilter is the whole filter behind its socket at 16 connections, warm
// caches, one RSA-2048 signature, each message journaled: CPU and allocations per
// message are this process's, without the load.
func BenchmarkFilter(b *testing.B) {
	key, zone := benchKey(b)
	for _, size := range sizes() {
		b.Run(size.name, func(b *testing.B) {
			r := newRig(b, zone, "{}")
			r.journaled(b)
			file := b.TempDir() + "/message"
			if err := os.WriteFile(file, benchMessage(b, key, size.bytes), 0o600); err != nil {
				b.Fatal(err)
			}
			runLoad(b, r.addr, file, 32) // fills the caches
			start, finish := startLoad(b, r.addr, file, b.N)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu, began := cpuTime(b), time.Now()
			b.ResetTimer()
			start()
			finish()
			b.StopTimer()
			wall := time.Since(began)
			used := cpuTime(b) - cpu
			runtime.ReadMemStats(&after)
			n := float64(b.N)
			b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/msg")
			b.ReportMetric(n/wall.Seconds(), "msg/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/msg")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n/1024, "KiB/msg")
		})
	}
}

// BenchmarkFloor is what cannot be saved: one RSA-2048 verification and SHA-256
// over the message.
func BenchmarkFloor(b *testing.B) {
	key, _ := benchKey(b)
	for _, size := range sizes() {
		b.Run(size.name, func(b *testing.B) {
			raw := benchMessage(b, key, size.bytes)
			sum := sha256.Sum256(raw)
			sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			if err != nil {
				b.Fatal(err)
			}
			cpu := cpuTime(b)
			for b.Loop() {
				sum := sha256.Sum256(raw)
				if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
		})
	}
}

func runLoad(b *testing.B, addr, file string, n int) {
	start, finish := startLoad(b, addr, file, n)
	start()
	finish()
}

// startLoad starts the load's process and returns once it is connected.
func startLoad(b *testing.B, addr, file string, n int) (start, finish func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadAddr+"="+addr, loadCount+"="+strconv.Itoa(n), "DMARCD_BENCH_MESSAGE="+file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		b.Fatal(err)
	}
	start = func() {
		if _, err := in.Write([]byte{'\n'}); err != nil {
			b.Fatal(err)
		}
	}
	finish = func() {
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	return start, finish
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
