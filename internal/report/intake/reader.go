package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// Options configure the reading of mails and files.
type Options struct {
	Limits Limits
	// Rest is called after every few milliseconds of work, to give mail priority; nil for no rest.
	Rest    func(ctx context.Context)
	Scratch *Scratch // nil for none
}

// Input is a mail or file to be read.
type Input struct {
	Feed, Token, Name string // see analysis.Item
	At                time.Time
	Mail              bool // it is a mail, whatever it looks like
	TooLarge          bool // it is over the limit; Body is its beginning
	Bytes             int64
	Body              []byte
}

// Read opens a mail or file and reads all reports in it. The item describes its faults; an error
// is that of ctx. The caller sets Domain, Recipient, Trust and AuthDomain of the reports.
func Read(ctx context.Context, in Input, o Options) (*analysis.Item, error) {
	item := &analysis.Item{
		Feed: in.Feed, Token: in.Token, Name: in.Name, TakenAt: in.At, Bytes: in.Bytes, Digest: sha256.Sum256(in.Body),
	}
	r := &reading{ctx: ctx, options: &o, limits: o.Limits, item: item, kinds: map[analysis.Kind]string{}}
	switch {
	case in.TooLarge || in.Bytes > o.Limits.MailBytes:
		head, _ := readHeader(in.Body)
		item.From, item.Subject = cut(fromAddress(head.get("From"))), cut(decoded(head.get("Subject")))
		item.Kind, item.Why = analysis.KindTooLarge, fmt.Sprintf("it is over %s", size(o.Limits.MailBytes))
		return item, nil
	case in.Mail:
		if err := r.mail(in.Body, place{}); err != nil {
			return nil, err
		}
	default:
		if err := r.leaf(in.Body, place{name: in.Name}); err != nil {
			return nil, err
		}
	}
	if err := r.finish(&in); err != nil {
		return nil, err
	}
	return item, nil
}

// finish determines what the item is.
func (r *reading) finish(in *Input) error {
	item := r.item
	isMail := in.Mail || item.From != "" || item.Subject != ""
	switch bad := r.worst(isMail); {
	case len(item.Reports) > 0:
		item.Kind = analysis.KindAggregate
		for _, f := range r.faults {
			if f.meant || f.at.nested > 0 { // of an archive, each file that is none
				r.note(strings.TrimPrefix(f.at.name+": ", ": ") + f.why)
			}
		}
	case r.takeKind():
	case bad != nil:
		item.Kind, item.Why = analysis.KindUnreadable, bad.why
	case isMail:
		item.Kind, item.Why = analysis.KindOther, "a mail without a report"
	default:
		item.Kind, item.Why = analysis.KindOther, "a file without a report"
	}
	unread := item.Kind == analysis.KindUnreadable
	for i := range item.Reports {
		unread = unread || item.Reports[i].Status == analysis.StatusRefused && item.Reports[i].Raw == nil
	}
	if !unread {
		return r.ctx.Err()
	}
	raw, err := compress(in.Body, r.options.Scratch)
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	item.Raw = raw
	return r.ctx.Err()
}

// takeKind sets the item aside by what was found in it.
func (r *reading) takeKind() bool {
	for _, kind := range []analysis.Kind{analysis.KindBounce, analysis.KindTLS, analysis.KindFailure, analysis.KindOther} {
		if why, found := r.kinds[kind]; found {
			r.item.Kind, r.item.Why = kind, why
			return true
		}
	}
	return false
}

// worst returns the fault that makes the item an unreadable report; nil for none. A file that is
// no mail always counts as an intended report.
func (r *reading) worst(isMail bool) *fault {
	for i := range r.faults {
		if r.faults[i].meant {
			return &r.faults[i]
		}
	}
	if !isMail && len(r.faults) > 0 && !r.papers() {
		return &r.faults[0]
	}
	return nil
}

// papers describes an archive of other things.
func (r *reading) papers() bool {
	return r.faults[0].at.nested > 0 && strings.HasPrefix(r.faults[0].why, "it holds")
}

// fromReceived converts a report to its stored form, without its rows.
func fromReceived(got *report.Received) analysis.Report {
	rep := analysis.Report{
		Policy: got.Policy, PCT: got.PCT, Metadata: got.Metadata, Dialect: got.Dialect, Version: got.Version,
		Status: analysis.StatusStored, Nothing: got.Nothing, Quarantine: got.Faults, Sent: sent(got.Sent), Notes: got.Notes,
	}
	if got.Empty() {
		rep.Status = analysis.StatusEmpty
	}
	if analysis.LongPeriod(got.Metadata.Begin, got.Metadata.End) {
		rep.Flags |= analysis.FlagLongPeriod
	}
	return rep
}

// told returns an error as text for people.
func told(err error) string {
	var why refusal
	if errors.As(err, &why) {
		return string(why)
	}
	return cut(text.Error(err))
}

// cut bounds a text from outside.
func cut(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if len(s) > 0 && s[len(s)-1] >= utf8.RuneSelf {
			s = s[:len(s)-1]
		}
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// octetCounter counts what is read.
type octetCounter struct {
	in io.Reader
	n  int64
}

func (c *octetCounter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
