package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/memory"
)

// bulky is similar with detail that is much longer than its count.
func bulky(n int) *memory.Record {
	r := similar(n)
	r.Helo = strings.Repeat("detail", 50)
	return r
}

// sums is what records 0 to n-1 of make count, and how many there are of them.
func sums(n int, make func(int) *memory.Record) (rows map[memory.Aggregate]memory.Aggregate, due uint64) {
	rows = map[memory.Aggregate]memory.Aggregate{}
	for i := range n {
		if aggregate, ok := make(i).Aggregate(); ok {
			due++
			addRow(rows, aggregate)
		}
	}
	return rows, due
}

func addRow(rows map[memory.Aggregate]memory.Aggregate, t memory.Aggregate) {
	key := t
	key.Count, key.Last = 0, 0
	if sum, ok := rows[key]; ok {
		addAggregate(&t, sum)
	}
	rows[key] = t
}

// total joins what the store has, as records and as counts.
func (s *store) total() map[memory.Aggregate]memory.Aggregate {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := maps.Clone(s.aggregates)
	for _, b := range s.batches {
		for i := range b.Records {
			if aggregate, ok := b.Records[i].Aggregate(); ok {
				addRow(rows, aggregate)
			}
		}
	}
	return rows
}

// small is a journal that holds little.
func small(c *Config) { c.SegmentBytes, c.MaxBytes, c.BatchRecords = minSegment, 64<<10, 20 }

// The counts of what was dropped and the records that are left make the same rows
// as all records would have.
func TestCompactedSegmentsCountTheSame(t *testing.T) {
	const n = 1000
	dir := t.TempDir()
	j := open(t, dir, nil, small)
	paced(t, j, bulky, 0, n/2)
	closeNow(t, j)
	j = open(t, dir, nil, small)
	paced(t, j, bulky, n/2, n)
	until(t, j, "small", func(st Stats) bool { return st.Bytes <= 72<<10 })
	closeNow(t, j)

	s := newStore()
	j = open(t, dir, s, small)
	syncNow(t, j)
	want, _ := sums(n, bulky)
	if got := s.total(); !maps.Equal(got, want) {
		t.Errorf("rows:\n got %v\nwant %v", got, want)
	}
	st := j.Stats()
	if len(s.aggregates) == 0 || len(s.records) == 0 || st.Lost != (Lost{}) || s.lost != 0 || len(s.problems) > 0 {
		t.Errorf("%d rows, %d records, %d lost; Stats: %+v", len(s.aggregates), len(s.records), s.lost, st)
	}
	newest := fmt.Sprint(n - 1)
	if s.records[newest] != 1 || s.records["0"] != 0 {
		t.Error("not the oldest were dropped")
	}
}

// Compaction and loading at the same time, the store coming and going: every record
// once, as itself or as a count.
func TestCompactionWhileLoading(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStore()
	trouble := func(context.Context, memory.Batch) error {
		if random.IntN(3) == 0 {
			return errors.New("down")
		}
		return nil
	}
	s.before, s.after = trouble, trouble
	dir := t.TempDir()
	const rounds, each = 8, 500
	for round := range rounds {
		var sink Sink = s
		if round%3 == 0 {
			sink = nil
		}
		j := open(t, dir, sink, func(c *Config) { small(c); c.MaxBytes = 1 << 20; c.SegmentBytes = 8 << 10 })
		for n := round * each; n < (round+1)*each; n++ {
			r := newRecord(n)
			r.Helo = strings.Repeat("detail", 100)
			if errors.Is(j.Append(encode(t, r)), ErrLost) {
				until(t, j, "room", func(st Stats) bool { return st.Bytes < j.cfg.MaxBytes })
				n--
			}
		}
		if round%2 == 0 {
			closeDone(t, j)
		} else {
			closeNow(t, j)
		}
	}
	s.before, s.after = nil, nil
	j := open(t, dir, s, nil)
	syncNow(t, j)
	s.check(t, rounds*each)
	if s.lost != 0 {
		t.Errorf("%d lost", s.lost)
	}
}

// With no room even for counts, what is dropped is counted as lost, in the store too.
func TestCountsAreDropped(t *testing.T) {
	const n = 1500
	dir := t.TempDir()
	j := open(t, dir, nil, small)
	paced(t, j, newRecord, 0, n) // each has a row of its own
	until(t, j, "small", func(st Stats) bool { return st.Bytes <= 72<<10 })
	dropped := j.Stats()
	closeNow(t, j)
	s := newStore()
	j = open(t, dir, s, small)
	syncNow(t, j)
	kept, lost := uint64(0), s.lost
	for i := range n {
		switch times := s.times(i); times {
		case 0:
		case 1:
			kept++
		default:
			t.Errorf("record %d: %d times", i, times)
		}
	}
	full := dropped.Lost.Disk // while the maintainer could not keep up
	if kept+lost != n || lost == 0 || dropped.Lost.Dropped > lost || full > 0 {
		t.Errorf("%d kept and %d lost of %d; Stats: %+v", kept, lost, n, dropped)
	}
}

