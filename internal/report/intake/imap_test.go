package intake

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"dmarcd/internal/settings"
)

// imapServer is a real server with one user.
type imapServer struct {
	user   *imapmemserver.User
	port   int
	ca     string // path of its certificate
	copies atomic.Int32
	refuse atomic.Int32 // so many copies are refused
}

// imapSession is a session that can refuse to copy.
type imapSession struct {
	*imapmemserver.UserSession
	server *imapServer
}

func (s *imapSession) Login(user, password string) error {
	if err := s.server.user.Login(user, password); err != nil {
		return err
	}
	s.UserSession = imapmemserver.NewUserSession(s.server.user)
	return nil
}

func (s *imapSession) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	s.server.copies.Add(1)
	if s.server.refuse.Add(-1) >= 0 {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeOverQuota, Text: "over quota"}
	}
	return s.UserSession.Copy(set, dest)
}

func (s *imapSession) Close() error { return s.UserSession.Close() }

// certificate makes one for localhost and 127.0.0.1, and writes it to a file.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	path := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// newIMAPServer starts one; caps are beside IMAP4rev1.
func newIMAPServer(t *testing.T, security settings.IMAPSecurity, caps ...imap.Cap) *imapServer {
	t.Helper()
	s := &imapServer{user: imapmemserver.NewUser("reports", "secret")}
	must(t, s.user.Create("INBOX", nil))
	cert, ca := certificate(t)
	s.ca = ca
	set := imap.CapSet{imap.CapIMAP4rev1: {}}
	for _, c := range caps {
		set[c] = struct{}{}
	}
	options := &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &imapSession{server: s}, nil, nil
		},
		Caps: set, InsecureAuth: security == settings.IMAPNone, Logger: log.New(io.Discard, "", 0),
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if security == settings.IMAPStartTLS {
		options.TLSConfig = config
	}
	server := imapserver.New(options)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.port = l.Addr().(*net.TCPAddr).Port
	if security == settings.IMAPImplicit {
		l = tls.NewListener(l, config)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return s
}

func (s *imapServer) append(t *testing.T, mails ...string) {
	t.Helper()
	for _, m := range mails {
		b := []byte(m)
		must(t, second(s.user.Append("INBOX", literal{bytes.NewReader(b), int64(len(b))}, &imap.AppendOptions{})))
	}
}

type literal struct {
	io.Reader
	size int64
}

func (l literal) Size() int64 { return l.size }

// count is the number of mails in a folder.
func (s *imapServer) count(t *testing.T, folder string) int {
	t.Helper()
	data, err := s.user.Status(folder, &imap.StatusOptions{NumMessages: true})
	if err != nil {
		return 0
	}
	return int(*data.NumMessages)
}

// imapFeed is a feed from that server.
func (r *rig) imapFeed(s *imapServer, security settings.IMAPSecurity, done string) *IMAP {
	r.t.Helper()
	password := filepath.Join(r.t.TempDir(), "password")
	must(r.t, os.WriteFile(password, []byte("secret\n"), 0o600))
	account := IMAPAccount{settings.IMAP{Host: "127.0.0.1", Port: s.port, TLS: security, CAFile: s.ca, User: "reports", PasswordFile: password, Folder: "INBOX", DoneFolder: done, Poll: 2 * time.Second}} // this server tells under IDLE only of what comes after it has begun
	return &IMAP{
		Account: account, Most: func() int64 { return r.settings.Analysis.Limits.MailBytes }, Path: r.path, Store: r.store,
		Feed: r.feeds.Add(account.Name(), nil), Leads: func() bool { return true }, Now: time.Now,
	}
}

// start runs a feed until stop is called.
func (f *IMAP) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// reportMail is a mail with a report of that id.
func reportMail(t *testing.T, id string) string {
	return attached("application/gzip", reportName, gz(t, strings.ReplaceAll(feedback(), "id-1", id)))
}

// TestIMAP fetches by every kind of connection, what comes later by IDLE, with and
// without MOVE.
func TestIMAP(t *testing.T) {
	for name, c := range map[string]struct {
		security settings.IMAPSecurity
		caps     []imap.Cap
	}{
		"implicit TLS":                        {settings.IMAPImplicit, []imap.Cap{imap.CapUIDPlus, imap.CapMove, imap.CapIdle}},
		"STARTTLS":                            {settings.IMAPStartTLS, []imap.Cap{imap.CapUIDPlus, imap.CapIdle}},
		"no TLS, without MOVE, and IMAP4rev2": {settings.IMAPNone, []imap.Cap{imap.CapIMAP4rev2}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(s *settings.Settings) { s.Analysis.Limits.MailBytes = 64 << 10 })
			r.run()
			s := newIMAPServer(t, c.security, c.caps...)
			s.append(t, reportMail(t, "a"), mailHead+"\r\nHello\r\n", mailHead+"\r\n"+strings.Repeat("x", 100<<10))
			f := r.imapFeed(s, c.security, "Done")
			stop := f.start(t)
			r.store.wait(t, 3)
			s.append(t, reportMail(t, "b"))
			items := r.store.wait(t, 4)
			stop()
			var got []string
			for _, item := range items {
				got = append(got, item.Token+" "+string(item.Kind))
			}
			if !slices.Equal(got, []string{"1:1 aggregate", "1:2 other", "1:3 too_large", "1:4 aggregate"}) {
				t.Errorf("stored are %v", got)
			}
			// The end may come between the copy of the last and its removal.
			if in, done := s.count(t, "INBOX"), s.count(t, "Done"); in+done < 4 || in > 1 || done < 3 {
				t.Errorf("%d mails in INBOX, %d in Done", in, done)
			}
		})
	}
}

