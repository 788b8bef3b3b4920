package mailer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const hello = `
	S: 220 mx
	C: EHLO localhost
	S: 250 mx
	`

const envelope = hello + `C: MAIL FROM:<>
	S: 250 ok
	C: RCPT TO:<b@example.org>
	S: 250 ok
	`

const plainMail = envelope + `C: DATA
	S: 354 go on
	mail
	S: 250 taken
	C: QUIT
	S: 221 bye
	`

const offer = `
	S: 220 mx
	C: EHLO localhost
	S: 250-mx
	S: 250 STARTTLS
	C: STARTTLS
	`

// TestHostileServers sends one mail to servers that do all they can against it.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	const step, answer = time.Minute, 10 * time.Minute
	type scripts = []string
	for _, tc := range []struct {
		name    string
		scripts scripts
		policy  TLSPolicy
		stage   Stage // "" for success
		says    string
		forGood bool
		took    time.Duration
	}{
		{"mail", scripts{plainMail}, TLSOffered, "", "", false, 0},
		{"silence", scripts{"hang"}, TLSOffered, StageGreeting, "timeout", false, step},
		{"closed at once", scripts{""}, TLSOffered, StageGreeting, "EOF", false, 0},
		{"another protocol", scripts{"S: HTTP/1.1 400 Bad Request\nhang"}, TLSOffered, StageGreeting, "HTTP/1.1 400", false, 0},
		{"reply that never ends", scripts{"S: 220-mx\nhang"}, TLSOffered, StageGreeting, "timeout", false, step},
		{"half a reply", scripts{"S: 220-mx"}, TLSOffered, StageGreeting, "EOF", false, 0},
		{"no service here", scripts{"S: 554 no SMTP\nhang"}, TLSOffered, StageGreeting, "554 no SMTP", false, 0},
		{"endless greeting", scripts{"S: 220-mx\nflood"}, TLSOffered, StageGreeting, ErrProtocol.Error(), false, 0},
		{"endless reply", scripts{"S: 220 mx\nC: EHLO localhost\nflood"}, TLSOffered, StageGreeting, ErrProtocol.Error(), false, 0},
		{"no EHLO", scripts{"S: 220 mx\nC: EHLO localhost\nS: 502 what?\nC: HELO localhost\nS: 250 mx\n" + strings.TrimPrefix(plainMail, hello)}, TLSOffered, "", "", false, 0},
		{"silent after EHLO", scripts{"S: 220 mx\nC: EHLO localhost\nhang"}, TLSOffered, StageGreeting, "timeout", false, step},
		{"silent after MAIL", scripts{hello + "C: MAIL\nhang"}, TLSOffered, StageMailFrom, "timeout", false, step},
		{"closing at MAIL", scripts{hello + "C: MAIL\nS: 421 4.3.2 shutting down\nhang"}, TLSOffered, StageMailFrom, "421 4.3.2 shutting down", false, 0},
		{"closing at RCPT", scripts{hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 421 closing\nhang"}, TLSOffered, StageRcpt, "421 closing", false, 0},
		{"silent after RCPT", scripts{hello + "C: MAIL\nS: 250 ok\nC: RCPT\nhang"}, TLSOffered, StageRcpt, "timeout", false, step},
		{"words beyond ASCII", scripts{hello + "C: MAIL\nS: 550-5.7.1 nein|550 5.7.1 \x1b[1m\x00\xff\nC: QUIT\nS: 221 bye"}, TLSOffered, StageMailFrom, "550 5.7.1 nein ?[1m??", true, 0},
		{"DATA not taken", scripts{envelope + "C: DATA\nS: 554 no\nC: QUIT\nS: 221 bye"}, TLSOffered, StageData, "554 no", true, 0},
		{"DATA taken too soon", scripts{envelope + "C: DATA\nS: 250 ok\nhang"}, TLSOffered, StageData, "250 ok", false, quitTimeout},
		{"silent after DATA", scripts{envelope + "C: DATA\nhang"}, TLSOffered, StageData, "timeout", false, step},
		{"does not read the mail", scripts{envelope + "C: DATA\nS: 354 go on\ndeaf"}, TLSOffered, StageContent, "timeout", false, step},
		{"silent after the mail", scripts{envelope + "C: DATA\nS: 354 go on\nhang"}, TLSOffered, StageContent, "timeout", false, answer},
		{"gone after the mail", scripts{envelope + "C: DATA\nS: 354 go on\nmail"}, TLSOffered, StageContent, "EOF", false, 0},
		{"silent after QUIT", scripts{strings.ReplaceAll(plainMail, "S: 221 bye", "hang")}, TLSOffered, "", "", false, quitTimeout},

		{"STARTTLS refused for now", scripts{offer + "S: 454 no\n" + strings.TrimPrefix(plainMail, hello)}, TLSOffered, "", "", false, 0},
		{"STARTTLS refused, required", scripts{offer + "S: 454 no\nC: QUIT\nS: 221 bye"}, TLSRequired, StageStartTLS, "454 no", false, 0},
		{"silent after STARTTLS", scripts{offer + "hang"}, TLSRequired, StageStartTLS, "timeout", false, step},
		{"plain text before TLS", scripts{offer + "S: 220 ready|250 injected"}, TLSOffered, StageStartTLS, ErrProtocol.Error(), false, 0},
		{"handshake of garbage", scripts{offer + "S: 220 ready\nsome\nS: garbage", plainMail}, TLSOffered, "", "", false, 0},
		{"handshake of garbage, required", scripts{offer + "S: 220 ready\nsome\nS: garbage"}, TLSRequired, StageHandshake, "TLS", false, 0},
		{"silent handshake", scripts{offer + "S: 220 ready\nhang", plainMail}, TLSOffered, "", "", false, step},
		{"silent handshake, required", scripts{offer + "S: 220 ready\nhang"}, TLSRequired, StageHandshake, "mailer: TLS", false, step},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &scripted{t: t, scripts: tc.scripts}
				m := New(Config{Addr: "mx.example.org:25", TLS: tc.policy, Timeout: step})
				m.dial = server.dial
				began := time.Now()
				err := m.Send(t.Context(), "", []string{"b@example.org"}, []byte(letter))
				if took := time.Since(began); took != tc.took {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
				if got := errorStage(err); got != tc.stage {
					t.Errorf("error %v, want one at %q", err, tc.stage)
				}
				if tc.name != "does not read the mail" {
					server.wait()
				}
				if err == nil {
					return
				}
				if !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error %v, want one that says %q", err, tc.says)
				}
				if got := isTemporary(t, err); got == tc.forGood {
					t.Errorf("temporary: %v", got)
				}
				if n := len(err.Error()); n > 2*maxText {
					t.Errorf("the error is %d octets long", n)
				}
			})
		})
	}
}

