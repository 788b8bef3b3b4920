package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/policy"
)

// outbox is a Sender that keeps what it is given.
type outbox struct {
	mu     sync.Mutex
	sent   []sent
	answer func(ctx context.Context, nth int, to string) error // nil takes everything
	tried  [][]byte
}

type sent struct {
	at   time.Time
	from string
	to   []string
	mail []byte
}

func (o *outbox) Send(ctx context.Context, from string, to []string, mail []byte) error {
	o.mu.Lock()
	o.tried = append(o.tried, bytes.Clone(mail))
	nth, answer := len(o.tried), o.answer
	o.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, nth, to[0]); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, sent{at: time.Now(), from: from, to: slices.Clone(to), mail: bytes.Clone(mail)})
	return nil
}

func (o *outbox) mails() []sent {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sent)
}

// tries are the mails of all calls.
func (o *outbox) tries() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tried)
}

// mailError is an error of a Sender.
type mailError struct{ temporary bool }

func (e mailError) Error() string   { return fmt.Sprintf("temporary: %v", e.temporary) }
func (e mailError) Temporary() bool { return e.temporary }

// parsed is a mail as a reader sees it.
type parsed struct {
	header  mail.Header
	subject string
	body    string
}

func parse(t *testing.T, raw []byte) parsed {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	p := parsed{header: m.Header}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatalf("subject: %v", err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	p.body = string(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")))
	return p
}

const admin = "admin@example.org"

// event is a usual one.
func event(to ...string) Event {
	return Event{
		At:         time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		To:         to,
		Sender:     "bounce@mail.example",
		HeaderFrom: "bank.example",
		Subject:    "=?iso-8859-1?Q?Pr=FCfung?=\r\n of your account",
		MessageID:  "1@bank.example",
		QueueID:    "4Q1x",
		Rcpts:      []string{"anna@example.org", "bert@example.org"},
		Headers:    []byte("From: <a@bank.example>\r\nSubject: a\r\n folded\r\n"),
		Rule:       "dmarc.actions.reject",
		Action:     "reject",
		Tags:       "notify",
		SPF:        "fail", DKIM: "none", DMARC: "fail",
		ClientIP: netip.MustParseAddr("192.0.2.1"),
		Domain:   "example.org",
	}
}

// inBubble runs a test with a Notifier on a clock of its own. The Notifier is
// closed at the end if the test has not closed it.
func inBubble(t *testing.T, perHour int, test func(t *testing.T, n *Notifier, out *outbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		out := &outbox{}
		n := New(Config{From: "dmarcd@example.org", PerHour: perHour, Sender: out, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		test(t, n, out)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := n.Close(ctx); err != nil && !errors.Is(err, ErrUnsent) {
			t.Error(err)
		}
	})
}

// pass lets time go by and the Notifier work.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func mustTemplate(t *testing.T, text string) policy.NotificationTemplate {
	t.Helper()
	tmpl, err := policy.ParseNotification(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func wantStats(t *testing.T, n *Notifier, want Stats) {
	t.Helper()
	if got := n.Stats(); got != want {
		t.Errorf("stats %+v\nwant  %+v", got, want)
	}
}
