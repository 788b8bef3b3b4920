package memory_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
	"dmarcd/internal/policy"
)

func TestSignaturesOverTheLimitAreCounted(t *testing.T) {
	for _, c := range []struct {
		name                 string
		all, unchecked, most int
		kept, count          int
		first                string
	}{
		{"within the limit", 10, 0, 10, 10, 0, "d0.example"},
		{"over the limit", 1900, 1890, 10, 10, 1890, "d1890.example"},
		{"over it, and all checked", 12, 0, 10, 10, 2, "d0.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &memory.Record{Outcomes: []memory.Outcome{{}}}
			v := &r.Verdict
			v.SPFAlignment = dmarc.Aligned
			v.DKIM, v.DKIMAlignments = memorytest.Signatures(c.all, c.unchecked)
			v.DKIMAlignments[c.unchecked] = dmarc.Aligned
			v.DMARC.Alignments = append([]dmarc.Alignment{dmarc.Aligned}, v.DKIMAlignments...)
			shared, before := v.DKIM, v.DKIMWord()
			r.Bound(c.most)
			if len(v.DKIM) != c.kept || v.Unchecked != c.count || v.DKIM[0].Domain.String() != c.first || len(shared) != c.all {
				t.Errorf("%d kept from %s on, %d counted, %d shared", len(v.DKIM), v.DKIM[0].Domain, v.Unchecked, len(shared))
			}
			if len(v.DKIMAlignments) != c.kept || v.DKIMAlignments[0] != dmarc.Aligned || len(v.DMARC.Alignments) != 1+c.kept {
				t.Errorf("alignments %v", v.DKIMAlignments)
			}
			if c.unchecked > 0 && (v.DKIMWord() != before || v.SummarizeDKIM() != policy.DKIMFailed) {
				t.Errorf("DKIM is told as %s, %v, before as %s", v.DKIMWord(), v.SummarizeDKIM(), before)
			}
		})
	}
}

// TestHostileRecordIsBounded holds the worst record to its bound, and what matters of
// it to be kept.
func TestHostileRecordIsBounded(t *testing.T) {
	r, err := memorytest.Hostile()
	if err != nil {
		t.Fatal(err)
	}
	chosen := r.Outcomes[r.Chosen].Line
	r.Bound(10)
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > memory.MaxRecordBytes {
		t.Errorf("%d octets, at most %d", len(b), memory.MaxRecordBytes)
	}
	got, err := memory.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Verdict.Authors) < 2 || got.Outcomes[got.Chosen].Line != chosen || len(got.Verdict.DKIM) != 10 || got.Verdict.Unchecked != 1890 {
		t.Errorf("outcome of line %d, %d signatures", got.Outcomes[got.Chosen].Line, len(got.Verdict.DKIM))
	}
	names := 0
	for _, o := range got.Outcomes {
		names += len(o.Domains)
	}
	l := got.LeftOut
	if names+l.Domains != 2000 || len(got.Recipients)+l.Recipients != 1000 || len(got.Removed)+l.Removed != 27_000 ||
		len(got.Added)+l.Added != 3 || len(got.Verdict.SPF.Walk)+l.Terms != 100 || len(got.Verdict.ARC.Hops)+l.Hops != 50 {
		t.Errorf("what is left out is counted as %+v", l)
	}
	if !got.Verdict.SPF.WalkCut {
		t.Error("the walk does not say that it was cut")
	}
}

// TestBoundLeavesUsualMail changes nothing of mail as it comes.
func TestBoundLeavesUsualMail(t *testing.T) {
	r, err := memorytest.NewFiller(0).Record()
	if err != nil {
		t.Fatal(err)
	}
	r.ClientIP = netip.MustParseAddr("192.0.2.1")
	r.Verdict.DKIM, r.Verdict.DKIMAlignments = memorytest.Signatures(10, 0)
	for i := range 20 {
		r.Outcomes[0].Domains = append(r.Outcomes[0].Domains, dns.MustParse(fmt.Sprintf("rcpt%d.example", i)))
	}
	before := memorytest.Dump(r)
	r.Bound(10)
	if after := memorytest.Dump(r); !slices.Equal(before, after) {
		t.Errorf("changed: %q", memorytest.Missing(before, after))
	}
}

func BenchmarkBound(b *testing.B) {
	r, err := memorytest.NewFiller(0).Record()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Bound(10)
	}
}
