package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
)

// rig is a path into a store in memory, with a spool.
type rig struct {
	t        *testing.T
	store    *memoryStore
	spool    *spool.Spool
	path     *Path
	feeds    *Feeds
	settings *settings.Settings
}

// newRig makes a rig whose managed domain is example.com.
func newRig(t *testing.T, change func(*settings.Settings)) *rig {
	t.Helper()
	s := settings.Default("mx.example.org")
	s.Analysis.Domains = names("example.com")
	s.AuthServID = "mx.example.org"
	if change != nil {
		change(s)
	}
	sp, err := spool.Open(spool.Config{Dir: t.TempDir()})
	must(t, err)
	r := &rig{t: t, store: newMemoryStore(), spool: sp, settings: s}
	r.path = NewPath(Config{
		Store: r.store, Settings: func() *settings.Settings { return s }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	r.feeds = NewFeeds(r.store, "mx", time.Now, slog.New(slog.DiscardHandler))
	return r
}

// run has path and spool work until stop is called, or the test ends.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	feed := &SpoolFeed{Spool: r.spool, Path: r.path, Log: slog.New(slog.DiscardHandler), Feeds: map[string]*Feed{
		FeedLMTP: r.feeds.Add(FeedLMTP, nil), FeedMilter: r.feeds.Add(FeedMilter, nil),
	}}
	ended := make(chan struct{}, 2)
	go func() { r.path.Run(ctx); ended <- struct{}{} }()
	go func() { feed.Run(ctx); ended <- struct{}{} }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		<-ended
	})
	r.t.Cleanup(stop)
	return stop
}

// lmtp is a client of an LMTP server on the rig's spool.
func (r *rig) lmtp() *smtp.Client {
	r.t.Helper()
	server := NewLMTP(r.spool, func() *settings.Settings { return r.settings }, r.feeds.Add(FeedLMTP, nil), slog.New(slog.DiscardHandler))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(r.t, err)
	c := smtp.NewClientLMTP(conn)
	r.t.Cleanup(func() {
		_ = c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		must(r.t, server.Shutdown(ctx))
		must(r.t, <-served)
	})
	must(r.t, c.Hello("mta.example.org"))
	return c
}

// deliver sends one mail.
func deliver(t *testing.T, c *smtp.Client, mail string, to ...string) error {
	t.Helper()
	must(t, c.Mail("bounce@reporter.example", nil))
	for _, one := range to {
		must(t, c.Rcpt(one, nil))
	}
	w, err := c.Data()
	must(t, err)
	must(t, second(w.Write([]byte(mail))))
	return w.Close()
}

func TestLMTP(t *testing.T) {
	r := newRig(t, func(s *settings.Settings) {
		s.Analysis.Limits.MailBytes = 128 << 10
		s.Analysis.Addresses = []settings.ReportAddress{{Address: "*@rua.example.org", DomainsByLocalPart: customers("acme", "acme.example", "own", "example.com")}}
	})
	c := r.lmtp()
	oneLine := strings.ReplaceAll(feedback(many(100)...), "\n", "")
	for name, mail := range map[string]string{
		"a report":        attached("application/gzip", reportName, gz(t, feedback())),
		"XML in one line": single("", oneLine+"\r\n"), "not a report": mailHead + "\r\nHello\r\n", "broken": attached("application/gzip", reportName, "\x1f\x8b\x08"),
		"too large": mailHead + "\r\n" + strings.Repeat("x", 200<<10) + "\r\n",
	} {
		if err := deliver(t, c, mail, "own@rua.example.org"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, deliver(t, c, attached("application/gzip", reportName, gz(t, strings.ReplaceAll(feedback(), "id-1", "id-2"))), "acme@rua.example.org"))
	if n := r.spool.Stats().Mails; n != 6 {
		t.Errorf("%d mails in the spool", n)
	}
	stop := r.run()
	items := r.store.wait(t, 6)
	stop()
	var got []string
	for _, item := range items {
		line := string(item.Kind)
		for _, rep := range item.Reports {
			line += fmt.Sprintf(" %s/%s/%d/%s", rep.Status, rep.Trust, len(rep.Rows), rep.Why)
		}
		got = append(got, line)
	}
	want := []string{
		"aggregate stored/not_known/2/", "aggregate stored/not_known/100/", "aggregate aside/not_known/2/not a domain of acme@rua.example.org: example.com", "other", "unreadable", "too_large",
	}
	if !sameLines(got, want) {
		t.Errorf("stored are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := r.spool.Stats().Mails; n != 0 {
		t.Errorf("%d mails are left in the spool", n)
	}
}

// TestLMTPWithoutRoom answers with 4xx what cannot be kept.
func TestLMTPWithoutRoom(t *testing.T) {
	r := newRig(t, nil)
	full, err := spool.Open(spool.Config{Dir: t.TempDir(), MaxBytes: 1000})
	must(t, err)
	r.spool = full
	err = deliver(t, r.lmtp(), attached("application/gzip", reportName, gz(t, feedback())), "dmarc@example.org")
	if err == nil || !strings.Contains(err.Error(), "452") && !strings.Contains(err.Error(), "no room") {
		t.Errorf("it is answered with %v", err)
	}
	if n := full.Stats().Mails; n != 0 {
		t.Errorf("%d mails in the spool", n)
	}
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = record(fmt.Sprintf("192.0.2.%d", i), 1)
	}
	return out
}

var _ Store = (*memoryStore)(nil)

// TestStoreAway keeps what was answered for while the store is away.
func TestStoreAway(t *testing.T) {
	r := newRig(t, nil)
	r.store.fail(fmt.Errorf("the store is away"))
	c := r.lmtp()
	r.run()
	must(t, deliver(t, c, attached("application/gzip", reportName, gz(t, feedback())), "dmarc@example.org"))
	r.store.waitFailure(t)
	if n := r.spool.Stats().Mails; n != 1 {
		t.Errorf("%d mails in the spool", n)
	}
	r.store.fail(nil)
	if items := r.store.wait(t, 1); items[0].Kind != analysis.KindAggregate {
		t.Errorf("stored is %+v", items)
	}
}
