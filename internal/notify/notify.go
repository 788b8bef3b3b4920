// Package notify tells people by mail what happened to messages: one mail for a message,
// or, when there are too many, one digest for each address. It never delays or fails
// mail: events that it has no room for are counted.
//
// # Loops
//
// A notification must not cause another. It is sent with the null reverse-path, so that
// nobody bounces or answers it (RFC 5321 section 4.5.5, RFC 3834 section 2), marked
// Auto-Submitted and with a field of our own. And there is no notification
//
//   - for a message with our field: a notification that was forwarded to us,
//   - for a message that is Auto-Submitted or has the null reverse-path: an answer to a
//     notification, or its bounce, from software that ignores the above,
//   - to an address that is the message's sender.
//
// The price is that there are no notifications for forgeries of such mail. It is judged,
// stamped and logged like all other mail.
//
// # Load
//
// In any hour at most Config.PerHour mails are started. A tenth of them, one at least, is
// kept for digests. Once an address is over, all further events for it are counted until
// its digest is sent, ten minutes later or as soon as the hour allows; PerHour 1 thus
// means one digest an hour and nothing else.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/policy"
)

const (
	// maxQueue bounds the mails that wait to be sent or to be tried again.
	maxQueue = 256
	// digestDelay is how long a digest collects.
	digestDelay = 10 * time.Minute
	// digestShare is which part of the mails of an hour is kept for digests.
	digestShare = 10
)

// Sender hands mail to an MTA. to has one address. An error may have a method Temporary()
// bool; without it, it counts as temporary. Send must return soon after its context ends.
// It is not called concurrently.
type Sender interface {
	Send(ctx context.Context, from string, to []string, mail []byte) error
}

// Config says how notifications are sent.
type Config struct {
	From     string                      // of the From field; "" for dmarcd@localhost
	Template policy.NotificationTemplate // zero for the built-in text
	PerHour  int                         // mails in any hour; 0 disables notifications
	Sender   Sender
	Log      *slog.Logger
	Now      func() time.Time
}

// Stats count what happened to notifications. One event for two addresses is two.
type Stats struct {
	Sent    uint64 // mails that the MTA took, digests among them
	Digests uint64 // digests that the MTA took
	Folded  uint64 // counted in a digest instead of mailed singly
	Ignored uint64 // not notified: automatic mail, to its own sender, or PerHour 0
	Dropped uint64 // lost: no room, not an address, or unsent at Close
	Failed  uint64 // mails given up after errors
}

// ErrUnsent means that Close left something unsent.
var ErrUnsent = errors.New("notify: not everything was sent")

// Notifier sends notifications. Safe for concurrent use.
type Notifier struct {
	log  *slog.Logger
	now  func() time.Time
	wake chan struct{} // holds one wake-up
	done chan struct{} // closed once the goroutine has ended
	stop context.CancelFunc

	mu      sync.Mutex
	config  Config
	closing bool
	window  window
	queue   []*job // in order of arrival, except those to be retried
	digests map[string]*digest
	stats   Stats
}

// New starts a Notifier; Close ends it. Every field of c without a stated zero
// value is needed.
func New(c Config) *Notifier {
	ctx, stop := context.WithCancel(context.Background())
	n := &Notifier{
		log:     c.Log,
		now:     c.Now,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		stop:    stop,
		config:  c,
		digests: map[string]*digest{},
	}
	go n.run(ctx)
	return n
}

// Update applies c's From, Template, PerHour and Sender to all mails not yet written, as
// after a reload. The hourly count continues.
func (n *Notifier) Update(c Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.config.From, n.config.Template, n.config.PerHour, n.config.Sender = c.From, c.Template, c.PerHour, c.Sender
	n.look()
}

// Stats is what happened to notifications so far.
func (n *Notifier) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Notify takes an event. It does not wait and keeps e.Headers, which must not be
// written to any more.
func (n *Notifier) Notify(e Event) {
	automatic := e.Automatic || e.nullSender() || automaticHeader(e.Headers)
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.At.IsZero() {
		e.At = n.now()
	}
	var short *Event // made once, if anybody gets a mail of his own
	for i, to := range e.To {
		key := strings.ToLower(to)
		switch {
		case named(e.To[:i], key):
		case automatic || n.config.PerHour <= 0 || key == strings.ToLower(e.Sender) || key == strings.ToLower(e.HeaderFrom):
			n.stats.Ignored++
		case n.closing || !isAddress(to):
			n.stats.Dropped++
		case n.admit(key):
			if short == nil {
				b := e.bounded()
				short = &b
			}
			n.queue = append(n.queue, &job{to: to, event: short})
			n.look()
		default:
			n.fold(key, to, &e)
		}
	}
}

// named reports whether an address, in small letters, is in a list.
func named(list []string, key string) bool {
	for _, a := range list {
		if strings.EqualFold(a, key) {
			return true
		}
	}
	return false
}

// admit reports whether an event may be mailed singly to an address, and counts the mail
// if so.
func (n *Notifier) admit(key string) bool {
	if n.digests[key] != nil || len(n.queue) >= maxQueue {
		return false
	}
	kept := max(1, n.config.PerHour/digestShare)
	return n.window.take(n.now(), n.config.PerHour-kept)
}

// fold counts an event in the digest for an address.
func (n *Notifier) fold(key, to string, e *Event) {
	d := n.digests[key]
	if d == nil {
		if len(n.digests) >= maxDigests {
			n.stats.Dropped++
			return
		}
		d = &digest{to: to, opened: n.now()}
		n.digests[key] = d
		n.look()
	}
	d.add(e)
	n.stats.Folded++
}

// look makes the goroutine look for work.
func (n *Notifier) look() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Close takes no more events and sends the rest: queued mails once more, and digests as
// far as the hour allows. It waits for that, until ctx ends. An error wraps ErrUnsent and
// says how much was lost. The Notifier has ended when Close returns.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	n.closing = true
	before := n.stats.Dropped + n.stats.Failed
	n.look()
	n.mu.Unlock()

	unhook := context.AfterFunc(ctx, n.stop)
	defer unhook()
	<-n.done
	n.stop()
	s := n.Stats()
	if lost := s.Dropped + s.Failed - before; lost > 0 {
		return fmt.Errorf("%w: %d lost", ErrUnsent, lost)
	}
	return nil
}
