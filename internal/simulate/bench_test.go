package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/text"
)

const (
	lenient = "default: {dmarc: {actions: {none: bypass, quarantine: bypass, reject: bypass}}}\n"
	strict  = "default: {dmarc: {actions: {none: quarantine, quarantine: reject, reject: reject}}}\n"
)

// encoded is records as they are stored, of which one in ten changes.
func encoded(t testing.TB, n int) [][]byte {
	p := parse(t, lenient)
	rnd := rand.New(rand.NewPCG(5, 6))
	out := make([][]byte, n)
	for i := range out {
		m := mail{published: dmarc.PolicyReject, spf: spf.Pass, aligned: true, dkim: dkim.Pass, client: fmt.Sprintf("198.51.%d.%d", rnd.IntN(256), rnd.IntN(256))}
		if i%10 == 0 {
			m.spf, m.dkim = spf.Softfail, dkim.Fail
		}
		rec := m.remember(t, p)
		rec.MessageID, rec.Helo, rec.MTA = "20261125100000.4XYZ@mail.bank.example", "mail.bank.example", "Postfix 3.7.11"
		rec.Added = []string{"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=bank.example; dkim=pass header.d=bank.example; dmarc=pass"}
		raw, err := rec.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = raw
	}
	return out
}

// BenchmarkReplay decodes and replays records, as a simulation does with what the
// store has.
func BenchmarkReplay(b *testing.B) {
	raw := encoded(b, 4096)
	for _, name := range []string{"decode", "replay", "both"} {
		b.Run(name, func(b *testing.B) {
			replay := New(Options{New: parse(b, strict), Examples: 3})
			rec, err := memory.DecodeRecord(raw[1])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			used := cpu()
			for i := 0; b.Loop(); i++ {
				if name != "replay" {
					if rec, err = memory.DecodeRecord(raw[i%len(raw)]); err != nil {
						b.Fatal(err)
					}
				}
				if name != "decode" {
					replay.Add(rec)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the processor time that the process took, which other work on the machine
// does not lengthen.
func cpu() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// flood is mail of as many From domains and networks as there are messages, all of
// which changes; every tenth is from a sender that comes again and again.
type flood struct {
	raw     []byte
	n       int
	domains int // recipient domains
	most    uint64
}

func (f *flood) Records(_ context.Context, _, _ time.Time, yield func(*memory.Record) error) error {
	for i := range f.n {
		rec, err := memory.DecodeRecord(f.raw)
		if err != nil {
			return err
		}
		if i%10 != 0 {
			rec.Verdict.DMARC.Author = dns.MustParse("d" + strconv.Itoa(i) + ".example")
			rec.ClientIP = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(i >> 16)})
		}
		rec.Outcomes[0].Domains = []dns.Name{dns.MustParse("r" + strconv.Itoa(i%f.domains) + ".example")}
		if err := yield(rec); err != nil {
			return err
		}
		if i%(1<<14) == 0 {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			f.most = max(f.most, stats.HeapInuse)
		}
	}
	return nil
}

// TestBoundedMemory replays 100,000 messages, or as many as the environment variable
// DMARCD_REPLAY says, and holds the memory taken to a bound that does not grow with
// them.
func TestBoundedMemory(t *testing.T) {
	n := 100_000
	if asked := os.Getenv("DMARCD_REPLAY"); asked != "" {
		var err error
		if n, err = strconv.Atoi(asked); err != nil {
			t.Fatal(err)
		}
	}
	rec := mail{published: dmarc.PolicyReject, spf: spf.Fail}.remember(t, parse(t, lenient))
	raw, err := rec.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &flood{raw: raw, n: n, domains: 30_000}
	replay := New(Options{New: parse(t, strict), Examples: 3})
	began, used := time.Now(), cpu()
	if err := replay.Run(t.Context(), f, time.Time{}, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	took, used := time.Since(began), cpu()-used
	t.Logf("%s messages in %s, %s of processor time (%s a second); heap at most %d MiB; %s", text.Number(int64(n)), took.Round(time.Millisecond),
		used.Round(time.Millisecond), text.Number(int64(float64(n)/used.Seconds())), f.most>>20, peak())
	const bound = 200 << 20
	if f.most > bound {
		t.Errorf("the heap grew to %d MiB", f.most>>20)
	}
	got := replay.Result()
	if got.Changed != int64(n) || got.From.Exact || got.Sources.Exact || got.Domains.Exact {
		t.Errorf("%d changed; exact: %v, %v, %v", got.Changed, got.From.Exact, got.Sources.Exact, got.Domains.Exact)
	}
	often := got.From.Entries[0]
	if often.Name != "bank.example" || often.Count.Count > int64(n/10) || max(often.AtMost, often.Count.Count) < int64(n/10) {
		t.Errorf("the sender that comes again and again is %+v", often.Count)
	}
	sum := got.From.Others
	for _, e := range got.From.Entries {
		sum += e.Count.Count
	}
	if sum != int64(n) {
		t.Errorf("senders add up to %d", sum)
	}
	sum = got.Domains.Others
	for _, d := range got.Domains.Entries {
		sum += d.Changed + d.Watched
	}
	if sum != int64(n) {
		t.Errorf("recipient domains add up to %d", sum)
	}
}

// peak is the most memory that the process had, as the system reports.
func peak() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "peak memory not known"
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return "resident at most " + strings.TrimSpace(size)
		}
	}
	return "peak memory not known"
}

// TestTop holds the sketch to exact counts.
func TestTop(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, limit := range []int{1, 8, 40, 500} {
		sketch, exact := newTop[int, nothing](limit), map[int]int64{}
		for range 20_000 {
			k := int(rnd.ExpFloat64() * 20)
			sketch.add(k)
			exact[k]++
		}
		for _, c := range sketch.heap {
			if c.count < exact[c.key] || c.least() > exact[c.key] {
				t.Errorf("limit %d: %d is from %d to %d, truly %d", limit, c.key, c.least(), c.count, exact[c.key])
			}
		}
		if sketch.evicted != (len(exact) > limit) {
			t.Errorf("limit %d, %d keys: evicted is %v", limit, len(exact), sketch.evicted)
		}
		shown, others := sketch.sorted(limit, strconv.Itoa)
		for _, c := range shown {
			others += c.least()
		}
		if others != 20_000 {
			t.Errorf("limit %d: adds up to %d", limit, others)
		}
	}
}

// TestTopSpare takes room that is to spare before it becomes inexact, and shares it.
func TestTopSpare(t *testing.T) {
	spare := 30
	a, b := newTop[int, nothing](8), newTop[int, nothing](8)
	a.spare, b.spare = &spare, &spare
	for k := range 28 {
		a.add(k)
	}
	for k := range 18 {
		b.add(k)
	}
	if a.evicted || b.evicted || spare != 0 || len(a.heap) != 28 || len(b.heap) != 18 {
		t.Errorf("%d and %d keys, inexact %v and %v, %d to spare", len(a.heap), len(b.heap), a.evicted, b.evicted, spare)
	}
	if a.add(100); !a.evicted || len(a.heap) != 28 {
		t.Errorf("%d keys, inexact %v, without room to spare", len(a.heap), a.evicted)
	}
}
