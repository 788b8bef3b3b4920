package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/milter/miltertest"
)

// sink takes mail and hands it to the test.
type sink struct{ mails chan string }

func (s sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }

type sinkSession struct {
	sink     sink
	envelope string
}

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.envelope = "MAIL FROM:<" + from + ">\n"
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.envelope += "RCPT TO:<" + to + ">\n"
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.sink.mails <- s.envelope + string(text)
	return err
}

func (s *sinkSession) Reset()        {}
func (s *sinkSession) Logout() error { return nil }

// TestNotification sees a failing message told of, by a mail that cannot loop,
// and one in mode monitor not.
func TestNotification(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails := make(chan string, 10)
	server := smtp.NewServer(sink{mails: mails})
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-served })

	dns := dnstest.New(t, "reject.example TXT \"v=spf1 -all\"\n_dmarc.reject.example TXT \"v=DMARC1; p=reject\"\n")
	dir := t.TempDir()
	socket := filepath.Join(dir, "milter.sock")
	write(t, filepath.Join(dir, "dmarcd.yaml"), fmt.Sprintf(
		"authserv_id: mx.example.org\nlisten: [\"unix:%s\"]\nhttp: {listen: \"\"}\nresolver: {servers: [%q]}\nstate_dir: %s\nnotify: {smtp: %q, from: filter@example.org}\n",
		socket, dns.Addr, dir, ln.Addr().String()))
	write(t, filepath.Join(dir, "policy.yaml"), `
domains:
  watched.example: {mode: monitor, dmarc: {notify: [watcher@watched.example]}}
  example.org: {dmarc: {notify: [admin@example.org]}}
`)
	startDaemon(t, "serve", "-c", filepath.Join(dir, "dmarcd.yaml"))
	mta, err := miltertest.Open("unix", socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	defer mta.Quit()
	for _, rcpt := range []string{"<user@watched.example>", "<user@example.org>"} {
		if _, err := mta.Send(&miltertest.Message{From: "<boss@reject.example>", Rcpts: []string{rcpt},
			Raw: []byte("From: boss@reject.example\r\nSubject: urgent\r\n\r\nPay.\r\n")}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case mail := <-mails:
		for _, want := range []string{
			"MAIL FROM:<>\n", "RCPT TO:<admin@example.org>\n", "filter@example.org", "Auto-Submitted: auto-generated",
			"reject.example", "dmarc.actions.reject",
		} {
			if !strings.Contains(mail, want) {
				t.Errorf("the notification lacks %q:\n%s", want, mail)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no notification came")
	}
	select {
	case mail := <-mails:
		t.Errorf("another notification:\n%s", mail)
	default:
	}
}
