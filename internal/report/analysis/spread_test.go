package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name, begin, end string
		count            int64
		want             string
	}{
		{"a day", "2026-11-01 00:00:00", "2026-11-01 23:59:59", 10, "2026-11-01=10"},
		{"a day that ends at midnight", "2026-11-01 00:00:00", "2026-11-02 00:00:00", 10, "2026-11-01=10"},
		{"a local day", "2026-10-31 15:00:00", "2026-11-01 14:59:59", 10, "2026-11-01=10"},
		{"an hour", "2026-11-01 23:00:00", "2026-11-01 23:59:59", 1, "2026-11-01=1"},
		{"an end before its begin", "2026-11-02 00:00:00", "2026-11-01 00:00:00", 1, "2026-11-01=1"},
		{"two days", "2026-11-01 00:00:00", "2026-11-02 23:59:59", 11, "2026-11-01=6 2026-11-02=5"},
		{"three days", "2026-11-01 00:00:00", "2026-11-04 00:00:00", 10, "2026-11-01=4 2026-11-02=3 2026-11-03=3"},
		{"a day and a half", "2026-11-01 12:00:00", "2026-11-02 23:59:59", 9, "2026-11-01=3 2026-11-02=6"},
		{"the largest remainder", "2026-11-01 12:00:00", "2026-11-03 06:00:00", 2, "2026-11-01=1 2026-11-02=1"},
		{"one message", "2026-11-01 18:00:00", "2026-11-03 00:00:00", 1, "2026-11-02=1"},
		{"a week", "2026-11-01 00:00:00", "2026-11-07 23:59:59", 7, "2026-11-01=1 2026-11-02=1 2026-11-03=1 2026-11-04=1 2026-11-05=1 2026-11-06=1 2026-11-07=1"},
		{"over 31 days", "2026-10-01 00:00:00", "2026-11-01 00:00:01", 62, "2026-10-16=62"},
		{"nothing", "2026-11-01 00:00:00", "2026-11-03 23:59:59", 0, "2026-11-02=0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, s := range Spread(c.count, at(t, c.begin), at(t, c.end)) {
				got = append(got, fmt.Sprintf("%s=%d", s.Day, s.Count))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}

// TestSpreadAddsUp holds the shares to the whole, to their days, and to within one
// message of their proportion, for counts and periods by chance.
func TestSpreadAddsUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		begin := time.Unix(1_700_000_000+r.Int64N(100_000_000), 0)
		end := begin.Add(time.Duration(r.Int64N(40*secondsPerDay)) * time.Second)
		count := r.Int64N(1 << r.IntN(62))
		sum, last := int64(0), memory.Day(0)
		for _, s := range Spread(count, begin, end) {
			if s.Day <= last || s.Day < memory.DayOf(begin) || s.Day > memory.DayOf(end) {
				t.Fatalf("%d from %s to %s: day %s after %s", count, begin, end, s.Day, last)
			}
			sum, last = sum+s.Count, s.Day
		}
		if sum != count {
			t.Fatalf("%d from %s to %s adds up to %d", count, begin, end, sum)
		}
	}
}
