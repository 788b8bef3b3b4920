package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"dmarcd/internal/text"
)

// sendTimeout bounds handing over one mail.
const sendTimeout = 2 * time.Minute

// backOff is how long a mail waits after each temporary failure but the last.
func backOff() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
}

// job is one mail to be sent.
type job struct {
	to     string
	event  *Event  // the event to report,
	digest *digest // or this
	mail   []byte  // nil until it is written; the same at each try
	tries  int     // so far
	due    time.Time
}

// run sends until the Notifier is closed and nothing is left, or ctx ends.
func (n *Notifier) run(ctx context.Context) {
	defer close(n.done)
	timer := time.NewTimer(hour)
	defer timer.Stop()
	for {
		j, wait := n.next()
		if j != nil && ctx.Err() == nil {
			n.deliver(ctx, j)
			continue
		}
		if n.ended(ctx, j) {
			return
		}
		timer.Reset(wait)
		select {
		case <-n.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// next takes the next mail to send from the queue; if none is due, it returns how long to
// wait.
func (n *Notifier) next() (*job, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	wake := now.Add(hour)
	for i, j := range n.queue {
		if n.closing || !j.due.After(now) {
			n.queue = append(n.queue[:i], n.queue[i+1:]...)
			return j, 0
		}
		wake = earlier(wake, j.due)
	}
	d := n.oldest()
	if d == nil {
		return nil, wake.Sub(now)
	}
	if due := d.opened.Add(digestDelay); due.After(now) && !n.closing {
		return nil, earlier(wake, due).Sub(now)
	}
	if n.window.take(now, n.config.PerHour) {
		delete(n.digests, strings.ToLower(d.to))
		return &job{to: d.to, digest: d}, 0
	}
	if free := n.window.free(n.config.PerHour); free.After(now) {
		wake = earlier(wake, free)
	}
	return nil, wake.Sub(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// oldest is the digest that has been open for longest; nil if there is none.
func (n *Notifier) oldest() *digest {
	var oldest *digest
	for _, d := range n.digests {
		if oldest == nil || d.opened.Before(oldest.opened) || d.opened.Equal(oldest.opened) && d.to < oldest.to {
			oldest = d
		}
	}
	return oldest
}

// ended reports whether the work is over, and counts what was not sent.
func (n *Notifier) ended(ctx context.Context, taken *job) bool {
	n.mu.Lock()
	if !n.closing && ctx.Err() == nil {
		n.mu.Unlock()
		return false
	}
	lost := len(n.queue)
	for _, d := range n.digests {
		lost += d.events
	}
	if taken != nil {
		lost++
	}
	n.queue, n.digests = nil, map[string]*digest{}
	n.stats.Dropped += uint64(lost)
	n.mu.Unlock()
	if lost > 0 {
		n.log.Warn("notifications were not sent before the end", "events", lost)
	}
	return true
}

// deliver sends one mail and handles the result.
func (n *Notifier) deliver(ctx context.Context, j *job) {
	n.mu.Lock()
	c := n.config
	n.mu.Unlock()
	if j.mail == nil {
		j.mail = write(c, j, n.now())
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	n.finish(j, c.Sender.Send(ctx, "", []string{j.to}, j.mail))
}

// write makes the mail.
func write(c Config, j *job, now time.Time) []byte {
	m := draft{from: c.From, to: j.to, kind: kindMessage, id: rand.Text(), at: now}
	if !isAddress(m.from) {
		m.from = fallbackFrom
	}
	if j.digest != nil {
		m.kind = kindDigest
		m.subject, m.body = j.digest.text(c.PerHour)
	} else {
		m.subject, m.body = expand(c.Template, j.event)
	}
	return m.bytes()
}

// finish counts a mail as sent or failed, or lets it wait for another try. It
// logs without the lock: whoever notifies must not wait for a log.
func (n *Notifier) finish(j *job, err error) {
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stats.Sent++
		if j.digest != nil {
			n.stats.Digests++
		}
		return
	}
	j.tries++
	if n.again(j, err) {
		n.log.Debug("a notification is tried again later", attributes(j, err)...)
		return
	}
	n.log.Warn("a notification was given up", attributes(j, err)...)
}

// again queues a mail for another try, or counts it as failed.
func (n *Notifier) again(j *job, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	waits := backOff()
	if !isTemporary(err) || n.closing || j.tries > len(waits) {
		n.stats.Failed++
		return false
	}
	j.due = n.now().Add(waits[j.tries-1])
	n.queue = append(n.queue, j)
	return true
}

// maxLogged bounds an error in the log, in octets.
const maxLogged = 300

// attributes describe a failed mail. The local part of its address is not logged.
func attributes(j *job, err error) []any {
	_, domain, _ := strings.Cut(j.to, "@")
	a := []any{slog.String("to_domain", domain), slog.Int("tries", j.tries), slog.String("error", text.Cut(err.Error(), maxLogged))}
	if j.digest != nil {
		return append(a, slog.Int("events", j.digest.events))
	}
	return append(a, slog.String("queue_id", text.Cut(j.event.QueueID, maxLogged)), slog.String("rcpt_domain", text.Cut(j.event.Domain, maxLogged)))
}

// isTemporary reports whether an error may be another at another time.
func isTemporary(err error) bool {
	var e interface{ Temporary() bool }
	return !errors.As(err, &e) || e.Temporary()
}
