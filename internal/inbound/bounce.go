package inbound

import (
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// maxBounceBody is how much of a body a BounceTap passes on: a notice and the beginning
// of what it returns. maxBounceHeader bounds the header likewise.
const (
	maxBounceBody   = 256 << 10
	maxBounceHeader = 256 << 10
)

// BounceTap copies mail to the sender address of our own reports, while reports are
// enabled: the header and the beginning of the body, lines ending in CRLF. It passes on
// no mail that was refused, deferred, dropped or quarantined, which may be forged, and
// only mail with the null sender, which RFC 3464 section 2 requires of a delivery status
// notification.
type BounceTap struct {
	Take func(raw []byte) // called before the answer, from many goroutines
}

// Wants is Tap's.
func (BounceTap) Wants(s *settings.Settings, a message.Address) bool {
	return filter.TakesBounces(s, a)
}

// Begin is Tap's.
func (b BounceTap) Begin(*settings.Settings) Copy {
	return &bounce{take: b.Take, wanted: maxBounceBody}
}

// bounce gathers one message.
type bounce struct {
	take   func(raw []byte)
	raw    []byte
	wanted int // octets of the body that are still wanted
}

func (c *bounce) Header(name string, value []byte) {
	if len(c.raw)+len(name)+len(value) > maxBounceHeader {
		return
	}
	c.raw = append(append(c.raw, name...), ':')
	c.raw = append(append(c.raw, value...), '\r', '\n')
}

func (c *bounce) EndOfHeader() { c.raw = append(c.raw, '\r', '\n') }

func (c *bounce) Body(chunk []byte) (more bool) {
	chunk = chunk[:min(len(chunk), c.wanted)]
	c.raw = append(c.raw, chunk...)
	c.wanted -= len(chunk)
	return c.wanted > 0
}

func (c *bounce) End(e Ending) (drop bool) {
	if e.Outcome.Decision.Action == policy.Bypass && e.Outcome.Envelope.NullSender() {
		c.take(c.raw)
	}
	return false
}

func (*bounce) Abort() {}
