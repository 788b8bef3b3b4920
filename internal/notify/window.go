package notify

import "time"

// window counts the mails of the last hour. It is exact, whereas a full token bucket lets
// nearly twice the number through in an hour.
type window struct {
	begun []time.Time // of mails, oldest first
}

const hour = time.Hour

// take counts one more mail if fewer than most began within the hour before now.
func (w *window) take(now time.Time, most int) bool {
	old := 0
	for old < len(w.begun) && !w.begun[old].After(now.Add(-hour)) {
		old++
	}
	w.begun = w.begun[old:]
	if len(w.begun) >= most {
		return false
	}
	w.begun = append(w.begun, now)
	return true
}

// free is when take is true again, if it was not just now.
func (w *window) free(most int) time.Time {
	if most <= 0 || len(w.begun) < most {
		return time.Time{}
	}
	return w.begun[len(w.begun)-most].Add(hour)
}
