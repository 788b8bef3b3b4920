package mailer

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// delivery is a mail as a server got it.
type delivery struct {
	helo string
	tls  bool
	user string
	from string
	size int64
	to   []string
	data string
}

// inbox is a real SMTP server.
type inbox struct {
	addr  string
	roots *x509.CertPool

	mu       sync.Mutex
	mails    []delivery
	sessions int
}

// option changes a server before it starts.
type option func(*backend, *smtp.Server)

// newInbox starts a server that ends with the test.
func newInbox(t *testing.T, options ...option) *inbox {
	t.Helper()
	in := &inbox{roots: x509.NewCertPool()}
	b := &backend{inbox: in, refuse: map[string]error{}}
	s := smtp.NewServer(b)
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.MaxMessageBytes = 1 << 20
	for _, o := range options {
		o(b, s)
	}
	if s.TLSConfig != nil {
		leaf, err := x509.ParseCertificate(s.TLSConfig.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		in.roots.AddCert(leaf)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close() // where the server had not begun
		<-served
	})
	return in
}

func (in *inbox) taken() []delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]delivery(nil), in.mails...)
}

func withTLS(t *testing.T, host string) option {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, host)}}
	return func(_ *backend, s *smtp.Server) { s.TLSConfig = config }
}

func withLogin(methods ...string) option {
	return func(b *backend, _ *smtp.Server) { b.methods = methods }
}

// refusing makes a server refuse recipients, or "DATA", with an error.
func refusing(what string, err error) option {
	return func(b *backend, _ *smtp.Server) { b.refuse[what] = err }
}

func reply(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

type backend struct {
	inbox   *inbox
	methods []string
	refuse  map[string]error
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	b.inbox.mu.Lock()
	defer b.inbox.mu.Unlock()
	b.inbox.sessions++
	return &peer{backend: b, conn: c}, nil
}

// peer is one session of a server.
type peer struct {
	*backend
	conn *smtp.Conn
	user string
	mail delivery
}

func (p *peer) AuthMechanisms() []string { return p.methods }

func (p *peer) Auth(mech string) (sasl.Server, error) {
	check := func(username, password string) error {
		if username != "user" || password != "secret" {
			return errors.New("no")
		}
		p.user = username
		return nil
	}
	if mech == sasl.Plain {
		return sasl.NewPlainServer(func(_, username, password string) error { return check(username, password) }), nil
	}
	return &loginServer{check: check}, nil
}

// loginServer is the server's half of AUTH LOGIN, which go-sasl has not.
type loginServer struct {
	check    func(username, password string) error
	username *string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	switch {
	case len(response) == 0:
		return []byte("Username:"), false, nil
	case l.username == nil:
		name := string(response)
		l.username = &name
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.username, string(response))
}

func (p *peer) Mail(from string, opts *smtp.MailOptions) error {
	_, secure := p.conn.TLSConnectionState()
	p.mail = delivery{helo: p.conn.Hostname(), tls: secure, user: p.user, from: from, size: opts.Size}
	return p.refuse["MAIL"]
}

func (p *peer) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := p.refuse[to]; err != nil {
		return err
	}
	p.mail.to = append(p.mail.to, to)
	return nil
}

func (p *peer) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := p.refuse["DATA"]; err != nil {
		return err
	}
	p.mail.data = string(data)
	p.inbox.mu.Lock()
	defer p.inbox.mu.Unlock()
	p.inbox.mails = append(p.inbox.mails, p.mail)
	return nil
}

func (p *peer) Reset()        {}
func (p *peer) Logout() error { return nil }

// certificate is one that signs itself.
func certificate(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	if ip := net.ParseIP(host); ip != nil {
		about.IPAddresses = []net.IP{ip}
	} else {
		about.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// scripted is servers that say what scripts say, one script for each connection,
// and nothing else. Lines of a script:
//
//	S: text     say a line; "|" within it begins another
//	C: prefix   wait for a line that begins so
//	mail        read until a line with a dot
//	some        read anything
//	now         call the function now
//	hang        read until the client goes
//	deaf        read nothing until the client goes
//	flood       say continuation lines until the client goes
//
// At its end the connection is closed. All runs in the bubble of the test, on
// its clock.
type scripted struct {
	t       *testing.T
	scripts []string
	now     func()
	playing sync.WaitGroup
}

func (s *scripted) dial(context.Context, string, string) (net.Conn, error) {
	if len(s.scripts) == 0 {
		return nil, errors.New("one connection too many")
	}
	script := s.scripts[0]
	s.scripts = s.scripts[1:]
	client, server := net.Pipe()
	s.playing.Go(func() { s.play(server, script) })
	return client, nil
}

// wait checks that every script was played to its end.
func (s *scripted) wait() {
	s.playing.Wait()
	if n := len(s.scripts); n > 0 {
		s.t.Errorf("%d connections were not made", n)
	}
}

func (s *scripted) play(c net.Conn, script string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for line := range strings.Lines(script) {
		line = strings.Trim(line, "\t\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "S: "):
			if _, err := io.WriteString(c, strings.ReplaceAll(line[3:], "|", "\r\n")+"\r\n"); err != nil {
				return
			}
		case strings.HasPrefix(line, "C: "):
			got, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, line[3:]) {
				s.t.Errorf("the client said %q (%v), want %q", got, err, line[3:])
				return
			}
		case line == "mail":
			for {
				if got, err := r.ReadString('\n'); err != nil || got == ".\r\n" {
					break
				}
			}
		case line == "some":
			_, _ = r.ReadByte()
			_, _ = r.Discard(r.Buffered())
		case line == "now":
			s.now()
		case line == "hang":
			_, _ = io.Copy(io.Discard, r)
		case line == "deaf":
			_, _ = c.Read(make([]byte, 8))
			<-s.t.Context().Done()
		case line == "flood":
			for {
				if _, err := io.WriteString(c, "250-"+strings.Repeat("a", 1000)+"\r\n"); err != nil {
					return
				}
			}
		default:
			s.t.Errorf("script: %q", line)
		}
	}
}
