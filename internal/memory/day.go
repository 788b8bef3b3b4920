package memory

import (
	"time"

	"dmarcd/internal/policy"
)

// Day is a UTC day, counted from 1970-01-01. Its text form is 2026-11-24.
type Day = policy.Day

// DayOf is the day of a time.
func DayOf(t time.Time) Day { return policy.DayOf(t) }

// ParseDay reads a day in the form of String.
func ParseDay(s string) (Day, error) { return policy.ParseDay(s) }
