package arc

import (
	"net/netip"
	"strconv"

	"dmarcd/internal/dns"
)

// Status is the Chain Validation Status (RFC 8617 section 4.4). It has no value for a
// temporary error.
type Status string

// The values of RFC 8617 section 4.4, as in cv= and in Authentication-Results
// (section 10.1).
const (
	None Status = "none" // no ARC fields
	Pass Status = "pass"
	Fail Status = "fail" // treated like no chain
)

// Result is the outcome for the chain of one message.
type Result struct {
	Status Status
	// Hops are the sets from instance 1 up to the newest or, in a Fail, as far as they
	// could be read. Only a Pass proves that the named domains sealed them.
	Hops []Hop
	// OldestPass is the lowest instance of the unbroken run of ARC-Message-Signatures
	// that verify, from the newest down: the message is unchanged since that hop. It is
	// 0 if all verify (RFC 8617 section 5.2 step 5). Set only in a Pass.
	OldestPass int
	// Temporary reports, in a Fail, that a key look-up failed temporarily. RFC 8617
	// section 5.2.1 makes that a failure like any other.
	Temporary bool
	Err       error // nil exactly when Status is Pass or None
}

// Hop is one ARC set. Its names come from the network but are validated: they
// contain letters, digits, hyphens, underscores and dots only.
type Hop struct {
	Instance     int      // from 1
	SealDomain   dns.Name // d= of the ARC-Seal: vouches for the set and all before it. Zero if it could not be read
	SealSelector string   // "" likewise
	AMSDomain    dns.Name // d= of the ARC-Message-Signature, usually the same; zero likewise
	AMSSelector  string
	// AMSPass reports that the ARC-Message-Signature verifies. Those below the first
	// failure are not tried.
	AMSPass bool
	// FromSigned reports that the ARC-Message-Signature covers the From field.
	FromSigned bool
	// Results is the unfolded payload of the ARC-Authentication-Results field, after
	// "i=…;": that of an Authentication-Results field. It is unvalidated text from the
	// network.
	Results string
}

// maxCommentHops bounds Comment. Each hop takes some forty octets.
const maxCommentHops = 10

// Comment formats the chain as in RFC 8617 section 7.2.2, for the comment of a policy
// override in an aggregate report. It lists the newest ten seals from the newest
// down, and then remoteIP: the client of the first hop, as that hop's results state
// it; the zero Addr is omitted.
func (r Result) Comment(remoteIP netip.Addr) string {
	b := append(make([]byte, 0, 128), "arc="...)
	b = append(b, r.Status...)
	for i := len(r.Hops) - 1; i >= max(0, len(r.Hops)-maxCommentHops); i-- {
		h := &r.Hops[i]
		if h.SealDomain.IsZero() {
			continue
		}
		b = append(appendIndexed(b, "as", h.Instance), ".d="...)
		b = append(b, h.SealDomain.String()...)
		b = append(appendIndexed(b, "as", h.Instance), ".s="...)
		b = append(b, h.SealSelector...)
	}
	if remoteIP.IsValid() {
		b = append(appendIndexed(b, "remote-ip", 1), '=')
		b = remoteIP.Unmap().WithZone("").AppendTo(b)
	}
	return string(b)
}

func appendIndexed(b []byte, name string, i int) []byte {
	b = append(append(b, ' '), name...)
	return append(strconv.AppendInt(append(b, '['), int64(i), 10), ']')
}
