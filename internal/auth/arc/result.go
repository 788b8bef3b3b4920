package arc

import (
	"net/netip"
	"strconv"

	"dmarcd/internal/dns"
)

// Status is the Chain Validation Status, RFC 8617 section 4.4. There is no
// temporary error among its values.
type Status string

// The values of RFC 8617 section 4.4, in the words of cv= and of
// Authentication-Results (section 10.1).
const (
	None Status = "none" // no ARC fields
	Pass Status = "pass"
	Fail Status = "fail" // to be treated as no chain at all
)

// Result is what became of the chain of one message.
type Result struct {
	Status Status
	// Hops are the sets from instance 1 up to the newest or, in a Fail, as far
	// as they could be read. Only those of a Pass were sealed by whom they name.
	Hops []Hop
	// OldestPass is the lowest instance of the unbroken run of
	// ARC-Message-Signatures that verify, from the newest down: what stands in
	// the message now stood there then. 0 if all do (RFC 8617 section 5.2 step
	// 5). Of a Pass only.
	OldestPass int
	// Temporary tells, of a Fail, that a key could not be looked up now and may
	// be later. RFC 8617 section 5.2.1 makes that a failure like any other.
	Temporary bool
	Err       error // nil exactly when Status is Pass or None
}

// Hop is one ARC set. Its names come from the network, but are checked: they
// hold letters, digits, hyphens, underscores and dots only.
type Hop struct {
	Instance     int      // from 1
	SealDomain   dns.Name // d= of the ARC-Seal: who vouches for the set and all before it. Zero if it could not be read
	SealSelector string   // "" likewise
	AMSDomain    dns.Name // d= of the ARC-Message-Signature, most often the same; zero likewise
	AMSSelector  string
	// AMSPass tells that the ARC-Message-Signature verifies. Those below the
	// first that does not are not tried.
	AMSPass bool
	// FromSigned tells that the ARC-Message-Signature covers the From field.
	FromSigned bool
	// Results is the payload of the ARC-Authentication-Results field, what
	// follows "i=…;", unfolded: that of an Authentication-Results field. It is
	// unchecked text from the network.
	Results string
}

// maxCommentHops bounds Comment. Each hop takes some forty octets.
const maxCommentHops = 10

// Comment tells the chain in the form of RFC 8617 section 7.2.2, for the comment
// of a policy override in an aggregate report: the newest ten seals from the
// newest down and then remoteIP, the client from which the first hop had the
// message as its results say it; the zero Addr is left out.
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
