package store

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
)

// TestStoreKeepsEveryField returns a record with every field set back as it was, its
// trace too: what memory encodes, the store must not drop.
func TestStoreKeepsEveryField(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		for seed := range uint64(5) {
			r, err := memorytest.NewFiller(seed).Record()
			if err != nil {
				t.Fatal(err)
			}
			r.QueueID = fmt.Sprintf("Q%d", seed)
			r.Verdict.SPF.LocalPart = nil // no record holds it, see memory
			load(t, s, fmt.Sprint("journal", seed), []memory.Record{*r})
			found := must(s.Find(t.Context(), r.QueueID, 10))
			if len(found) != 1 {
				t.Fatalf("%d found", len(found))
			}
			if want, got := memorytest.Dump(r), memorytest.Dump(&found[0]); !slices.Equal(want, got) {
				t.Errorf("seed %d: the store lacks %q", seed, memorytest.Missing(want, got))
			}
		}
	})
}

// TestHostileMailTakesLittleRoom holds messages that are made to take room, with as
// much trace as is kept, to 64 KiB each in the database and the journal together.
func TestHostileMailTakesLittleRoom(t *testing.T) {
	const messages, most = 40, 64 << 10
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		load(t, s, "usual", newTraffic(1, 5).batch(10, epoch0, time.Hour))
		before := must(s.Size(t.Context()))
		var records []memory.Record
		journaled := 0
		for i := range messages {
			r, err := memorytest.Hostile()
			if err != nil {
				t.Fatal(err)
			}
			r.At = epoch0.Add(time.Duration(i) * time.Minute)
			noise := make([]byte, memory.MaxTraceBytes)
			if _, err := rand.Read(noise); err != nil {
				t.Fatal(err)
			}
			r.Trace = &memory.Trace{Cut: true, Answers: []memory.Answer{{Name: "x.example", Type: "TXT", Texts: []string{string(noise)}}}}
			r.Bound(10)
			b, err := r.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			journaled += len(b)
			records = append(records, *r)
		}
		load(t, s, "hostile", records)
		each := (must(s.Size(t.Context())) - before + int64(journaled)) / messages
		t.Logf("%d octets a message, %d of them in the journal", each, journaled/messages)
		if each > most {
			t.Errorf("a message takes %d octets, at most %d", each, most)
		}
	})
}
