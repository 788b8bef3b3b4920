package analysis

import (
	"math/bits"
	"time"

	"dmarcd/internal/memory"
)

const (
	secondsPerDay = 24 * 60 * 60
	// maxSpread is the longest period that is spread over its days.
	maxSpread = 31 * secondsPerDay
)

// MiddleDay is the UTC day of the middle of a period.
func MiddleDay(begin, end time.Time) memory.Day {
	return memory.DayOf(begin.Add(end.Sub(begin) / 2))
}

// Share is the part of a count that falls on a day.
type Share struct {
	Day   memory.Day
	Count int64
}

// LongPeriod reports whether a period is too long to be spread.
func LongPeriod(begin, end time.Time) bool { return seconds(begin, end) > maxSpread }

// Spread returns the days of a count, in order. The count belongs to the day of the period's
// middle. If the period is over a day long, each of its days gets a share in proportion to
// its seconds, by the largest remainder, so that the shares add up. Days without a share are
// omitted. A period of over 31 days is not spread.
func Spread(count int64, begin, end time.Time) []Share {
	length := seconds(begin, end)
	if count <= 0 || length <= secondsPerDay || length > maxSpread {
		return []Share{{Day: MiddleDay(begin, end), Count: count}}
	}
	type part struct {
		Share
		rest uint64
	}
	var parts []part
	left := count
	for from, to := begin.Unix(), begin.Unix()+length; from < to; {
		day := memory.DayOf(time.Unix(from, 0))
		next := min((day + 1).Begin().Unix(), to)
		high, low := bits.Mul64(uint64(count), uint64(next-from))
		share, rest := bits.Div64(high, low, uint64(length))
		parts = append(parts, part{Share{day, int64(share)}, rest})
		left -= int64(share)
		from = next
	}
	for ; left > 0; left-- {
		most := 0
		for i := range parts {
			if parts[i].rest > parts[most].rest {
				most = i
			}
		}
		parts[most].Count++
		parts[most].rest = 0
	}
	var out []Share
	for _, p := range parts {
		if p.Count > 0 {
			out = append(out, p.Share)
		}
	}
	return out
}

// seconds returns the length of a period. The last second of a day counts as the end of that
// day (the form of RFC 9990), as does 00:00:00.
func seconds(begin, end time.Time) int64 {
	to := end.Unix()
	if to%secondsPerDay == secondsPerDay-1 {
		to++
	}
	return to - begin.Unix()
}
