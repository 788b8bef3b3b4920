package arc

import (
	"context"
	"fmt"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// maxMessageSignatures bounds the ARC-Message-Signatures verified, from the newest
// down. Only the newest counts for the status; each costs a pass over the header
// fields that it covers.
const maxMessageSignatures = 10

// setsAhead is the number of sets whose keys are fetched at once.
const setsAhead = maxMessageSignatures

// Resolver fetches keys; see dkim.Resolver.
type Resolver interface {
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
}

// Options bound and configure the validation. The zero Options are the defaults,
// without a time.
type Options struct {
	// MinRSABits and MaxRSABits bound the RSA keys; 0 means the defaults of package
	// dkim. A signature with a key outside of them does not verify.
	MinRSABits, MaxRSABits int
	// Now is the time of the message, for x= of an ARC-Message-Signature. With the zero
	// Time, times are not checked.
	Now time.Time
}

// Verifier validates the chain of one message. It is not safe for concurrent use.
// The caller must call Result or Close. The nil Verifier represents a message
// without ARC fields.
type Verifier struct {
	sets   []set
	chain  *dkim.ChainVerifier // nil if the Result is known from the start
	result Result
}

// NewVerifier parses the ARC fields of h and starts to fetch keys with res. ctx
// bounds the look-ups. h must stay unchanged until Result. Without ARC fields it
// returns nil, which is a valid Verifier.
func NewVerifier(ctx context.Context, res Resolver, h *message.Header, o Options) *Verifier {
	fields, octets := measure(h)
	if fields == 0 {
		return nil
	}
	v := &Verifier{}
	if v.result.Err = v.begin(h, fields, octets, o.Now); v.result.Err != nil {
		v.result.Status = Fail
		return v
	}
	v.chain = dkim.NewChainVerifier(ctx, res, h, v.signatures(), setsAhead*2, dkim.Options{MinRSABits: o.MinRSABits, MaxRSABits: o.MaxRSABits})
	v.fail(ErrGivenUp, 0, dkim.Result{}) // remains if nobody waits for the result
	return v
}

// begin does the part that needs neither keys nor the body; an error means Fail.
func (v *Verifier) begin(h *message.Header, fields, octets int, now time.Time) error {
	switch {
	case h.Cut:
		return ErrHeaderCut
	case fields > maxSets*int(kinds):
		return fmt.Errorf("%w: %d fields", ErrLimit, fields)
	case octets > maxOctets:
		return fmt.Errorf("%w: %d octets", ErrLimit, octets)
	}
	sets, err := collect(h, now)
	v.sets, v.result.Hops = sets, hops(sets)
	if err != nil {
		return err
	}
	if err := checkStructure(sets); err != nil {
		return err
	}
	if err := sets[len(sets)-1].messageFault(); err != nil {
		return fmt.Errorf("%w: i=%d: %w", ErrMessageSignature, len(sets), err)
	}
	return nil
}

// signatures lists the signatures that may need verification, the newest set first.
func (v *Verifier) signatures() []*dkim.ChainSignature {
	out := make([]*dkim.ChainSignature, 0, len(v.sets)+maxMessageSignatures)
	for i := len(v.sets) - 1; i >= 0; i-- {
		if len(v.sets)-i <= maxMessageSignatures {
			out = append(out, v.sets[i].message)
			if other := v.sets[i].relaxed; other != nil {
				out = append(out, other)
			}
		}
		out = append(out, v.sets[i].seal)
	}
	return out
}

// Write takes the next octets of the body, cut anywhere. It never fails and
// does not keep body.
func (v *Verifier) Write(body []byte) (int, error) {
	if v == nil || v.chain == nil {
		return len(body), nil
	}
	return v.chain.Write(body)
}

// NeedsBody reports whether more of the body can change the result. It is false if
// there is no chain, or if it has already failed. It does not wait for keys.
func (v *Verifier) NeedsBody() bool {
	if v == nil || v.chain == nil {
		return false
	}
	newest := &v.sets[len(v.sets)-1]
	return v.chain.NeedsBody(newest.message) || newest.relaxed != nil && v.chain.NeedsBody(newest.relaxed)
}

// Result ends the body, waits for the keys and returns the result. A second call
// returns the same. After Close, a chain not yet validated is a Fail.
func (v *Verifier) Result() Result {
	switch {
	case v == nil:
		return Result{Status: None}
	case v.chain != nil:
		defer v.Close()
		v.validate()
	}
	return v.result
}

// Close cancels the look-ups of an abandoned message. After Result it does nothing.
// It returns when no goroutine of the Verifier is left.
func (v *Verifier) Close() {
	if v != nil && v.chain != nil {
		v.chain.Close()
		v.chain = nil
	}
}

// validate performs steps 4 to 7 of RFC 8617 section 5.2.
func (v *Verifier) validate() {
	newest := len(v.sets)
	if r := v.verifyMessage(newest); r.Status != dkim.Pass {
		v.fail(ErrMessageSignature, newest, r)
		return
	}
	v.result.Hops[newest-1].AMSPass = true
	sums := v.sums()
	for i := newest; i >= 1; i-- {
		if r := v.chain.VerifySeal(v.sets[i-1].seal, sums[i-1]); r.Status != dkim.Pass {
			v.fail(ErrSeal, i, r)
			return
		}
	}
	v.findOldestPass()
	v.result.Status, v.result.Err = Pass, nil
}

// verifyMessage verifies the message signature of set i. An absent c= is read in both
// ways; see Divergences.
func (v *Verifier) verifyMessage(i int) dkim.Result {
	s := &v.sets[i-1]
	r := v.chain.VerifyMessage(s.message)
	if r.Status != dkim.Pass && s.relaxed != nil {
		r = v.chain.VerifyMessage(s.relaxed)
	}
	return r
}

// sums returns the hash that each seal covers: all sets up to its own in order, the
// seal itself last and without its b= (RFC 8617 section 5.1.1).
func (v *Verifier) sums() [][]byte {
	sums := make([][]byte, len(v.sets))
	h := dkim.NewSealHash()
	for i := range v.sets {
		s := &v.sets[i]
		h.Add(s.fields[results])
		h.Add(s.fields[messageSignature])
		sums[i] = h.Sum(s.fields[seal], s.seal)
		h.Add(s.fields[seal])
	}
	return sums
}

// findOldestPass performs step 5.
func (v *Verifier) findOldestPass() {
	oldest := len(v.sets)
	for oldest > 1 && len(v.sets)-oldest < maxMessageSignatures-1 {
		if v.sets[oldest-2].messageFault() != nil || v.verifyMessage(oldest-1).Status != dkim.Pass {
			break
		}
		oldest--
		v.result.Hops[oldest-1].AMSPass = true
	}
	if v.result.OldestPass = oldest; oldest == 1 {
		v.result.OldestPass = 0
	}
}

// fail sets the result to Fail because of the signature of set i.
func (v *Verifier) fail(why error, i int, r dkim.Result) {
	v.result.Status, v.result.Err = Fail, why
	v.result.Temporary = r.Status == dkim.TempError
	if r.Err != nil {
		v.result.Err = fmt.Errorf("%w: i=%d: %w", why, i, r.Err)
	}
}