// TestIMAPLeftInPlace remembers mails by UIDVALIDITY and UID where there is no done
// folder.
func TestIMAPLeftInPlace(t *testing.T) {
	r := newRig(t, nil)
	r.run()
	s := newIMAPServer(t, settings.IMAPNone, imap.CapUIDPlus)
	s.append(t, reportMail(t, "a"))
	seen := []byte(reportMail(t, "b")) // by another client, which has marked it as well
	must(t, second(s.user.Append("INBOX", literal{bytes.NewReader(seen), int64(len(seen))}, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}})))
	f := r.imapFeed(s, settings.IMAPNone, "")
	stop := f.start(t)
	r.store.wait(t, 2)
	stop()
	if n := s.count(t, "INBOX"); n != 2 {
		t.Errorf("%d mails in INBOX", n)
	}
	// The same without the place that was kept, as after a kill: by token.
	f.Feed.moved("")
	s.append(t, reportMail(t, "c"))
	box, err := openMailbox(t.Context(), &f.Account)
	must(t, err)
	defer box.Close()
	must(t, second(f.look(t.Context(), box)))
	items := r.store.wait(t, 3)
	if len(items) != 3 || f.Feed.State().Cursor != "1:3" || f.Feed.State().Taken != 3 {
		t.Errorf("%d items, %+v", len(items), f.Feed.State())
	}
}

// TestIMAPCopyRefused leaves mails where they are when they cannot be copied, and
// copies them later.
func TestIMAPCopyRefused(t *testing.T) {
	for name, caps := range map[string][]imap.Cap{"with MOVE": {imap.CapUIDPlus, imap.CapMove, imap.CapIdle}, "without MOVE": {imap.CapUIDPlus, imap.CapIdle}, "without UIDPLUS": {imap.CapIdle}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.run()
			s := newIMAPServer(t, settings.IMAPNone, caps...)
			must(t, s.user.Create("Done", nil))
			s.refuse.Store(1)
			s.append(t, reportMail(t, "a"))
			f := r.imapFeed(s, settings.IMAPNone, "Done")
			box, err := openMailbox(t.Context(), &f.Account)
			must(t, err)
			defer box.Close()
			refused, err := f.look(t.Context(), box)
			if err != nil || refused == nil || !strings.Contains(refused.Error(), "over quota") {
				t.Errorf("%v, %v", refused, err)
			}
			if in := s.count(t, "INBOX"); in != 1 {
				t.Fatalf("%d mails in INBOX after a copy was refused", in)
			}
			refused, err = f.look(t.Context(), box)
			if err != nil || refused != nil {
				t.Errorf("%v, %v", refused, err)
			}
			in, done := s.count(t, "INBOX"), s.count(t, "Done")
			if done != 1 || name != "without UIDPLUS" && in != 0 || name == "without UIDPLUS" && in != 1 {
				t.Errorf("%d mails in INBOX, %d in Done", in, done)
			}
			if n := len(r.store.wait(t, 1)); n != 1 {
				t.Errorf("%d items", n)
			}
		})
	}
}

// TestIMAPCopiedBefore finds what was copied to the done folder and not removed, as after
// a kill between both, and does not copy it again.
func TestIMAPCopiedBefore(t *testing.T) {
	for name, caps := range map[string][]imap.Cap{"with UIDPLUS": {imap.CapUIDPlus, imap.CapIdle}, "without UIDPLUS": {imap.CapIdle}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.run()
			s := newIMAPServer(t, settings.IMAPNone, caps...)
			must(t, s.user.Create("Done", nil))
			plain := strings.ReplaceAll(reportMail(t, "b"), "Message-ID: <1@reporter.example>\r\n", "")
			s.append(t, reportMail(t, "a"), plain, reportMail(t, "c"))
			f := r.imapFeed(s, settings.IMAPNone, "Done")
			killed, err := openMailbox(t.Context(), &f.Account)
			must(t, err)
			must(t, second(f.take(t.Context(), killed, []uint32{1, 2, 3})))
			must(t, second(killed.Copy([]uint32{1, 2}, "Done")))
			killed.Close()
			// One of the same Message-ID and size, and other octets, came at the same time.
			s.append(t, strings.Replace(reportMail(t, "a"), "This is a report", "That is a report", 1))

			box, err := openMailbox(t.Context(), &f.Account)
			must(t, err)
			defer box.Close()
			for range 3 {
				refused, err := f.look(t.Context(), box)
				must(t, errors.Join(refused, err))
			}
			in, done := s.count(t, "INBOX"), s.count(t, "Done")
			if want := map[bool]int{true: 0, false: 4}[name == "with UIDPLUS"]; done != 4 || in != want {
				t.Errorf("%d mails in INBOX, %d in Done", in, done)
			}
			if n := len(r.store.wait(t, 4)); n != 4 {
				t.Errorf("%d items", n)
			}
		})
	}
}

