package dkim

import (
	"cmp"
	"crypto/sha256"
	"hash"
	"slices"
)

// bodyDigest is the hash of the canonical body, and of its prefixes for l=.
type bodyDigest struct {
	hash   hash.Hash
	length int64      // canonical octets so far
	whole  bool       // some signature needs the hash of the whole body
	parts  []bodyPart // in order of length
	next   int        // the first incomplete one of parts
	sum    [sha256.Size]byte
}

// bodyPart is the first length octets of the canonical body.
type bodyPart struct {
	length int64
	sum    [sha256.Size]byte
}

// want requests the hash of the first length octets; of the whole body if length is
// negative. It is called before the first Write.
func (d *bodyDigest) want(length int64) {
	if length < 0 {
		d.whole = true
		return
	}
	at, found := slices.BinarySearchFunc(d.parts, length, func(p bodyPart, n int64) int { return cmp.Compare(p.length, n) })
	if !found {
		d.parts = slices.Insert(d.parts, at, bodyPart{length: length})
	}
}

// Write hashes the part of p that is needed, and counts all of it. It never fails.
func (d *bodyDigest) Write(p []byte) (int, error) {
	n := len(p)
	for d.next < len(d.parts) {
		part := &d.parts[d.next]
		room := part.length - d.length
		if int64(len(p)) < room {
			break
		}
		d.hash.Write(p[:room])
		d.length += room
		p = p[room:]
		d.hash.Sum(part.sum[:0])
		d.next++
	}
	if d.whole || d.next < len(d.parts) {
		d.hash.Write(p)
	}
	d.length += int64(len(p))
	return n, nil
}

func (d *bodyDigest) end() {
	d.Write(nil) // completes a part of length 0
	d.hash.Sum(d.sum[:0])
}

// part returns the hash for l=length; false if the body is shorter.
func (d *bodyDigest) part(length int64) ([]byte, bool) {
	if length < 0 {
		return d.sum[:], true
	}
	for i := range d.parts[:d.next] {
		if d.parts[i].length == length {
			return d.parts[i].sum[:], true
		}
	}
	return nil, false
}

// knows reports whether more body cannot change the result for l=length: the hash,
// and that the body is longer.
func (d *bodyDigest) knows(length int64) bool { return length >= 0 && d.length > length }
