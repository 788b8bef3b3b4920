package dkim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// Defaults of Options.
const (
	DefaultMaxSignatures = 10
	DefaultMinRSABits    = minRSABits
	DefaultMaxRSABits    = 4096 // RFC 8301 section 3.2: every verifier must support keys up to this size
)

// Options bound and configure the verification. The zero Options are the defaults,
// without a time.
type Options struct {
	// MaxSignatures is how many signatures are checked; 0 means DefaultMaxSignatures.
	// Malformed ones do not count. Signatures beyond it are Policy.
	MaxSignatures int
	// MinRSABits and MaxRSABits bound the RSA keys; 0 means the defaults. A signature
	// that verifies with a shorter key is Policy, but PermError below 1024 bits (RFC
	// 8301 section 3.2). One with a longer key is Policy and is not compared, to bound
	// the cost.
	MinRSABits, MaxRSABits int
	// Prefer is the author domain, zero if there is none. If there are more signatures
	// than MaxSignatures, those that may align with it come first (RFC 9989 section
	// 5.3.3 needs only one).
	Prefer dns.Name
	// Now is the time of the message, for x=. With the zero Time, times are not checked.
	Now time.Time

	keyBudget int // bounds the cost of comparing one signature, in units of keyRecord.cost
}

func (o Options) withDefaults() Options {
	if o.MaxSignatures <= 0 {
		o.MaxSignatures = DefaultMaxSignatures
	}
	if o.MinRSABits <= 0 {
		o.MinRSABits = DefaultMinRSABits
	}
	if o.MaxRSABits <= 0 {
		o.MaxRSABits = DefaultMaxRSABits
	}
	o.keyBudget = maxKeyRecords * rsaCost(o.MaxRSABits, usualExponent)
	return o
}

// Verifier verifies the signatures of one message. It is not safe for concurrent
// use. The caller must call Results or Close.
type Verifier struct {
	ctx     context.Context
	cancel  context.CancelFunc // nil if there are no look-ups
	lookups sync.WaitGroup
	options Options

	signatures []signature // in header order
	checked    []*signature
	index      *headerIndex
	bodies     []*bodyHash // one for each canonicalization in use, at most two
	bodyRoom   [2]*bodyHash
	hash       hash.Hash // of the header, shared by the signatures in turn
	digest     [sha256.Size]byte
	scratch    []byte
	results    []Result
	ended      bool
}

// NewVerifier parses the signatures of h and starts to fetch their keys with res, in
// parallel. ctx bounds the look-ups: a key still missing when it is done is a
// TempError. h must stay unchanged until Results. A truncated h is not checked:
// every signature is Policy.
func NewVerifier(ctx context.Context, res Resolver, h *message.Header, o Options) *Verifier {
	v := &Verifier{options: o.withDefaults()}
	n := h.Count(fieldName)
	if n == 0 {
		return v
	}
	v.signatures = make([]signature, 0, n)
	for i, f := range h.Fields {
		if !f.Is(fieldName) {
			continue
		}
		v.signatures = append(v.signatures, signature{field: i})
		s := &v.signatures[len(v.signatures)-1]
		err := s.parse(f, o.Now)
		switch {
		case h.Cut:
			s.conclude(conclusion{status: Policy, err: ErrHeaderCut})
		case err != nil:
			s.conclude(faulty(err))
		}
	}
	v.choose()
	v.prepare(ctx, h)
	for _, s := range v.checked {
		s.checkFit(v.options)
		v.takeBody(s)
		v.fetchKey(s, res)
	}
	return v
}

// prepare sets up the verification, if there is anything to check.
func (v *Verifier) prepare(ctx context.Context, h *message.Header) {
	if len(v.checked) == 0 {
		return
	}
	v.index = newHeaderIndex(h.Fields)
	v.bodies = v.bodyRoom[:0]
	v.hash = sha256.New()
	v.scratch = make([]byte, 0, scratchSize)
	v.ctx, v.cancel = context.WithCancel(ctx)
}

