//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"
)

// sink is the mail server behind the gateway, and those of the senders: it takes
// every message that its script has nothing against, and keeps it, exactly as it
// came, under its recipient.
type sink struct {
	script  script
	mu      sync.Mutex
	mails   map[string][]mail // by recipient
	arrived chan struct{}     // closed and replaced at each arrival
}

// script is what a sink says at a step, "RCPT" or "DATA" (after the message), for a
// recipient, or at "EHLO" of itself; "" for what it says by itself.
type script func(step, rcpt string) string

const hang = "hang" // says nothing, and waits for the client to go

func takeAll(_, _ string) string { return "" }

func newSink(answer script) *sink {
	return &sink{script: answer, mails: map[string][]mail{}, arrived: make(chan struct{})}
}

// listen takes mail at an address until the test ends.
func (s *sink) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return nil
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 sink.example ESMTP")
	var rcpts []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, rest, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.ToUpper(verb) {
		case "MAIL FROM":
			rcpts = nil
			say("250 2.1.0 fine")
		case "RCPT TO":
			to, _, _ := strings.Cut(rest, ">")
			to = strings.TrimLeft(to, " <")
			switch answer := s.script("RCPT", to); answer {
			case "":
				rcpts = append(rcpts, to)
				say("250 2.1.5 fine")
			case hang:
				_, _ = io.Copy(io.Discard, r)
				return
			default:
				say(answer)
			}
		case "DATA":
			say("354 go on")
			text, err := readData(r)
			if err != nil {
				return
			}
			switch answer := s.script("DATA", strings.Join(rcpts, " ")); answer {
			case "":
				s.keep(rcpts, parseMail(text))
				say("250 2.0.0 kept")
			case hang:
				_, _ = io.Copy(io.Discard, r)
				return
			default:
				say(answer)
			}
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			if strings.HasPrefix(strings.ToUpper(verb), "EHLO") {
				say("250-sink.example")
				if keyword := s.script("EHLO", ""); keyword != "" {
					say("250-" + keyword)
				}
				say("250 8BITMIME")
			} else {
				say("250 2.0.0 fine")
			}
		}
	}
}

// readData reads a message up to its final dot, line ends kept.
func readData(r *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return "", err
		}
		if string(line) == ".\r\n" {
			return b.String(), nil
		}
		b.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}

func (s *sink) keep(rcpts []string, m mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rcpt := range rcpts {
		s.mails[rcpt] = append(s.mails[rcpt], m)
	}
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// has gives what has come for rcpt so far.
func (s *sink) has(rcpt string) []mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails[rcpt]
}

// await waits for the first message to rcpt; false if none comes in time.
func (s *sink) await(rcpt string, limit time.Duration) (mail, bool) {
	return s.awaitWhere(rcpt, limit, func(mail) bool { return true })
}

// awaitWhere waits for a message to rcpt of which is says yes.
func (s *sink) awaitWhere(rcpt string, limit time.Duration, is func(mail) bool) (mail, bool) {
	timeout := time.After(limit)
	for {
		s.mu.Lock()
		mails, arrived := s.mails[rcpt], s.arrived
		s.mu.Unlock()
		if i := slices.IndexFunc(mails, is); i >= 0 {
			return mails[i], true
		}
		select {
		case <-arrived:
		case <-timeout:
			return mail{}, false
		}
	}
}

// mail is a message: its fields as they came, folds kept, and its body.
type mail struct {
	fields []string // "Name: value", without the last CRLF
	body   string
}

func parseMail(text string) mail {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	var m mail
	m.body = body
	for _, line := range strings.Split(strings.TrimSuffix(head, "\r\n"), "\r\n") {
		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(m.fields) > 0 {
			m.fields[len(m.fields)-1] += "\r\n" + line
		} else {
			m.fields = append(m.fields, line)
		}
	}
	return m
}

// unfolded gives the fields of a name in order, each on one line (RFC 5322 section 2.2.3).
func (m mail) unfolded(name string) []string {
	var out []string
	for _, f := range m.fields {
		if n, _, _ := strings.Cut(f, ":"); textproto.CanonicalMIMEHeaderKey(n) == textproto.CanonicalMIMEHeaderKey(name) {
			out = append(out, strings.ReplaceAll(f, "\r\n", ""))
		}
	}
	return out
}

// index is the position of the first field that begins with prefix, in any case;
// past the end if there is none.
func (m mail) index(prefix string) int {
	for i, f := range m.fields {
		if len(f) >= len(prefix) && strings.EqualFold(f[:len(prefix)], prefix) {
			return i
		}
	}
	return len(m.fields)
}