// What a crash can leave at each step of making room.
func TestSweep(t *testing.T) {
	make := func(t *testing.T) (dir string, names []string) {
		dir = t.TempDir()
		j := open(t, dir, nil, func(c *Config) { c.SegmentBytes = minSegment })
		paced(t, j, newRecord, 0, 60)
		closeNow(t, j)
		return dir, glob(t, dir, recordExt)
	}
	number := func(path string) uint64 {
		n, _, _ := parseName(filepath.Base(path))
		return n
	}
	compactedOf := func(t *testing.T, dir string, number uint64, ext string) segment {
		t.Helper()
		seg := segment{number: number, ext: ext, size: size(t, filepath.Join(dir, segmentName(number, ext)))}
		var failed error
		if ext == compactedExt {
			d, _, err := readCompacted(dir, seg)
			if err != nil {
				t.Fatal(err)
			}
			seg.first = d.first
			return seg
		}
		d, list, err := countRecords(dir, seg)
		if err != nil {
			t.Fatal(err)
		}
		out, err := writeCompacted(dir, number, d, list, &failed)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, prepare := range map[string]func(t *testing.T, dir string, names []string){
		"half a digest": func(t *testing.T, dir string, names []string) {
			write(t, strings.TrimSuffix(names[0], recordExt)+compactedExt+tmpExt, "half")
		},
		"a digest beside its records": func(t *testing.T, dir string, names []string) {
			compactedOf(t, dir, number(names[1]), recordExt)
		},
		"a broken digest beside its records": func(t *testing.T, dir string, names []string) {
			compactedOf(t, dir, number(names[1]), recordExt)
			truncate(t, strings.TrimSuffix(names[1], recordExt)+compactedExt, segmentHead+5)
		},
		"merged digests beside what they were merged from": func(t *testing.T, dir string, names []string) {
			a, b := compactedOf(t, dir, number(names[0]), recordExt), compactedOf(t, dir, number(names[1]), recordExt)
			k := maintainer{cfg: &Config{Dir: dir}}
			if _, _, err := k.rewrite(toMerge, []segment{a, b}); err != nil {
				t.Fatal(err)
			}
		},
		"another file": func(t *testing.T, dir string, names []string) {
			write(t, filepath.Join(dir, "README"), "hands off")
			write(t, filepath.Join(dir, "1.rec"), "not named as ours")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, names := make(t)
			prepare(t, dir, names)
			s := newStore()
			j := open(t, dir, s, nil)
			syncNow(t, j)
			s.check(t, 60)
			if s.lost != 0 {
				t.Errorf("%d lost", s.lost)
			}
			closeNow(t, j)
			if left := append(glob(t, dir, compactedExt), glob(t, dir, tmpExt)...); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// A compacted segment that is damaged costs the rows that are damaged, counted.
func TestDamagedCompactedSegment(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"a row":          func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"its head":       func(b []byte) []byte { b[segmentHead+frameHead] ^= 1; return b },
		"the file's":     func(b []byte) []byte { b[3] ^= 1; return b },
		"all but a part": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var rows []memory.Aggregate
			for n := range 10 {
				aggregate, _ := newRecord(n).Aggregate()
				rows = append(rows, aggregate)
			}
			var failed error
			if _, err := writeCompacted(dir, 5, compacted{first: 3, records: 10}, slices.Values(rows), &failed); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, segmentName(5, compactedExt))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(damage(b)))
			s := newStore()
			j := open(t, dir, s, nil)
			paced(t, j, newRecord, 10, 11)
			syncNow(t, j)
			if s.times(10) != 1 || len(s.problems) > 0 {
				t.Error("what comes behind is not loaded")
			}
			kept := len(s.aggregates)
			if name != "all but a part" && kept+int(s.lost) < 10 || kept+int(s.lost) > 11 {
				t.Errorf("%d rows, %d lost", kept, s.lost)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want := map[memory.Aggregate]memory.Aggregate{}
		var lists [2][]memory.Aggregate
		for i := range lists {
			rows := map[memory.Aggregate]memory.Aggregate{}
			for range random.IntN(8) {
				aggregate := memory.Aggregate{
					Day: memory.Day(random.Int64N(2)), Record: fmt.Sprint(random.IntN(2)), Row: fmt.Sprint(random.IntN(2)),
					PSL: random.IntN(2) == 0, Failed: random.IntN(2) == 0, Count: 1 + random.Int64N(5), Last: random.Int64N(100),
				}
				addRow(rows, aggregate)
				addRow(want, aggregate)
			}
			lists[i] = slices.SortedFunc(maps.Values(rows), compareAggregates)
		}
		got := slices.Collect(merge(slices.Values(lists[0]), slices.Values(lists[1])))
		if !slices.Equal(got, slices.SortedFunc(maps.Values(want), compareAggregates)) {
			t.Fatalf("%v and %v: %v", lists[0], lists[1], got)
		}
	}
}

// What the store may have a part of is never turned into counts, even if the store cannot
// be asked: not even if its checkpoint is missing.
func TestPartlyLoadedIsKept(t *testing.T) {
	for _, checkpoint := range []string{"kept", "gone", "broken"} {
		t.Run(checkpoint, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir, nil, func(c *Config) { c.SegmentBytes = 8 << 10 })
			paced(t, j, bulky, 0, 100)
			closeNow(t, j)
			s := newStore()
			calls := 0
			loaded := make(chan struct{})
			s.before = func(context.Context, memory.Batch) error {
				if calls++; calls == 2 {
					close(loaded)
				}
				if calls > 1 {
					return errors.New("down")
				}
				return nil
			}
			j = open(t, dir, s, func(c *Config) { c.BatchRecords = 3 })
			<-loaded
			closeDone(t, j)
			switch checkpoint {
			case "gone":
				os.Remove(filepath.Join(dir, checkpointName))
			case "broken":
				write(t, filepath.Join(dir, checkpointName), strings.Repeat("x", checkpointSize))
			}
			j = open(t, dir, nil, small)
			paced(t, j, bulky, 100, 500)
			until(t, j, "small", func(st Stats) bool { return st.Bytes <= 72<<10 })
			closeNow(t, j)
			s.before = nil
			j = open(t, dir, s, nil)
			syncNow(t, j)
			want, _ := sums(500, bulky)
			if got := s.total(); !maps.Equal(got, want) || s.lost != 0 {
				t.Errorf("%d lost; rows:\n got %v\nwant %v", s.lost, got, want)
			}
		})
	}
}

