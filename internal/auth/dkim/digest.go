package dkim

import (
	"cmp"
	"crypto/sha256"
	"hash"
	"slices"
)

// bodyDigest is the hash of the canonical body, and of the beginnings of it
// that l= asks for.
type bodyDigest struct {
	hash   hash.Hash
	length int64      // canonical octets so far
	whole  bool       // somebody wants the hash of all
	parts  []bodyPart // in order of length
	next   int        // the first of parts not yet complete
	sum    [sha256.Size]byte
}

// bodyPart is the first length octets of the canonical body.
type bodyPart struct {
	length int64
	sum    [sha256.Size]byte
}

// want asks for the hash of the first length octets, of all if it is negative.
// It is called before the first Write.
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

// Write hashes p, as far as somebody wants it, and counts it. It never fails.
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

// part gives the hash for l=length; false when the body is shorter.
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

// knows tells whether more body cannot change what is known for l=length:
// its hash, and that there is body beyond.
func (d *bodyDigest) knows(length int64) bool { return length >= 0 && d.length > length }
