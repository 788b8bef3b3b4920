package analysis_test

import (
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

func TestTellKey(t *testing.T) {
	const name = "s1._domainkey.acme.example"
	at := func(day int) time.Time { return memory.Day(20_000 + day).Begin().Add(6 * time.Hour) }
	seen := func(day int, word analysis.Word, value string) analysis.Snapshot {
		return analysis.Snapshot{Kind: analysis.SnapshotKey, Name: name, Word: word, Value: value, First: at(day), Last: at(day + 1)}
	}
	good, gone, back := seen(0, analysis.WordInEffect, "k"), seen(20, analysis.WordMissing, ""), seen(31, analysis.WordInEffect, "k")
	other := seen(20, analysis.WordMissing, "")
	other.Name = "s2._domainkey.acme.example"
	for _, c := range []struct {
		name     string
		history  []analysis.Snapshot
		from, to int
		now      int
		want     string
	}{
		{"nothing is known", nil, 20, 30, 40, ""},
		{"it was always there", []analysis.Snapshot{good}, 20, 30, 40, ""},
		{"it was missing", []analysis.Snapshot{back, gone, good}, 20, 30, 40, "the key at " + name + " was missing from 2024-10-24 to 2024-11-04"},
		{"it is missing", []analysis.Snapshot{back, gone, good}, 20, 25, 26, "the key at " + name + " has been missing since 2024-10-24"},
		{"it was missing at another time", []analysis.Snapshot{back, gone, good}, 60, 70, 80, ""},
		{"another key was missing", []analysis.Snapshot{other, good}, 20, 30, 40, ""},
		{"it was revoked", []analysis.Snapshot{seen(20, analysis.WordBroken, "v=DKIM1; p="), good}, 20, 30, 40, "the key at " + name + " has been unusable since 2024-10-24"},
		{"it was changed", []analysis.Snapshot{seen(19, analysis.WordInEffect, "other"), good}, 20, 30, 40, "the key at " + name + " was changed on 2024-10-23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := analysis.TellKey(c.history, name, memory.Day(20_000+c.from), memory.Day(20_000+c.to), at(c.now))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
