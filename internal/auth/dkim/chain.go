package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"dmarcd/internal/message"
)

// This file serves package arc: two fields of an ARC set contain signatures of
// nearly the form of DKIM-Signature (RFC 8617 section 4.1).

// ChainSignature is the signature in an ARC-Message-Signature or ARC-Seal field.
// It belongs to one chain and is not safe for concurrent use.
type ChainSignature struct {
	// Instance is i= as sent, cut to a bound; "" if there is none.
	Instance string
	// Validation is cv= of a seal, also cut.
	Validation string

	signature signature
	noCanon   bool // it has no c=
}

// ParseMessageSignature parses the ARC-Message-Signature at h.Fields[field] like a
// DKIM-Signature, except that v= is no tag, i= is the instance (RFC 8617 section
// 4.1.2), and h= need not name From. Result reports an error.
func ParseMessageSignature(h *message.Header, field int, now time.Time) *ChainSignature {
	c := &ChainSignature{signature: signature{field: field, length: -1}}
	f := h.Fields[field]
	tags, err := c.parseTags(f)
	if err == nil {
		s := &c.signature
		err = firstFault(
			s.parseAlgorithm(tags),
			s.parseNames(tags),
			s.parseCanonicalization(tags),
			s.parseData(tags, f),
			s.parseBodyHash(tags),
			s.parseList(tags),
			s.parseLength(tags),
			s.parseTimes(tags, now),
			parseQuery(tags),
		)
	}
	c.end(err)
	return c
}

// ParseSeal parses the ARC-Seal at h.Fields[field] (RFC 8617 section 4.1.3). Result
// reports an error.
func ParseSeal(h *message.Header, field int) *ChainSignature {
	c := &ChainSignature{signature: signature{field: field, length: -1}}
	f := h.Fields[field]
	tags, err := c.parseTags(f)
	if err == nil {
		s := &c.signature
		_, created := parseCreated(tags)
		err = firstFault(
			s.parseAlgorithm(tags),
			s.parseNames(tags),
			s.parseData(tags, f),
			created,
		)
		// RFC 8617 section 4.1.3: a seal cannot choose what it covers.
		if _, listed := tags.get("h"); listed && err == nil {
			err = fmt.Errorf("%w: h= in a seal", ErrSyntax)
		}
	}
	c.end(err)
	return c
}

func (c *ChainSignature) parseTags(f message.Field) (tagList, error) {
	tags, err := fieldTags(make(tagList, 0, 12), f)
	switch {
	case err != nil:
		return nil, err
	case !keepsGrammar(f.Value(), tags):
		return nil, fmt.Errorf("%w: not the grammar of a tag-list", ErrSyntax)
	}
	if i, ok := tags.get("i"); ok {
		c.Instance = string(quoted(i.value))
	}
	if cv, ok := tags.get("cv"); ok {
		c.Validation = string(quoted(cv.value))
	}
	_, ok := tags.get("c")
	c.noCanon = !ok
	return tags, nil
}

// keepsGrammar reports whether text strictly obeys the tag-list grammar of RFC 6376
// section 3.2. Message signers get more tolerance; sealers do not.
func keepsGrammar(text []byte, tags tagList) bool {
	specs := bytes.Count(text, []byte(";")) + 1
	if last := bytes.LastIndexByte(text, ';'); len(trim(text[last+1:])) == 0 {
		specs--
	}
	for i := range tags {
		name := tags[i].name
		if c := name[0] | 0x20; c < 'a' || c > 'z' || !isPlain(string(name), true) || bytes.ContainsAny(name, "-.") {
			return false
		}
	}
	return specs == len(tags)
}

func (c *ChainSignature) end(err error) {
	c.signature.agent = c.signature.Domain // for t=s in the key record: no i= can differ
	if err != nil {
		c.signature.conclude(faulty(err))
	}
}

// AsRelaxed returns the same unverified message signature, read as if it had
// c=relaxed/relaxed; nil if it has a c= or is faulty.
func (c *ChainSignature) AsRelaxed() *ChainSignature {
	if !c.noCanon || c.signature.concluded() {
		return nil
	}
	r := *c
	r.signature.Header, r.signature.Body = relaxed, relaxed
	return &r
}