// The loader on its way past segments that the store has lets the maintainer take none
// that comes before the noted one.
func TestClaimKeepsHand(t *testing.T) {
	s := &segmentIndex{cfg: &Config{MaxBytes: 1}, alarm: func() {}, moved: make(chan struct{}), loading: 5}
	for n := uint64(3); n < 8; n++ {
		s.list = append(s.list, &segment{number: n, ext: recordExt, size: 100})
	}
	if seg := s.claim(0); seg.number != 3 {
		t.Errorf("claimed %d", seg.number)
	}
	if j, ok := s.pick(); !ok || j.segs[0].number != 6 {
		t.Errorf("picked %v", j)
	}
	if seg := s.claim(5); seg != nil {
		t.Errorf("claimed %d, which is busy", seg.number)
	}
}

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	n, err := openCheckpoint(dir)
	if err != nil || n.last != (loadStart{}) || !n.unsure {
		t.Fatalf("%+v %v", n, err)
	}
	for i := range uint64(5) {
		want := loadStart{segment: i, from: memory.Position{Segment: i + 1, Offset: int64(i) + 2}}
		if err := n.set(want); err != nil {
			t.Fatal(err)
		}
		n.close()
		if n, err = openCheckpoint(dir); err != nil || n.last != want || n.unsure {
			t.Fatalf("%+v %v, want %v", n, err, want)
		}
	}
	n.close()
	// A slot torn by a power cut leaves the one before.
	path := filepath.Join(dir, checkpointName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[int(n.seq%2)*(checkpointSize/2)+20] ^= 1
	write(t, path, string(b))
	if n, err = openCheckpoint(dir); err != nil || n.last.segment != 3 || n.unsure {
		t.Errorf("%+v %v", n, err)
	}
	n.close()
}

func glob(t testing.TB, dir, ext string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// FuzzCompacted: what is read as the head of a compacted segment is written back as it was, but
// for numbers that are longer than they need be.
func FuzzCompacted(f *testing.F) {
	d := compacted{first: 3, records: 1 << 40, lost: 7}
	f.Add(d.encode())
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := decodeCompacted(frame{kind: kindCompacted, payload: b})
		if !ok {
			return
		}
		again, ok := decodeCompacted(frame{kind: kindCompacted, payload: d.encode()})
		if !ok || again != d || len(d.encode()) > len(b) {
			t.Errorf("%v, then %v", d, again)
		}
	})
}

// Where no compacted segment can be written, new records are lost in the end, and nothing that
// is there; and it is not tried at every write.
func TestRoomCannotBeMade(t *testing.T) {
	dir, s := t.TempDir(), newStore()
	j := open(t, dir, nil, small)
	paced(t, j, bulky, 0, 50)
	oldest := strings.TrimSuffix(glob(t, dir, recordExt)[0], recordExt)
	obstacle := oldest + compactedExt + tmpExt
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	n := 50
	for j.Append(encode(t, bulky(n))) == nil {
		n++
	}
	if st := j.Stats(); st.Bytes > 2*64<<10 || st.Lost.Disk != 1 || st.CompactionErrors > 5 {
		t.Errorf("Stats: %+v", st)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	until(t, j, "room", func(st Stats) bool { return st.Bytes < 64<<10 })
	if err := j.Append(encode(t, bulky(n))); err != nil {
		t.Error(err)
	}
	closeNow(t, j)
	j = open(t, dir, s, small)
	syncNow(t, j)
	want, _ := sums(n+1, bulky)
	if got := s.total(); !maps.Equal(got, want) || s.lost != 0 {
		t.Errorf("%d lost; rows:\n got %v\nwant %v", s.lost, got, want)
	}
}
