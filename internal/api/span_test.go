package api_test

import (
	"testing"
	"time"

	"dmarcd/internal/api"
)

func TestSpan(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 30, 0, 0, time.UTC)
	for _, c := range []struct{ since, until, want string }{
		{"7d", "", "of the last 7 days"},
		{"24h", "", "of the last day"},
		{"36h", "", "of the last 36 hours"},
		{"1h", "", "of the last hour"},
		{"2026-11-20", "", "since 2026-11-20"},
		{"2026-11-20", "2026-11-21T12:00:00+01:00", "from 2026-11-20 until 2026-11-21T11:00:00Z"},
	} {
		s, err := api.ParseSpan(c.since, c.until, now)
		if err != nil || s.String() != c.want {
			t.Errorf("%s to %s: got %q, %v; want %q", c.since, c.until, s, err, c.want)
		}
	}
}
