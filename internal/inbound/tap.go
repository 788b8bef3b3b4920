package inbound

import (
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// Tap takes copies of the messages that are for certain recipients. It is called
// from many goroutines and gets no test.
type Tap interface {
	// Wants reports whether the tap wants mail for an address. It is called for each
	// recipient as the client wrote it, and then as the MTA parses it.
	Wants(s *settings.Settings, a message.Address) bool
	// Begin opens the copy of one message.
	Begin(s *settings.Settings) Copy
}

// Copy takes one message. Its methods are called from one goroutine, in the order
// of SMTP; End or Abort comes last, once.
type Copy interface {
	// Header takes one field; value is the text after the colon, without the last CRLF.
	// Both are valid during the call only.
	Header(name string, value []byte)
	EndOfHeader()
	// Body takes part of the body, and returns whether more of it is wanted.
	Body(chunk []byte) (more bool)
	// End reports how the message ended, before it is answered: work that must precede
	// the answer is done when End returns. If drop is true, a message that would be
	// delivered otherwise is accepted and dropped.
	End(e Ending) (drop bool)
	// Abort reports that the message was not completed.
	Abort()
}

// Ending is how a message ended.
type Ending struct {
	Outcome *filter.Result
	// Wanted are the addresses for which the tap wanted the message, at most maxWanted.
	Wanted []message.Address
	Only   bool // there were no other recipients
}

// maxWanted bounds Ending.Wanted: a message may have thousands of recipients.
const maxWanted = 100

// tapped is the taps of one message under way.
type tapped struct {
	copies []tappedCopy
	rcpts  int // recipients that were accepted
}

// tappedCopy is the copy that one tap takes.
type tappedCopy struct {
	index  int // of the tap in Config.Taps
	copy   Copy
	wanted []message.Address
	count  int // recipients for which the tap wanted the message
}

// rcpt offers an accepted recipient to each tap: as the client wrote it, and as the MTA
// parses it (zero where not known).
func (t *tapped) rcpt(taps []Tap, s *settings.Settings, to, resolved message.Address) {
	t.rcpts++
	for i, tap := range taps {
		wanted := to
		if !tap.Wants(s, to) {
			if wanted = resolved; !tap.Wants(s, resolved) {
				continue
			}
		}
		c := t.of(i, tap, s)
		c.count++
		if len(c.wanted) < maxWanted {
			c.wanted = append(c.wanted, wanted)
		}
	}
}

// of is the copy that the index-th tap takes, opened on first use.
func (t *tapped) of(index int, tap Tap, s *settings.Settings) *tappedCopy {
	for i := range t.copies {
		if t.copies[i].index == index {
			return &t.copies[i]
		}
	}
	t.copies = append(t.copies, tappedCopy{index: index, copy: tap.Begin(s)})
	return &t.copies[len(t.copies)-1]
}

func (t *tapped) header(name string, value []byte) {
	for _, c := range t.copies {
		c.copy.Header(name, value)
	}
}

func (t *tapped) endOfHeader() {
	for _, c := range t.copies {
		c.copy.EndOfHeader()
	}
}

func (t *tapped) body(chunk []byte) (more bool) {
	for _, c := range t.copies {
		more = c.copy.Body(chunk) || more
	}
	return more
}

// endCopies ends each tap's copy, and reports whether the message is to be dropped.
func (s *session) endCopies(o *filter.Result) (drop bool) {
	copies, rcpts := s.tapped.copies, s.tapped.rcpts
	s.tapped = tapped{}
	for _, c := range copies {
		if s.endCopy(c, Ending{Outcome: o, Wanted: c.wanted, Only: c.count == rcpts}) {
			drop = true
		}
	}
	return drop
}

// endCopy is End of one copy; a panic there costs the copy, not the message.
func (s *session) endCopy(c tappedCopy, e Ending) (drop bool) {
	defer s.contain("tap", e.Outcome)
	return c.copy.End(e)
}

// abortCopies aborts each tap's copy.
func (s *session) abortCopies() {
	copies := s.tapped.copies
	s.tapped = tapped{}
	for _, c := range copies {
		c.copy.Abort()
	}
}
