package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

// IMAPAccount is a mailbox from which reports are fetched, with its files as paths.
type IMAPAccount struct{ settings.IMAP }

// Name returns the name of its feed.
func (a *IMAPAccount) Name() string {
	return "imap:" + a.User + "@" + a.Host + "/" + a.Folder
}

// TokenStore knows the stored items of a feed: a part of analysis.Store.
type TokenStore interface {
	HasTokens(ctx context.Context, feed string, tokens []string) (map[string]bool, error)
}

// IMAP fetches reports from a mailbox. It identifies mails by UIDVALIDITY and UID, never by
// flags or subjects; it copies a mail to the done folder and removes it only after its content
// is stored.
type IMAP struct {
	Account IMAPAccount
	Most    func() int64 // octets of a mail
	Path    *Path
	Store   TokenStore
	Feed    *Feed
	// Leads reports whether this host, among all that share the store, fetches.
	Leads func() bool
	Now   func() time.Time
	open  func(context.Context, *IMAPAccount) (mailbox, error) // nil: openMailbox

	copies copies // of this session
}

// Times of a feed by IMAP.
const (
	leadEvery = 5 * time.Second
	imapFirst = 5 * time.Second // wait after an error, doubled each time
	imapLast  = 5 * time.Minute
	imapChunk = 100 // mails that are stored before the next are fetched
)

// Run fetches until ctx ends.
func (f *IMAP) Run(ctx context.Context) {
	for pause := imapFirst; ctx.Err() == nil; {
		if !f.Leads() {
			wait(ctx, leadEvery)
			continue
		}
		began := f.Now()
		err := f.session(ctx)
		if ctx.Err() != nil || err == nil {
			continue
		}
		f.Feed.Ran(err)
		if f.Now().Sub(began) > imapLast {
			pause = imapFirst
		}
		wait(ctx, pause)
		pause = min(2*pause, imapLast)
	}
}

// session uses one connection, until it fails or another host leads.
func (f *IMAP) session(ctx context.Context) error {
	open := f.open
	if open == nil {
		open = openMailbox
	}
	connected, cancel := context.WithCancel(ctx)
	defer cancel()
	box, err := open(connected, &f.Account)
	if err != nil {
		return err
	}
	defer box.Close()
	f.copies = nil
	if err := f.Feed.load(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil && f.Leads() {
		refused, err := f.look(ctx, box)
		if err != nil {
			return err
		}
		f.Feed.Ran(refused)
		if err := f.rest(ctx, box); err != nil {
			return err
		}
	}
	return nil
}

// rest waits for news, at most the polling interval, while this host leads.
func (f *IMAP) rest(ctx context.Context, box mailbox) error {
	idle, cancel := context.WithTimeout(ctx, f.Account.Poll)
	defer cancel()
	go func() {
		for f.Leads() && idle.Err() == nil {
			wait(idle, leadEvery)
		}
		cancel()
	}()
	return box.Wait(idle, f.Account.Poll)
}

// cursor is the position in a mailbox: all mails up to a UID, under a UIDVALIDITY, are read.
type cursor struct{ validity, uid uint32 }

func parseCursor(s string) cursor {
	validity, uid, _ := strings.Cut(s, ":")
	v, err1 := strconv.ParseUint(validity, 10, 32)
	u, err2 := strconv.ParseUint(uid, 10, 32)
	if err1 != nil || err2 != nil {
		return cursor{}
	}
	return cursor{uint32(v), uint32(u)}
}

func (c cursor) String() string { return fmt.Sprintf("%d:%d", c.validity, c.uid) }

// look takes in new mails. refused is a server's reply to copying mails; they stay in place and
// are retried later.
func (f *IMAP) look(ctx context.Context, box mailbox) (refused, err error) {
	at := parseCursor(f.Feed.State().Cursor)
	if at.validity != box.Validity() || f.Account.DoneFolder != "" {
		at = cursor{validity: box.Validity()}
	}
	uids, err := box.After(at.uid)
	if err != nil {
		return nil, err
	}
	for len(uids) > 0 {
		f.Feed.Waits(int64(len(uids)))
		chunk := uids[:min(len(uids), imapChunk)]
		known, err := f.take(ctx, box, chunk)
		if err != nil {
			return refused, err
		}
		uids = uids[len(chunk):]
		if f.Account.DoneFolder != "" {
			if f.copies == nil {
				f.copies = copies{}
			}
			answer, err := f.copies.finish(box, chunk, known, f.Account.DoneFolder)
			if err != nil {
				return refused, err
			}
			refused = cmp.Or(answer, refused)
		}
		f.Feed.moved(cursor{box.Validity(), chunk[len(chunk)-1]}.String())
	}
	f.Feed.Waits(0)
	return refused, nil
}

// token identifies a mail permanently.
func (f *IMAP) token(validity, uid uint32) string { return cursor{validity, uid}.String() }

// take fetches mails that are not stored, and waits until they are. It returns those that were.
func (f *IMAP) take(ctx context.Context, box mailbox, uids []uint32) (stored []uint32, err error) {
	tokens := make([]string, len(uids))
	for i, uid := range uids {
		tokens[i] = f.token(box.Validity(), uid)
	}
	known, err := f.Store.HasTokens(ctx, f.Account.Name(), tokens)
	if err != nil {
		return nil, err
	}
	var wanted []uint32
	for i, uid := range uids {
		if known[tokens[i]] {
			stored = append(stored, uid)
		} else {
			wanted = append(wanted, uid)
		}
	}
	var sum counts
	// The path bounds the mails in memory: it waits for room.
	err = f.fetch(ctx, box, wanted, &sum)
	sum.under.Wait()
	f.Feed.Took(sum.taken)
	return stored, errors.Join(err, sum.err)
}

func (f *IMAP) fetch(ctx context.Context, box mailbox, uids []uint32, sum *counts) error {
	const group = 20
	most := f.Most()
	for len(uids) > 0 {
		some := uids[:min(len(uids), group)]
		uids = uids[len(some):]
		err := box.Fetch(some, most+1, func(m fetched) error { return f.put(ctx, box.Validity(), m, most, sum) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *IMAP) put(ctx context.Context, validity uint32, m fetched, most int64, sum *counts) error {
	in := Input{
		Feed: f.Account.Name(), Token: f.token(validity, m.uid), Name: "UID " + strconv.FormatUint(uint64(m.uid), 10), At: f.Now(),
		Mail: true, Bytes: m.size, Body: m.body,
	}
	if in.TooLarge = m.size > most; in.TooLarge {
		in.Body = in.Body[:min(len(in.Body), maxHeader)]
	}
	sum.under.Add(1)
	err := f.Path.Put(ctx, Entry{Input: in, Origin: Origin{TrustResults: f.Account.TrustResults}, Stored: true, Done: sum.done})
	if err != nil {
		sum.under.Done()
	}
	return err
}

var _ TokenStore = analysis.Ingester(nil)
