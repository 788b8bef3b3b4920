package store

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// randomSegment is a segment of a day as ingest makes them.
func randomSegment(r *rand.Rand, day int64) segment {
	g := segment{
		day: day, report: r.Int64N(1 << 40), domain: r.Int64N(300), reporter: r.Int64N(1 << 20), received: day*microsPerDay + r.Int64N(1<<45) - 1<<44,
		middle: day, trust: r.Int64N(int64(len(trusts))), policy: r.Int64N(int64(len(policies))), home: r.IntN(2) == 0, spread: r.IntN(3) == 0,
		repaired: r.IntN(4) == 0,
	}
	if g.home {
		g.messages = r.Int64N(1 << 40)
	}
	if g.spread {
		g.middle += r.Int64N(31) - 15
	}
	g.rows = []packedRow{}
	for number := int64(0); len(g.rows) < r.IntN(20); {
		number += pick[int64](r, 1, 1, 1, 5, 1<<30, -3)
		row := packedRow{
			number: number, identity: r.Int64N(1 << 45), set: r.Int64N(1 << 20), messages: r.Int64N(1 << 33), next: noDay,
			code: r.Int64N(int64(verdictCodes)), flags: pick[int64](r, 0, 0, 3, 1<<15),
		}
		if row.whole = row.messages; g.spread {
			row.whole, row.next = row.whole+r.Int64N(5), pick(r, noDay, day+1+r.Int64N(30))
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// TestBlock packs segments and unpacks them to the same.
func TestBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for day := int64(-3); day < 20_500; day += 97 {
		var want []segment
		var body []byte
		for range r.IntN(9) {
			g := randomSegment(r, day)
			want = append(want, g)
			body = g.pack(body, len(g.rows))
		}
		got, ok := unpackAll(body, day)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("day %d: %v\n%+v, want\n%+v", day, ok, got, want)
		}
		if len(body) > 0 {
			if _, ok := unpackAll(body[:len(body)-1], day); ok {
				t.Fatalf("day %d: a block without its end is taken", day)
			}
		}
	}
}

// TestLongSegment splits the rows of a report, of which only one part is its home.
func TestLongSegment(t *testing.T) {
	g := segment{day: 7, middle: 7, report: 3, home: true, messages: 12}
	for n := range int64(5) {
		g.rows = append(g.rows, packedRow{number: n + 1, messages: n, whole: n, next: noDay})
	}
	rows := g.rows
	b := &block{day: 7}
	b.add(&g, 3)
	b.add(&g, 2)
	got, ok := unpackAll(b.body, 7)
	if !ok || len(got) != 2 || !got[0].home || got[1].home || b.rows != 5 {
		t.Fatalf("%v %+v", ok, got)
	}
	if all := append(got[0].rows, got[1].rows...); !reflect.DeepEqual(all, rows) {
		t.Errorf("%+v, want %+v", all, rows)
	}
}

// FuzzBlock reads what is no block, in all ways that blocks are read.
func FuzzBlock(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		g := randomSegment(r, 20_000)
		f.Add(g.pack(nil, len(g.rows)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		all, ok := unpackAll(body, 20_000)
		n := 0
		err := eachSegment(body, 20_000, func(g *segment, rows unpacker, count int64) error {
			n++
			var filter rowFilter
			_ = filter.policies[g.policy]
			return eachRow(g, rows, count, func(r *packedRow) error { _ = filter.codes[r.code]; return nil })
		})
		if ok != (err == nil) || ok && n != len(all) {
			t.Errorf("unpacked %d segments (%v), read %d (%v)", len(all), ok, n, err)
		}
		eachLine(body, 20_000, func(l *rollupLine) { _ = codeSums{}[l.code] })
	})
}