// TestIMAPStoredFirst moves nothing as long as the store does not take it.
func TestIMAPStoredFirst(t *testing.T) {
	r := newRig(t, nil)
	r.run()
	s := newIMAPServer(t, settings.IMAPNone, imap.CapUIDPlus, imap.CapMove, imap.CapIdle)
	s.append(t, reportMail(t, "a"), reportMail(t, "b"))
	r.store.stick(errors.New("the store is away"))
	f := r.imapFeed(s, settings.IMAPNone, "Done")
	stop := f.start(t)
	r.store.waitFailure(t)
	if in, done := s.count(t, "INBOX"), s.count(t, "Done"); in != 2 || done != 0 {
		t.Errorf("while the store is away: %d mails in INBOX, %d in Done", in, done)
	}
	r.store.stick(nil)
	r.store.wait(t, 2)
	stop()
	box, err := openMailbox(t.Context(), &f.Account)
	must(t, err)
	defer box.Close()
	must(t, second(f.look(t.Context(), box)))
	if in, done := s.count(t, "INBOX"), s.count(t, "Done"); in != 0 || done != 2 {
		t.Errorf("after it: %d mails in INBOX, %d in Done", in, done)
	}
}

// TestIMAPTrouble goes on by UID after a lost connection, a wrong password and a
// certificate that nobody vouches for.
func TestIMAPTrouble(t *testing.T) {
	r := newRig(t, nil)
	r.run()
	s := newIMAPServer(t, settings.IMAPImplicit, imap.CapUIDPlus)
	s.append(t, reportMail(t, "a"), reportMail(t, "b"))
	f := r.imapFeed(s, settings.IMAPImplicit, "")

	other := *f
	other.Account.CAFile = ""
	if _, err := openMailbox(t.Context(), &other.Account); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with an unknown certificate: %v", err)
	}
	other.Account.CAFile = s.ca
	other.Account.PasswordFile = filepath.Join(t.TempDir(), "wrong")
	must(t, os.WriteFile(other.Account.PasswordFile, []byte("wrong"), 0o600))
	if _, err := openMailbox(t.Context(), &other.Account); err == nil || !strings.Contains(err.Error(), "login") {
		t.Errorf("with a wrong password: %v", err)
	}
	lost := &losing{}
	f.open = func(ctx context.Context, a *IMAPAccount) (mailbox, error) {
		box, err := openMailbox(ctx, a)
		lost.mailbox = box
		return lost, err
	}
	if err := f.session(t.Context()); err == nil {
		t.Error("a lost connection is no error")
	}
	r.store.wait(t, 1)
	f.open = nil
	stop := f.start(t)
	items := r.store.wait(t, 2)
	stop()
	if len(items) != 2 {
		t.Errorf("%d items", len(items))
	}
}

// losing is a mailbox whose connection goes after the first mail.
type losing struct {
	mailbox
}

func (l *losing) Fetch(uids []uint32, most int64, yield func(fetched) error) error {
	if err := l.mailbox.Fetch(uids[:1], most, yield); err != nil {
		return err
	}
	return fmt.Errorf("connection lost")
}

// TestIMAPFollows fetches nothing while another host leads.
func TestIMAPFollows(t *testing.T) {
	r := newRig(t, nil)
	r.run()
	s := newIMAPServer(t, settings.IMAPNone)
	s.append(t, reportMail(t, "a"))
	f := r.imapFeed(s, settings.IMAPNone, "")
	asked := make(chan struct{}, 1)
	f.Leads = func() bool {
		select {
		case asked <- struct{}{}:
		default:
		}
		return false
	}
	stop := f.start(t)
	<-asked
	stop()
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if len(r.store.items) > 0 {
		t.Error("a host that does not lead has fetched")
	}
}

func TestXOAUTH2(t *testing.T) {
	x := &xoauth2{user: "a@b.example", token: "T"}
	mech, first, err := x.Start()
	if mech != "XOAUTH2" || string(first) != "user=a@b.example\x01auth=Bearer T\x01\x01" || err != nil {
		t.Errorf("%s %q %v", mech, first, err)
	}
}
