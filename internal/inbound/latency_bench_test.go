package inbound_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
)

// coldDNS is how long each lookup of BenchmarkColdLatency takes.
const coldDNS = 20 * time.Millisecond

// BenchmarkColdLatency is the time from MAIL to the answer for senders never seen
// before, one connection, with a name server that takes 20 ms for each answer.
func BenchmarkColdLatency(b *testing.B) {
	// One name holds all records, since the wildcard answers for every sender.
	key := newSigner("cold.example", "s1")
	_, record, _ := strings.Cut(key.record(), "TXT ")
	r := newRig(b, "*.cold.example. TXT \"v=spf1 ip4:198.51.100.0/24 -all\"\n*.cold.example. TXT \"v=DMARC1; p=reject\"\n"+
		"*.cold.example. TXT "+record, "{}")
	r.dns.Zone.SetDelay(coldDNS)
	mta := r.open(miltertest.Peer{Addr: "198.51.100.1"}, miltertest.Postfix())
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		s := key
		s.domain = fmt.Sprintf("d%d.cold.example", i)
		msg := mail{mailFrom: "ann@" + s.domain, raw: s.sign(b, "From: ann@"+s.domain+"\nSubject: x\n\nbody\n")}.message()
		began := time.Now()
		res, err := mta.Send(msg)
		took = append(took, time.Since(began))
		if err != nil || len(res.Mods) != 2 || !strings.Contains(res.Mods[1].Value, "dmarc=pass") {
			b.Fatalf("%+v, %v", res, err)
		}
	}
	report(b, took)
}

// halfLoad is the pause between two messages of one of loadConns connections:
// 4,500 messages/s together, half of what BenchmarkFilter shows on two cores.
const halfLoad = 3550 * time.Microsecond

// BenchmarkWarmLatency is the time from MAIL to the answer with warm caches, for
// messages of 4 KiB at halfLoad. The MTAs run in the same process here and take
// their share of it.
func BenchmarkWarmLatency(b *testing.B) {
	key, zone := benchKey(b)
	r := newRig(b, zone, "{}")
	r.journaled(b)
	raw := benchMessage(b, key, 4<<10)
	var mu sync.Mutex
	var took []time.Duration
	var sending sync.WaitGroup
	b.ResetTimer()
	for range loadConns {
		mta := r.open(miltertest.Peer{Addr: "198.51.100.1"}, miltertest.Postfix())
		sending.Go(func() {
			every := time.NewTicker(halfLoad)
			defer every.Stop()
			msg := &miltertest.Message{From: "<ann@bench.example>", Rcpts: []string{"<user@example.org>"}, Raw: raw}
			for range max(b.N/loadConns, 1) {
				<-every.C
				began := time.Now()
				res, err := mta.Send(msg)
				d := time.Since(began)
				if err != nil || !res.Accepts() {
					b.Errorf("%+v, %v", res, err)
					return
				}
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	report(b, took)
}

// report adds the median and the 99th percentile of took.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
}
