package inbound

import (
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// maxBounceBody is how much of a body Config.Bounce gets: a notice and the beginning of
// what it returns. maxBounceHeader bounds the header likewise.
const (
	maxBounceBody   = 256 << 10
	maxBounceHeader = 256 << 10
)

// capture gathers one message for Config.Bounce. Its methods do nothing on nil.
type capture struct {
	raw  []byte
	left int // octets of the body that are wanted still
}

// tap begins to gather a message one of whose recipients is the address that our
// reports come from, as the client wrote it or as the MTA reads it.
func (s *session) tap(to, resolved message.Address) {
	if s.config.Bounce == nil || s.test || s.bounce != nil {
		return
	}
	if filter.TakesBounces(s.settings, to) || filter.TakesBounces(s.settings, resolved) {
		s.bounce = &capture{left: maxBounceBody}
	}
}

func (c *capture) header(name string, value []byte) {
	if c == nil || len(c.raw)+len(name)+len(value) > maxBounceHeader {
		return
	}
	c.raw = append(append(c.raw, name...), ':')
	c.raw = append(append(c.raw, value...), '\r', '\n')
}

func (c *capture) endOfHeader() {
	if c != nil {
		c.raw = append(c.raw, '\r', '\n')
	}
}

// body takes part of the body and returns whether more of it is wanted.
func (c *capture) body(chunk []byte) (more bool) {
	if c == nil {
		return false
	}
	chunk = chunk[:min(len(chunk), c.left)]
	c.raw = append(c.raw, chunk...)
	c.left -= len(chunk)
	return c.left > 0
}

// deliverBounce hands over what was gathered, if the message was let in.
func (s *session) deliverBounce(o *filter.Outcome) {
	c := s.bounce
	s.bounce = nil
	if c == nil || o.Decision.Action != policy.Bypass {
		return
	}
	defer s.unharmed("bounce", o)
	s.config.Bounce(c.raw)
}
