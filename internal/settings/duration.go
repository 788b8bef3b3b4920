package settings

import (
	"errors"
	"fmt"
	"time"
)

// ParseDuration reads a time span as both files write it, such as 36h, 7d or 1h30m.
func ParseDuration(s string) (time.Duration, error) {
	v, err := measure(s, timeUnits, "d")
	if err == nil {
		return time.Duration(v), nil
	}
	text := fmt.Sprintf("expected a duration such as 7d, 36h or 1h30m, found %q", clip(s))
	if m := (*meant)(nil); errors.As(err, &m) {
		if m.reason != "" {
			text += ": " + m.reason
		}
		if m.hint != "" {
			text += fmt.Sprintf("; did you mean %q?", m.hint)
		}
	}
	return 0, errors.New(text)
}
