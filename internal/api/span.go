package api

import (
	"fmt"
	"time"

	"dmarcd/internal/settings"
)

// Span is a period as entered by a person.
type Span struct {
	Period
	now  time.Time
	back string // how long Since is before now, in words; "" where it was given otherwise
	open bool   // Until is now
}

// ParseSpan parses the ends of a period, called since and until: durations back from now, dates, or
// times of RFC 3339. An empty until is now.
func ParseSpan(since, until string, now time.Time) (Span, error) {
	// The store's times are in microseconds.
	s := Span{now: now.UTC().Truncate(time.Microsecond)}
	var err error
	var back time.Duration
	if s.Since, back, err = moment(since, s.now); err != nil {
		return s, fmt.Errorf("since: %w", err)
	}
	if back > 0 {
		s.back = spelled(back, since)
	}
	if s.Until = s.now; until == "" {
		s.open = true
	} else if s.Until, _, err = moment(until, s.now); err != nil {
		return s, fmt.Errorf("until: %w", err)
	}
	if !s.Since.Before(s.Until) {
		return s, fmt.Errorf("since %s is not before until %s", s.Since.Format(time.RFC3339), s.Until.Format(time.RFC3339))
	}
	return s, nil
}

// moment parses one time.
func moment(text string, now time.Time) (at time.Time, back time.Duration, err error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), 0, nil
		}
	}
	back, err = settings.ParseDuration(text)
	if err != nil {
		return at, 0, fmt.Errorf("%w; a date such as 2026-11-20 or a time of RFC 3339 do as well", err)
	}
	return now.Add(-back), back, nil
}

// String describes the messages, such as "of the last 7 days".
func (s Span) String() string {
	switch {
	case s.open && s.back != "":
		return "of the last " + s.back
	case s.open:
		return "since " + shortTime(s.Since)
	}
	return "from " + shortTime(s.Since) + " until " + shortTime(s.Until)
}

// shortTime formats a time, as a date if it is the beginning of a day.
func shortTime(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// spelled formats a duration in words if it is a number of days or hours, otherwise as written.
func spelled(d time.Duration, written string) string {
	const day = 24 * time.Hour
	unit, of := "hour", time.Hour
	switch {
	case d%day == 0:
		unit, of = "day", day
	case d%time.Hour != 0:
		return written
	}
	if d == of {
		return unit
	}
	return fmt.Sprintf("%d %ss", d/of, unit)
}
