package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// next is the batch of records that follows the position p.
func next(journal string, p memory.Position, records []memory.Record) memory.Batch {
	return memory.Batch{Journal: journal, From: p, To: memory.Position{Segment: max(p.Segment, 1), Offset: p.Offset + 1000}, Records: records}
}

// load loads records into a journal of the name, at its current position.
func load(t testing.TB, s *Store, journal string, records []memory.Record) {
	t.Helper()
	p, err := s.Position(context.Background(), journal)
	if err == nil {
		err = s.Load(context.Background(), next(journal, p, records))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sum is one of the sums that reports are made of.
type sum struct {
	day    memory.Day
	domain dns.Name
	what   string // "messages", "row" or "record"
	text   string // the key of the row, or the policy record
	flag   bool   // of messages and a row: those that failed only; of a record: by the public suffix list
}

// sums are how many messages, or, of a record, when it was seen last.
type sums map[sum]int64

// messages counts those of all days.
func (s sums) messages() (n int64) {
	for key, count := range s {
		if key.what == "messages" && !key.flag {
			n += count
		}
	}
	return n
}

// aggregateDays are the days that have aggregates.
func aggregateDays(t testing.TB, s *Store) (days []memory.Day) {
	t.Helper()
	var keys []int64
	err := s.read(t.Context(), "test", func(ctx context.Context, t *tx) (err error) {
		keys, err = t.keys(ctx, `SELECT DISTINCT day FROM aggregates ORDER BY day`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range keys {
		days = append(days, memory.Day(day))
	}
	return days
}

// counted reads what reports on all days would be made of.
func counted(t testing.TB, s *Store) sums {
	t.Helper()
	out := sums{}
	for _, day := range aggregateDays(t, s) {
		var after dns.Name
		count := 0
		for {
			domains, err := s.Reports().Domains(t.Context(), day, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range domains {
				out[sum{day: day, domain: d.Domain, what: "messages"}] = d.Messages
				out.add(sum{day: day, domain: d.Domain, what: "messages", flag: true}, d.Failed)
				out.addDomain(t, s, day, d.Domain)
				after = d.Domain
			}
			if count += len(domains); len(domains) < 100 {
				break
			}
		}
		if n, err := s.Reports().CountDomains(t.Context(), day); err != nil || n != count {
			t.Errorf("%d domains on day %d, counted %d (%v)", count, day, n, err)
		}
	}
	return out
}

// addDomain reads the policy records and the rows of one domain.
func (s sums) addDomain(t testing.TB, from *Store, day memory.Day, domain dns.Name) {
	t.Helper()
	records, all, err := from.Reports().Policies(t.Context(), day, domain, 100)
	if err != nil || all != len(records) {
		t.Fatalf("%d of %d records, %v", len(records), all, err)
	}
	for _, r := range records {
		s[sum{day: day, domain: domain, what: "record", text: r.Record, flag: r.PSL}] = r.Last.Unix()
	}
	for _, failed := range []bool{false, true} {
		for after := int64(0); ; {
			rows, err := from.Reports().Rows(t.Context(), day, domain, failed, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				s.add(sum{day: day, domain: domain, what: "row", text: string(r.Key), flag: failed}, r.Messages)
				after = r.Cursor
			}
			if len(rows) < 100 {
				break
			}
		}
	}
}

// add adds, and leaves out what is nothing.
func (s sums) add(key sum, n int64) {
	if n != 0 {
		s[key] += n
	}
}

// expected is what counted should give for records.
func expected(records []memory.Record) sums {
	var aggregates []memory.Aggregate
	for i := range records {
		if y, ok := records[i].Aggregate(); ok {
			aggregates = append(aggregates, y)
		}
	}
	return summed(aggregates...)
}

// summed is what counted should give for aggregates.
func summed(aggregates ...memory.Aggregate) sums {
	out := sums{}
	for _, y := range aggregates {
		for _, failed := range []bool{false, true} {
			if failed && !y.Failed {
				continue
			}
			out.add(sum{day: y.Day, domain: y.PolicyDomain, what: "messages", flag: failed}, y.Count)
			out.add(sum{day: y.Day, domain: y.PolicyDomain, what: "row", text: y.Row, flag: failed}, y.Count)
		}
		record := sum{day: y.Day, domain: y.PolicyDomain, what: "record", text: y.Record, flag: y.PSL}
		out[record] = max(out[record], y.Last)
	}
	return out
}

// all returns all messages, oldest first.
func all(t testing.TB, s *Store) []memory.Record {
	t.Helper()
	var out []memory.Record
	if err := s.Records(t.Context(), time.Time{}, time.Time{}, func(r *memory.Record) error { out = append(out, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLoadAndReadBack(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		want := newTraffic(1, 50).batch(1700, epoch0, 36*time.Hour)
		for chunk := range slices.Chunk(want, 600) {
			load(t, s, "a", chunk)
		}
		got := all(t, s)
		if len(got) != len(want) {
			t.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i := range want {
			bare := want[i]
			bare.Trace = nil
			if !same(t, &bare, &got[i]) {
				t.Fatalf("record %d:\n%+v\nwant\n%+v", i, got[i], bare)
			}
		}
		if got, want := counted(t, s), expected(want); !maps.Equal(got, want) {
			t.Errorf("aggregates: %d, want %d", len(got), len(want))
		}
		if n, err := s.Count(t.Context(), epoch0, epoch0.Add(24*time.Hour)); err != nil || n != 1134 {
			t.Errorf("count of a day %d, %v", n, err)
		}
	})
}

// same compares by encoding.
func same(t testing.TB, a, b *memory.Record) bool {
	t.Helper()
	return slices.Equal(must(a.AppendBinary(nil)), must(b.AppendBinary(nil)))
}

func TestLoadIsExactlyOnce(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(2, 5).batch(100, epoch0, time.Hour)
		first := next("a", memory.Position{}, records)
		if err := s.Load(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		before := counted(t, s)
		for name, batch := range map[string]memory.Batch{
			"again":     first,
			"a gap":     next("a", memory.Position{Segment: 1, Offset: 1001}, records),
			"backwards": {Journal: "a", From: first.To, To: first.From, Records: records},
		} {
			if err := s.Load(t.Context(), batch); !errors.Is(err, ErrPosition) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, err := s.Position(t.Context(), "a"); err != nil || p != first.To {
			t.Errorf("position %v, %v", p, err)
		}
		if p, err := s.Position(t.Context(), "b"); err != nil || p != (memory.Position{}) {
			t.Errorf("position of an unknown journal %v, %v", p, err)
		}
		if n := len(all(t, s)); n != 100 || !maps.Equal(before, counted(t, s)) {
			t.Errorf("%d records, or other aggregates", n)
		}
	})
}

func TestLoadAggregatesAndLosses(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		s.now = func() time.Time { return epoch0.Add(48 * time.Hour) }
		day := memory.DayOf(epoch0)
		aggregate := memory.Aggregate{Day: day, PolicyDomain: dns.MustParse("sender.example"), Record: "v=DMARC1; p=none\x00\xff", Row: "\x00key\xfe", PSL: true, Count: 3, Last: 77}
		failed := aggregate
		failed.Failed, failed.Count = true, 4
		batch := next("a", memory.Position{}, nil)
		batch.Aggregates, batch.Lost = []memory.Aggregate{aggregate, failed, aggregate}, 5
		if err := s.Load(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if got := counted(t, s); !maps.Equal(got, summed(batch.Aggregates...)) || got.messages() != 10 {
			t.Errorf("%+v", got)
		}
		if got, want := losses(t, s), [][3]int64{{int64(day), 10, 0}, {int64(day) + 2, 0, 5}}; !slices.Equal(got, want) {
			t.Errorf("losses %v, want %v", got, want)
		}
	})
}

// losses is the losses recorded by day: messages that were only counted, and records that
// could not be read.
func losses(t *testing.T, s *Store) (out [][3]int64) {
	t.Helper()
	err := s.read(t.Context(), "test", func(ctx context.Context, t *tx) error {
		return t.rows(ctx, func(scan func(...any) error) error {
			var d [3]int64
			err := scan(&d[0], &d[1], &d[2])
			out = append(out, d)
			return err
		}, `SELECT day, detail_lost, lost FROM days ORDER BY day`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A clock that does not advance gives all records one microsecond.
func TestLoadOfOneMicrosecond(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, d := db.open(t), newTraffic(3, 3)
		for range 4 {
			load(t, s, "a", d.batch(900, epoch0, 0))
		}
		if n := len(all(t, s)); n != 3600 {
			t.Errorf("%d records", n)
		}
	})
}

func TestLoadTakesAnyText(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		r := newTraffic(4, 1).record(epoch0)
		r.QueueID, r.MessageID, r.Helo, r.Decision.Action = "\x00\xff", "a\x00b\xffc", "\xc3\x28", "\x00odd"
		load(t, s, "journal \x00\xff", []memory.Record{r})
		for _, id := range []string{r.QueueID} {
			if got, err := s.Find(t.Context(), id, 10); err != nil || len(got) != 1 {
				t.Errorf("find %q: %d, %v", id, len(got), err)
			}
		}
		for _, at := range []time.Time{{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1, 0)} {
			load(t, s, "b", []memory.Record{newTraffic(5, 1).record(at)})
		}
		if n := len(all(t, s)); n != 4 {
			t.Errorf("%d records", n)
		}
	})
}

func TestErrRecord(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, d := db.open(t), newTraffic(6, 1)
		rawChange(t, s, map[string]string{
			"sqlite":   `CREATE TRIGGER odd BEFORE INSERT ON messages WHEN new.action = 'odd' BEGIN SELECT RAISE(ABORT, 'odd'); END`,
			"postgres": `ALTER TABLE messages ADD CONSTRAINT odd CHECK (action <> 'odd')`,
		}[db.kind])
		records := d.batch(10, epoch0, time.Hour)
		records[5].Decision.Action = "odd"
		if err := s.Load(t.Context(), next("a", memory.Position{}, records)); !errors.Is(err, ErrRecord) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if p, err := s.Position(t.Context(), "a"); err != nil || p != (memory.Position{}) || len(all(t, s)) != 0 || len(counted(t, s)) != 0 {
			t.Errorf("something was kept; position %v, %v", p, err)
		}
		load(t, s, "a", records[:5])
		load(t, s, "a", records[6:])
	})
}

// rawChange changes the database behind the store's back.
func rawChange(t testing.TB, s *Store, query string) {
	t.Helper()
	if _, err := s.writer.ExecContext(context.Background(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestSeveralJournalsAtOnce(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		const journals, batches, size = 3, 12, 150
		stores := []*Store{db.open(t), db.open(t), db.open(t)}
		if db.kind == "sqlite" {
			stores[1], stores[2] = stores[0], stores[0]
		}
		var mu sync.Mutex
		var records []memory.Record
		var wait sync.WaitGroup
		for j := range journals {
			d := newTraffic(uint64(10+j/2), 4) // two of them with the same mail
			wait.Go(func() {
				s, name, at := stores[j], fmt.Sprintf("journal%d", j), memory.Position{}
				for range batches {
					batch := next(name, at, d.batch(size, epoch0, time.Second))
					if err := s.Load(t.Context(), batch); err != nil {
						t.Error(err)
						return
					}
					at = batch.To
					mu.Lock()
					records = append(records, batch.Records...)
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		if got := len(all(t, stores[0])); got != journals*batches*size {
			t.Errorf("%d records", got)
		}
		if got, want := counted(t, stores[0]), expected(records); !reflect.DeepEqual(got, want) {
			t.Errorf("aggregates differ: %d and %d rows", len(got), len(want))
		}
		for j := range journals {
			if p, err := stores[0].Position(t.Context(), fmt.Sprintf("journal%d", j)); err != nil || p.Offset != batches*1000 {
				t.Errorf("journal %d: %v, %v", j, p, err)
			}
		}
	})
}

// Two daemons that believe to own one journal: each batch is taken once.
func TestOneJournalTwice(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		batch := next("a", memory.Position{}, newTraffic(11, 2).batch(50, epoch0, time.Minute))
		var wait sync.WaitGroup
		results := make([]error, 4)
		for i := range results {
			wait.Go(func() { results[i] = s.Load(t.Context(), batch) })
		}
		wait.Wait()
		taken := 0
		for _, err := range results {
			if err == nil {
				taken++
			} else if !errors.Is(err, ErrPosition) {
				t.Error(err)
			}
		}
		if n := len(all(t, s)); taken != 1 || n != 50 {
			t.Errorf("taken %d times, %d records", taken, n)
		}
	})
}
