package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dmarcd/internal/memory"
)

// keyLeeway is the tolerance between the days of failures and of a key's absence: a key is
// looked up a few times a day, and reports over several days blur theirs.
const keyLeeway = 7

// TellKey explains from the DNS history why signatures under a key failed on days from one to
// another: the key was missing or was changed. It returns "" if the history does not tell.
// Snapshots first seen after now do not count.
func TellKey(history []Snapshot, name string, from, to memory.Day, now time.Time) string {
	var seen []Snapshot
	for _, n := range history {
		if n.Kind == SnapshotKey && n.Name == name && n.Word != WordUnknown && !n.First.After(now) {
			seen = append(seen, n)
		}
	}
	slices.SortFunc(seen, func(a, b Snapshot) int { return cmp.Compare(a.First.Unix(), b.First.Unix()) })
	for i, n := range slices.Backward(seen) {
		begin, end, over := memory.DayOf(n.First), memory.DayOf(now), i+1 < len(seen)
		if over {
			end = memory.DayOf(seen[i+1].First)
		}
		if n.Word == WordInEffect || end+keyLeeway < from || begin-keyLeeway > to {
			continue
		}
		word := "missing"
		if n.Word == WordBroken {
			word = "unusable"
		}
		if over {
			return fmt.Sprintf("the key at %s was %s from %s to %s", name, word, begin, end)
		}
		return fmt.Sprintf("the key at %s has been %s since %s", name, word, begin)
	}
	for i := 1; i < len(seen); i++ {
		if day := memory.DayOf(seen[i].First); seen[i].Value != seen[i-1].Value && day+keyLeeway >= from && day <= to {
			return fmt.Sprintf("the key at %s was changed on %s", name, day)
		}
	}
	return ""
}