// Result returns what is known so far. Its Status is "" while a well-formed
// signature awaits verification; its names are as in any Result.
func (c *ChainSignature) Result() Result { return c.signature.Result }

// Lists reports whether h= of an ARC-Message-Signature names a field.
func (c *ChainSignature) Lists(name string) bool { return c.signature.lists(name) }

// ChainVerifier verifies the signatures of one ARC chain on demand. It is not safe
// for concurrent use. The caller must call Close.
type ChainVerifier struct {
	v   Verifier
	res Resolver
}

// NewChainVerifier takes the message signatures and seals that may need
// verification. It starts to fetch the keys of the first ahead signatures in
// parallel. The others are fetched in turn, so that a bad chain causes no further
// look-ups. ctx and h are as in NewVerifier. MaxSignatures, Prefer and Now of o are
// not used.
func NewChainVerifier(ctx context.Context, res Resolver, h *message.Header, signatures []*ChainSignature, ahead int, o Options) *ChainVerifier {
	c := &ChainVerifier{v: Verifier{options: o.withDefaults()}, res: res}
	c.v.options.keyBudget /= maxKeyRecords // a chain has many seals
	c.v.checked = make([]*signature, 0, len(signatures))
	for _, cs := range signatures {
		if !cs.signature.concluded() {
			c.v.checked = append(c.v.checked, &cs.signature)
		}
	}
	c.v.prepare(ctx, h)
	for i, s := range c.v.checked {
		s.checkFit(c.v.options)
		if s.Body != "" { // no seal
			c.v.takeBody(s)
		}
		if i < ahead {
			c.v.fetchKey(s, res)
		}
	}
	return c
}

// Write takes the next octets of the body, as Verifier.Write does.
func (c *ChainVerifier) Write(body []byte) (int, error) { return c.v.Write(body) }

// NeedsBody reports whether more of the body can change the result of a message
// signature whose key was prefetched. It does not wait for the key.
func (c *ChainVerifier) NeedsBody(cs *ChainSignature) bool {
	s := &cs.signature
	return s.body != nil && s.key != nil && c.v.needsBody(s)
}

// VerifyMessage ends the body, waits for the key and returns the result of a
// message signature.
func (c *ChainVerifier) VerifyMessage(cs *ChainSignature) Result {
	c.v.endBody()
	return c.verify(cs)
}

// VerifySeal waits for the key and returns the result of a seal over the hash
// that SealHash.Sum computed for it.
func (c *ChainVerifier) VerifySeal(cs *ChainSignature, sum []byte) Result {
	cs.signature.sealed = sum
	return c.verify(cs)
}

func (c *ChainVerifier) verify(cs *ChainSignature) Result {
	s := &cs.signature
	if !s.concluded() {
		if s.key == nil {
			c.v.fetchKey(s, c.res)
		}
		c.v.finish(s)
	}
	return s.Result
}

// Close cancels the look-ups. It returns when no goroutine of c is left.
func (c *ChainVerifier) Close() { c.v.Close() }

// SealHash is the running hash of the fields that the seals of a chain cover, in
// relaxed form (RFC 8617 section 5.1.1). One pass serves all seals.
type SealHash struct {
	hash hash.Hash
	buf  []byte
}

// NewSealHash returns the hash of no fields.
func NewSealHash() *SealHash {
	return &SealHash{hash: sha256.New(), buf: make([]byte, 0, scratchSize)}
}

// Add adds a whole field.
func (h *SealHash) Add(f message.Field) {
	out := gather{to: h.hash, buf: h.buf[:0]}
	out.relaxedField(f.Raw)
	out.flush()
}

// Sum returns the hash that the seal in field f covers: the fields added so far and
// then f, without its b= and the final CRLF (RFC 6376 section 3.7). It does not
// add f.
func (h *SealHash) Sum(f message.Field, seal *ChainSignature) []byte {
	cloner, ok := h.hash.(hash.Cloner)
	if !ok {
		return nil
	}
	clone, err := cloner.Clone()
	if err != nil {
		return nil
	}
	s := &seal.signature
	out := gather{to: clone, buf: h.buf[:0]}
	out.relaxedOwn(splitOwn(f.Raw, s))
	out.flush()
	return clone.Sum(nil)
}
