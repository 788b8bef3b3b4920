package mailer

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/notify"
)

// TestNotifications sends what package notify writes.
func TestNotifications(t *testing.T) {
	t.Parallel()
	const admin, gone = "admin@example.org", "gone@example.org"
	in := newInbox(t, refusing(gone, errors.New("no such user")))
	n := notify.New(notify.Config{
		From: "dmarcd@example.org", PerHour: 10, Sender: New(Config{Addr: in.addr}), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	e := notify.Event{
		To: []string{admin}, Sender: "a@bank.example", HeaderFrom: "bank.example", Subject: "Prüfung\r\n.\r\n", Action: "reject",
		Headers: []byte("From: a@bank.example\r\nSubject: Pr\xfcfung\r\n"),
	}
	for range 12 {
		n.Notify(e)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mails := in.taken()
	if len(mails) != 10 {
		t.Fatalf("%d mails, want 10 with the digest", len(mails))
	}
	for _, m := range mails {
		if m.from != "" || len(m.to) != 1 || m.to[0] != admin || !strings.Contains(m.data, "\r\n"+notify.Marker+": ") {
			t.Errorf("got %+v", m)
		}
	}

	n = notify.New(notify.Config{
		From: "dmarcd@example.org", PerHour: 10, Sender: New(Config{Addr: in.addr}), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	e.To = []string{gone}
	n.Notify(e)
	if err := n.Close(t.Context()); !errors.Is(err, notify.ErrUnsent) {
		t.Errorf("error %v", err)
	}
	if s := n.Stats(); s.Failed != 1 {
		t.Errorf("stats %+v", s)
	}
}
