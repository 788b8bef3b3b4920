package policy

import (
	"fmt"
	"time"
)

// Day is a UTC day, counted from 1970-01-01. Its text form is 2026-11-24. As the end of a
// list's entry, the zero Day means none.
type Day int64

const (
	dayFormat     = "2006-01-02"
	secondsPerDay = 24 * 60 * 60
)

// DayOf is the day of a time.
func DayOf(t time.Time) Day { return Day(floorDiv(t.Unix(), secondsPerDay)) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// ParseDay reads a day in the form of String.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(dayFormat, s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date such as 2026-11-24", s)
	}
	return DayOf(t), nil
}

// Begin is the first second of the day.
func (d Day) Begin() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// End is the last second of the day.
func (d Day) End() time.Time { return (d + 1).Begin().Add(-time.Second) }

func (d Day) String() string { return d.Begin().Format(dayFormat) }

// MarshalText is String.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDay.
func (d *Day) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDay(string(b))
	return err
}