// TestContextEndsEveryWait ends the context while the server is silent at each step.
func TestContextEndsEveryWait(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		stage        Stage
	}{
		{"greeting", "", StageGreeting},
		{"EHLO", "S: 220 mx\nC: EHLO", StageGreeting},
		{"STARTTLS", offer, StageStartTLS},
		{"handshake", offer + "S: 220 ready\nsome", StageHandshake},
		{"MAIL", hello + "C: MAIL", StageMailFrom},
		{"RCPT", hello + "C: MAIL\nS: 250 ok\nC: RCPT", StageRcpt},
		{"DATA", envelope + "C: DATA", StageData},
		{"the mail", envelope + "C: DATA\nS: 354 go on\nsome", StageContent},
		{"answer", envelope + "C: DATA\nS: 354 go on\nmail", StageContent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				stopping := errors.New("stopping")
				server := &scripted{t: t, scripts: []string{tc.script + "\nnow\nhang"}, now: func() { cancel(stopping) }}
				m := New(Config{Addr: "mx.example.org:25", Timeout: time.Hour})
				m.dial = server.dial
				began := time.Now()
				err := m.Send(ctx, "", []string{"b@example.org"}, []byte(letter))
				if !errors.Is(err, stopping) || errorStage(err) != tc.stage || !isTemporary(t, err) {
					t.Errorf("error %v, want one at %q", err, tc.stage)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %v", took)
				}
				server.wait()
			})
		})
	}
}

func TestContextHasEnded(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	cancel(stopping)
	err := New(Config{Addr: in.addr}).Send(ctx, "", []string{"b@example.org"}, []byte(letter))
	if !errors.Is(err, stopping) {
		t.Errorf("error %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = New(Config{Addr: addr}).Send(t.Context(), "", []string{"b@example.org"}, []byte(letter))
	if errorStage(err) != StageConnect || !isTemporary(t, err) {
		t.Errorf("error %v", err)
	}
}

// FuzzServer takes what a server says from the fuzzer: Send returns, says that
// mail was taken only where the server did, and its error is one line.
func FuzzServer(f *testing.F) {
	f.Add("220 a\r\n250 a\r\n250 a\r\n250 a\r\n354 a\r\n250 a\r\n221 a\r\n")
	f.Add("220 a\r\n250-a\r\n250 STARTTLS\r\n454 no\r\n250 a\r\n550 5.1.1 a\r\n")
	f.Add("220 a\r\n250-a\r\n250 STARTTLS\r\n220 go on\r\n")
	f.Add("220 a\r\n250-a\r\n250-SIZE 1\r\n250 AUTH PLAIN\r\n")
	f.Add("220-\r\n220 \x00\xff\r\n250-x\r\n251 y\r\n")
	f.Fuzz(func(t *testing.T, says string) {
		m := New(Config{Addr: "mx.example.org:25", Timeout: 4 * time.Second})
		m.dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }()
			go func() {
				_, _ = io.WriteString(server, says)
				_ = server.Close()
			}()
			return client, nil
		}
		began := time.Now()
		err := m.Send(t.Context(), "", []string{"b@example.org"}, []byte(letter))
		if took := time.Since(began); took > m.config.Timeout/2 {
			t.Errorf("it took %v", took)
		}
		if err == nil && strings.Count(says, "25") < 4 {
			t.Errorf("mail was taken by %q", says)
		}
		if err != nil {
			isTemporary(t, err)
			if strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
				t.Errorf("error of several lines: %q", err)
			}
		}
	})
}
