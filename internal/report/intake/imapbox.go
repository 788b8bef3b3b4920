package intake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"dmarcd/internal/settings"
)

// mailbox is a selected folder of an IMAP server. UIDs are those of RFC 9051 section 2.3.1.1. An
// error that is errServerAnswer is a reply of the server; after any other the connection is
// unusable.
type mailbox interface {
	// Validity is the UIDVALIDITY of the folder.
	Validity() uint32
	// After returns the UIDs above one, sorted.
	After(uid uint32) ([]uint32, error)
	// Fetch passes each of these mails that still exists to yield, at most most octets of it.
	Fetch(uids []uint32, most int64, yield func(fetched) error) error
	// Copy copies mails to a folder, waits for the reply, and returns those that were copied: all
	// or, after an error that is errServerAnswer, none.
	Copy(uids []uint32, folder string) ([]uint32, error)
	// Remove removes mails.
	Remove(uids []uint32) error
	// Copied returns those of the mails of which a folder has a mail with the same octets.
	Copied(uids []uint32, folder string) ([]uint32, error)
	// Wait waits for news, at most so long, or until ctx ends.
	Wait(ctx context.Context, most time.Duration) error
	Close()
}

// fetched is a mail as the server sent it.
type fetched struct {
	uid  uint32
	size int64 // of the whole
	body []byte
}

// errServerAnswer is wrapped by a server's negative reply.
var errServerAnswer = errors.New("the server refused")

// imapBox is a mailbox by go-imap. Its Move is not used: without MOVE on the server, it removes
// mails even if they could not be copied.
type imapBox struct {
	client   *imapclient.Client
	folder   string
	validity uint32
	news     chan struct{}
	stop     func() bool
}

const imapTimeout = 30 * time.Second

// openMailbox connects, logs in and selects the folder of an account. The connection ends with
// ctx.
func openMailbox(ctx context.Context, a *IMAPAccount) (mailbox, error) {
	dialing, cancel := context.WithTimeout(ctx, imapTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(dialing, "tcp", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	if err != nil {
		return nil, err
	}
	box := &imapBox{news: make(chan struct{}, 1)}
	box.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := box.open(dialing, conn, a); err != nil {
		box.stop()
		_ = conn.Close()
		return nil, err
	}
	return box, nil
}

func (b *imapBox) open(ctx context.Context, conn net.Conn, a *IMAPAccount) error {
	secure, err := a.tlsConfig()
	if err != nil {
		return err
	}
	options := &imapclient.Options{TLSConfig: secure, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				b.tell()
			}
		},
	}}
	switch a.TLS {
	case settings.IMAPImplicit:
		wrapped := tls.Client(conn, secure)
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return err
		}
		b.client = imapclient.New(wrapped, options)
	case settings.IMAPStartTLS:
		if b.client, err = imapclient.NewStartTLS(conn, options); err != nil {
			return err
		}
	default:
		b.client = imapclient.New(conn, options)
	}
	if err := b.client.WaitGreeting(); err != nil {
		return err
	}
	if err := a.logIn(b.client); err != nil {
		return fmt.Errorf("login: %w", serverError(err))
	}
	data, err := b.client.Select(a.Folder, nil).Wait()
	if err != nil {
		return fmt.Errorf("folder %s: %w", a.Folder, serverError(err))
	}
	b.folder, b.validity = a.Folder, data.UIDValidity
	return nil
}

func (b *imapBox) tell() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// serverError marks a reply of the server.
func serverError(err error) error {
	var answer *imap.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("%w: %s", errServerAnswer, cut(answer.Text))
	}
	return err
}

// tlsConfig trusts the authorities of a file, or those of the system.
func (a *IMAPAccount) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{ServerName: a.Host, MinVersion: tls.VersionTLS12}
	if a.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", a.CAFile)
	}
	return c, nil
}

// logIn reads password or token from its file each time, because tokens are renewed.
func (a *IMAPAccount) logIn(c *imapclient.Client) error {
	path := a.PasswordFile
	if a.OAuthTokenFile != "" {
		path = a.OAuthTokenFile
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if a.OAuthTokenFile != "" {
		return c.Authenticate(&xoauth2{user: a.User, token: strings.TrimSpace(secret)})
	}
	return c.Login(a.User, secret).Wait()
}

// xoauth2 is the SASL mechanism XOAUTH2, which has no RFC.
type xoauth2 struct{ user, token string }

// Start implements sasl.Client.
func (x *xoauth2) Start() (mechanism string, first []byte, err error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next implements sasl.Client: the server sends an error and expects an empty answer.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// Validity implements mailbox.
func (b *imapBox) Validity() uint32 { return b.validity }

// After implements mailbox.
func (b *imapBox) After(uid uint32) ([]uint32, error) {
	var set imap.UIDSet
	set.AddRange(imap.UID(uid)+1, 0)
	data, err := b.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{set}}, nil).Wait()
	if err != nil {
		return nil, serverError(err)
	}
	var out []uint32
	for _, one := range data.AllUIDs() {
		if uint32(one) > uid { // "5:*" is the last mail too, whatever its UID
			out = append(out, uint32(one))
		}
	}
	slices.Sort(out)
	return out, nil
}