// takeBody registers s with the hash of its body canonicalization.
func (v *Verifier) takeBody(s *signature) {
	s.body = v.bodyFor(s.Body)
	s.body.users++
	s.body.digest.want(s.length)
}

// fetchKey starts the look-up of the key of s, unless another signature did.
func (v *Verifier) fetchKey(s *signature, res Resolver) {
	for _, other := range v.checked {
		if other.key != nil && other.keyName == s.keyName {
			s.key = other.key
			return
		}
	}
	l := &keyLookup{name: s.keyName, done: make(chan struct{})}
	s.key = l
	if !l.cached(res) {
		v.lookups.Go(func() { l.run(v.ctx, res) })
	}
}

func (v *Verifier) bodyFor(canon string) *bodyHash {
	for _, b := range v.bodies {
		if b.relaxed == (canon == relaxed) {
			return b
		}
	}
	b := newBodyHash(canon)
	v.bodies = append(v.bodies, b)
	return b
}

// Domains returns the d= of the signatures being checked, each once, in header
// order. It does not wait, so that dependent work can start early.
func (v *Verifier) Domains() []dns.Name {
	var out []dns.Name
next:
	for _, s := range v.checked {
		for _, d := range out {
			if d == s.Domain {
				continue next
			}
		}
		out = append(out, s.Domain)
	}
	return out
}

// Write takes the next octets of the body, cut anywhere. It never fails and
// does not keep body.
func (v *Verifier) Write(body []byte) (int, error) {
	if v.ended {
		return len(body), nil
	}
	for _, b := range v.bodies {
		if b.users > 0 {
			b.write(body, v.scratch)
		}
	}
	return len(body), nil
}

// NeedsBody reports whether more of the body can change a result. It is false if
// there is no signature to check, if all have failed, or if the body has passed the
// l= of the others. It does not wait for keys.
func (v *Verifier) NeedsBody() bool {
	needs := false
	for _, s := range v.checked {
		needs = v.needsBody(s) || needs
	}
	return needs
}

// needsBody reports whether more of the body can change the result of s.
func (v *Verifier) needsBody(s *signature) bool {
	if !s.concluded() && s.key.ready() {
		v.compare(s)
	}
	return !s.concluded() && !s.body.digest.knows(s.length)
}

// Results ends the body, waits for the keys and returns one Result for each
// DKIM-Signature field, in header order; nil for a message without signatures, or
// after Close. A second call returns the same slice.
func (v *Verifier) Results() []Result {
	if v.ended {
		return v.results
	}
	defer v.stop()
	v.endBody()
	for _, s := range v.checked {
		v.finish(s)
	}
	if len(v.signatures) > 0 {
		v.results = make([]Result, len(v.signatures))
		for i := range v.signatures {
			v.results[i] = v.signatures[i].Result
		}
	}
	return v.results
}

// endBody ends the body; later writes are ignored.
func (v *Verifier) endBody() {
	if v.ended {
		return
	}
	v.ended = true
	for _, b := range v.bodies {
		b.end(v.scratch)
	}
}

// finish waits for the key of s and concludes it. The body has ended.
func (v *Verifier) finish(s *signature) {
	if s.concluded() {
		return
	}
	if s.key.wait(v.ctx) {
		v.compare(s)
	} else {
		s.unknown(conclusion{status: TempError, err: fmt.Errorf("%w: %w", ErrKeyLookup, context.Cause(v.ctx))})
	}
	switch {
	case s.concluded():
	case s.body == nil || s.afterBody.status == Fail:
		v.conclude(s, s.afterBody)
	default:
		v.conclude(s, s.compareBody())
	}
}

// Close cancels the look-ups of an abandoned message. After Results it does nothing.
// It returns when no goroutine of the Verifier is left.
func (v *Verifier) Close() {
	v.ended = true
	v.stop()
}

func (v *Verifier) stop() {
	if v.cancel != nil {
		v.cancel()
		v.lookups.Wait()
	}
}
