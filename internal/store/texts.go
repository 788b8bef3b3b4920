package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
)

// textHash identifies a long text: half of a SHA-256, for which senders cannot find
// collisions.
type textHash [16]byte

func hashText(s string) textHash {
	sum := sha256.Sum256([]byte(s))
	return textHash(sum[:16])
}

// maxTexts bounds the cache, at about 80 octets for each.
const maxTexts = 100_000

// textCache caches which texts the database has. Only committed texts go in.
type textCache struct {
	mu    sync.Mutex
	known map[textHash]textRef
}

// textRef is the row of a text. It is valid for aggregates up to lastDay: for later ones
// the row's last day of use must be updated.
type textRef struct{ id, lastDay int64 }

func (c *textCache) get(h textHash, day int64) (id int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ref, ok := c.known[h]
	return ref.id, ok && ref.lastDay >= day
}

func (c *textCache) add(refs map[textHash]textRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known)+len(refs) > maxTexts {
		c.known = make(map[textHash]textRef)
	}
	for h, ref := range refs {
		c.known[h] = ref
	}
}

// forget empties the cache: rows may have been removed.
func (c *textCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
}

// textUse is a text and the latest day it is wanted for.
type textUse struct {
	body string
	day  int64
}

// storeTexts makes sure that the database has all texts, and returns those that were not
// cached.
func (t *tx) storeTexts(ctx context.Context, uses map[textHash]textUse) (map[textHash]textRef, error) {
	var hashes []textHash
	for h, use := range uses {
		if _, ok := t.s.texts.get(h, use.day); !ok {
			hashes = append(hashes, h)
		}
	}
	// In one order, so that two loaders cannot wait for each other.
	slices.SortFunc(hashes, func(a, b textHash) int { return bytes.Compare(a[:], b[:]) })
	rows := make([][]any, len(hashes))
	for i, h := range hashes {
		rows[i] = []any{h[:], []byte(uses[h].body), uses[h].day}
	}
	found := make(map[textHash]textRef, len(hashes))
	err := t.insertMany(ctx, `INSERT INTO texts (hash, body, last_day)`, rows,
		`ON CONFLICT (hash) DO UPDATE SET
			last_day = CASE WHEN excluded.last_day > texts.last_day THEN excluded.last_day ELSE texts.last_day END
		RETURNING id, hash, last_day`,
		func(scan func(...any) error) error {
			var ref textRef
			var h []byte
			if err := scan(&ref.id, &h, &ref.lastDay); err != nil {
				return err
			}
			found[textHash(h)] = ref
			return nil
		})
	return found, err
}