// Fetch implements mailbox.
func (b *imapBox) Fetch(uids []uint32, most int64, yield func(fetched) error) error {
	section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: 0, Size: most}}
	cmd := b.client.Fetch(uidSet(uids), &imap.FetchOptions{UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section}})
	for {
		msg := cmd.Next()
		if msg == nil {
			return serverError(cmd.Close())
		}
		f, err := collect(msg, most)
		if err == nil && f.body != nil {
			err = yield(f)
		}
		if err != nil {
			_ = cmd.Close()
			return err
		}
	}
}

// collect reads one reply, at most most octets of the mail whatever the server sends.
func collect(msg *imapclient.FetchMessageData, most int64) (fetched, error) {
	var f fetched
	for {
		switch item := msg.Next().(type) {
		case nil:
			f.size = max(f.size, int64(len(f.body)))
			return f, nil
		case imapclient.FetchItemDataUID:
			f.uid = uint32(item.UID)
		case imapclient.FetchItemDataRFC822Size:
			f.size = item.Size
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			body, err := io.ReadAll(io.LimitReader(item.Literal, most))
			if err != nil {
				return f, err
			}
			f.body = append([]byte{}, body...)
		}
	}
}

func uidSet(uids []uint32) imap.UIDSet {
	var set imap.UIDSet
	for _, one := range uids {
		set.AddNum(imap.UID(one))
	}
	return set
}

// Copy implements mailbox. It creates a missing folder.
func (b *imapBox) Copy(uids []uint32, folder string) ([]uint32, error) {
	set := uidSet(uids)
	data, err := b.client.Copy(set, folder).Wait()
	var answer *imap.Error
	if errors.As(err, &answer) && answer.Code == imap.ResponseCodeTryCreate {
		if err := b.client.Create(folder, nil).Wait(); err != nil {
			return nil, fmt.Errorf("done_folder %s: %w", folder, serverError(err))
		}
		data, err = b.client.Copy(set, folder).Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("done_folder %s: %w", folder, serverError(err))
	}
	if len(data.SourceUIDs) == 0 { // the server does not tell
		return uids, nil
	}
	var copied []uint32
	for _, uid := range uids {
		if data.SourceUIDs.Contains(imap.UID(uid)) {
			copied = append(copied, uid)
		}
	}
	return copied, nil
}

// Remove implements mailbox. It removes mails only by UID, which needs UIDPLUS (RFC 4315): without
// it a server would also remove what others have marked. There the mails stay, marked as deleted.
func (b *imapBox) Remove(uids []uint32) error {
	set := uidSet(uids)
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := b.client.Store(set, store, nil).Close(); err != nil {
		return serverError(err)
	}
	if caps := b.client.Caps(); !caps.Has(imap.CapUIDPlus) && !caps.Has(imap.CapIMAP4rev2) {
		return nil
	}
	return serverError(b.client.UIDExpunge(set).Close())
}

// Wait implements mailbox with IDLE (RFC 2177), bounded because connections die unnoticed.
func (b *imapBox) Wait(ctx context.Context, most time.Duration) error {
	var idle *imapclient.IdleCommand
	if caps := b.client.Caps(); caps.Has(imap.CapIdle) || caps.Has(imap.CapIMAP4rev2) {
		var err error
		if idle, err = b.client.Idle(); err != nil {
			return serverError(err)
		}
	}
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-b.news:
	case <-t.C:
	case <-ctx.Done():
	case <-b.client.Closed():
		return io.ErrUnexpectedEOF
	}
	if idle == nil {
		return serverError(b.client.Noop().Wait())
	}
	if err := idle.Close(); err != nil {
		return serverError(err)
	}
	return serverError(idle.Wait())
}

// Close implements mailbox.
func (b *imapBox) Close() {
	b.stop()
	_ = b.client.Logout().Wait()
	_ = b.client.Close()
}
