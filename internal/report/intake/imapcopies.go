package intake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// copies records, for stored mails, whether they were copied to the done folder before they
// could be removed. It is valid for one session: what another host or an earlier session did is
// unknown.
type copies map[uint32]bool

// find looks for copies of the mails for which that is unknown.
func (c copies) find(box mailbox, uids []uint32, folder string) error {
	var unsure []uint32
	for _, uid := range uids {
		if _, known := c[uid]; !known {
			unsure = append(unsure, uid)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	found, err := box.Copied(unsure, folder)
	if err != nil && !errors.Is(err, errServerAnswer) { // a server that cannot tell: a copy too many is no loss
		return err
	}
	for _, uid := range unsure {
		c[uid] = false
	}
	for _, uid := range found {
		c[uid] = true
	}
	return nil
}

// finish copies stored mails to the done folder, unless they are there, and removes them. known
// are those stored before. refused is a reply of the server.
func (c copies) finish(box mailbox, uids, known []uint32, folder string) (refused, err error) {
	if err := c.find(box, known, folder); err != nil {
		return nil, err
	}
	var fresh, done []uint32
	for _, uid := range uids {
		if c[uid] {
			done = append(done, uid)
		} else {
			fresh = append(fresh, uid)
		}
	}
	if len(fresh) > 0 {
		copied, err := box.Copy(fresh, folder)
		switch {
		case errors.Is(err, errServerAnswer):
			refused = err
			for _, uid := range fresh { // RFC 9051 section 6.4.7: nothing was copied
				c[uid] = false
			}
		case err != nil:
			return nil, err
		}
		for _, uid := range copied {
			c[uid] = true
		}
		done = append(done, copied...)
	}
	if len(done) == 0 {
		return refused, nil
	}
	if err := box.Remove(done); err != nil && !errors.Is(err, errServerAnswer) {
		return refused, err
	} else if err != nil {
		refused = err
	}
	return refused, nil
}

// identity distinguishes a mail from others.
type identity struct {
	uid    uint32
	size   int64
	id     string // Message-ID, "" for none
	digest [sha256.Size]byte
}

// Copied implements mailbox. It searches mails by Message-ID and size, and compares their
// octets.
func (b *imapBox) Copied(uids []uint32, folder string) (found []uint32, err error) {
	here, err := b.identities(uids)
	if err != nil {
		return nil, err
	}
	if _, err := b.client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, errors.Join(serverError(err), b.back())
	}
	for i := range here {
		there, err := b.like(&here[i])
		if err != nil {
			return nil, errors.Join(err, b.back())
		}
		for j := range there {
			if there[j].digest == here[i].digest {
				found = append(found, here[i].uid)
				break
			}
		}
	}
	return found, b.back()
}

// back selects the folder of the mailbox again.
func (b *imapBox) back() error {
	data, err := b.client.Select(b.folder, nil).Wait()
	switch {
	case err != nil:
		return fmt.Errorf("folder %s cannot be selected again: %s", b.folder, cut(err.Error()))
	case data.UIDValidity != b.validity:
		return fmt.Errorf("folder %s was made anew meanwhile", b.folder)
	}
	return nil
}

// like returns the mails of the selected folder with the size and Message-ID of one.
func (b *imapBox) like(one *identity) ([]identity, error) {
	const some = 20
	criteria := &imap.SearchCriteria{Larger: one.size - 1, Smaller: one.size + 1}
	if one.id != "" {
		criteria.Header = []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: one.id}}
	}
	data, err := b.client.UIDSearch(criteria, nil).Wait()
	if err != nil {
		return nil, serverError(err)
	}
	var uids []uint32
	for _, uid := range data.AllUIDs() {
		uids = append(uids, uint32(uid))
	}
	if len(uids) == 0 {
		return nil, nil
	}
	return b.identities(uids[max(0, len(uids)-some):])
}

// identities reads the identities of mails.
func (b *imapBox) identities(uids []uint32) (out []identity, err error) {
	section := &imap.FetchItemBodySection{Peek: true}
	cmd := b.client.Fetch(uidSet(uids), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
	for {
		msg := cmd.Next()
		if msg == nil {
			return out, serverError(cmd.Close())
		}
		one, err := identify(msg)
		if err != nil {
			_ = cmd.Close()
			return nil, err
		}
		if one.size > 0 {
			out = append(out, one)
		}
	}
}

func identify(msg *imapclient.FetchMessageData) (one identity, err error) {
	const longest = 500 // of a Message-ID
	for {
		switch item := msg.Next().(type) {
		case nil:
			return one, nil
		case imapclient.FetchItemDataUID:
			one.uid = uint32(item.UID)
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			var begin bytes.Buffer
			sum := sha256.New()
			all := io.TeeReader(item.Literal, sum)
			first, err := io.CopyN(&begin, all, maxHeader)
			if err != nil && !errors.Is(err, io.EOF) {
				return one, err
			}
			rest, err := io.Copy(io.Discard, all)
			if err != nil {
				return one, err
			}
			one.size = first + rest
			head, _ := readHeader(begin.Bytes())
			if one.id = head.get("Message-ID"); len(one.id) > longest {
				one.id = ""
			}
			sum.Sum(one.digest[:0])
		}
	}
}
