package outgoing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/destination"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Bounds of one report.
const (
	rowPage = 4096     // rows read at once
	maxFile = 32 << 20 // of a compressed file; no mail server takes as much
)

// requestError answers the person who asked. Error says in plain words what failed;
// Unwrap gives its kind.
type requestError struct {
	kind error
	text string
}

func (s *requestError) Error() string { return s.text }
func (s *requestError) Unwrap() error { return s.kind }

func requestErrorf(kind error, format string, args ...any) error {
	return &requestError{kind: kind, text: fmt.Sprintf(format, args...)}
}

// ErrNothing means that there is nothing to report on a domain and day.
var ErrNothing = errkind.New(errkind.NotFound, "outgoing: nothing to report")

// errFileSize ends a report that nobody could receive.
var errFileSize = fmt.Errorf("outgoing: a report of over %d MiB compressed", maxFile>>20)

// errRows wraps what keeps a file from being made of the rows that there are: it
// would be the same at another try.
var errRows = errors.New("outgoing: no report can be made")

// builder makes the reports of one day.
type builder struct {
	source   Source
	config   Config
	receiver dns.Name
	secret   []byte
	now      time.Time
	giveUp   time.Duration
	due      func() time.Time // of the next report's first attempt
	day      memory.Day
	zip      *gzip.Writer

	mails  map[dns.Name]int  // queued, by the organization that requested them
	over   map[dns.Name]bool // organizations that request too many
	capped int               // mails held back
}

// wants reports whether a domain gets a report by the settings. Reports requested by hand
// bypass it.
func (b *builder) wants(d *DomainDay) bool {
	switch {
	case d.Reported, d.Messages < int64(b.config.MinMessages), b.config.Exclude.Match(d.Domain):
		return false
	case b.config.Scope == settings.ScopeAll || b.config.Scope == "":
		return true
	}
	return d.Failed > 0
}

// build makes the report on one domain, with its deliveries. An error that wraps errRows
// is caused by the data; ErrNothing means that no rows are left; others come from the
// store.
func (b *builder) build(ctx context.Context, domain dns.Name) (NewReport, error) {
	seen, all, err := b.source.Policies(ctx, b.day, domain, maxPolicies)
	if err != nil {
		return NewReport{}, err
	}
	if len(seen) == 0 {
		return NewReport{}, b.nothing(domain)
	}
	id := report.NewID(b.secret, b.receiver, domain, b.day.Begin(), b.day.End(), "")
	r := NewReport{Report: Report{
		Kind: KindAggregate, Domain: domain.String(), Day: b.day, ReportID: id,
		FileName: report.FileName(b.receiver, domain, b.day.Begin(), b.day.End(), id),
		Subject:  report.Subject(domain, b.receiver, id),
		OrgName:  b.config.OrgName, Email: b.config.Email, Made: b.now,
	}}
	p, err := publish(domain, seen, all)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errRows, err)
	}
	r.Note = p.note
	if err := b.fill(ctx, &r, domain, &p); err != nil {
		return r, err
	}
	for _, to := range destination.Addresses(p.record.RUA) {
		r.Delivered = append(r.Delivered, b.delivery(to, domain))
	}
	b.bound(&r, domain)
	return r, nil
}

func (b *builder) nothing(domain dns.Name) error {
	return requestErrorf(ErrNothing, "no mail from %s was counted on %s for which its policy record asks for a report", domain, b.day)
}

// fill makes the file. If there are rows that no report can hold, it starts over without
// them.
func (b *builder) fill(ctx context.Context, r *NewReport, domain dns.Name, p *published) error {
	err := b.file(ctx, r, domain, p, false)
	if errors.Is(err, report.ErrIncomplete) || errors.Is(err, report.ErrBadWord) || errors.Is(err, report.ErrBadKey) {
		if err = b.file(ctx, r, domain, p, true); errors.Is(err, report.ErrNoRows) {
			err = fmt.Errorf("%w: none of the rows can be read", errRows)
		}
	}
	switch {
	case errors.Is(err, report.ErrNoRows):
		return b.nothing(domain)
	case errors.Is(err, report.ErrIncomplete), errors.Is(err, report.ErrBadWord), errors.Is(err, errFileSize):
		return fmt.Errorf("%w: %w", errRows, err)
	}
	return err
}

func (b *builder) file(ctx context.Context, r *NewReport, domain dns.Name, p *published, picky bool) error {
	var out bytes.Buffer
	if b.zip == nil {
		b.zip = gzip.NewWriter(nil)
	}
	b.zip.Reset(&limitedWriter{w: &out, left: maxFile})
	meta := report.Metadata{
		OrgName: r.OrgName, Email: r.Email, ExtraContact: b.config.Contact, ReportID: r.ReportID,
		Begin: b.day.Begin(), End: b.day.End(), Error: r.Note, Generator: b.config.Generator,
	}
	w, err := report.NewWriter(b.zip, &meta, &p.policy)
	if err != nil {
		return err
	}
	r.Messages, r.Rows = 0, 0
	failing := b.config.Scope == settings.ScopeFailures
	for after := int64(0); ; {
		page, err := b.source.Rows(ctx, b.day, domain, failing, after, rowPage)
		if err != nil {
			return err
		}
		for i := range page {
			row, err := report.ParseKey(page[i].Key)
			row.Count = page[i].Messages
			if p.changed {
				p.explain(&row)
			}
			if picky && (err != nil || !printable(&row, &meta, &p.policy)) {
				continue
			}
			if err != nil {
				return err
			}
			if err := w.WriteRow(&row); err != nil {
				return err
			}
			r.Messages += row.Count
			r.Rows++
		}
		if len(page) < rowPage {
			break
		}
		after = page[len(page)-1].Cursor
	}
	if err := errors.Join(w.Close(), b.zip.Close()); err != nil {
		return err
	}
	r.File = bytes.Clone(out.Bytes())
	r.Octets, r.Stored = int64(len(r.File)), true
	return nil
}

// printable reports whether a report can hold the row.
func printable(row *report.Row, m *report.Metadata, p *report.Published) bool {
	w, err := report.NewWriter(io.Discard, m, p)
	return err == nil && w.WriteRow(row) == nil
}

// delivery creates the delivery of a report to one address.
func (b *builder) delivery(to string, domain dns.Name) Delivery {
	d := newDelivery(to, domain, b.receiver, b.due())
	d.Expires = b.now.Add(b.giveUp)
	return d
}

// newDelivery makes a delivery. Its Message-ID cannot be guessed, so whoever returns it
// has seen the mail.
func newDelivery(to string, domain, receiver dns.Name, due time.Time) Delivery {
	d := Delivery{To: to, State: StateUnconfirmed, Due: due, MessageID: newMessageID(receiver)}
	host, err := destination.Host(to)
	switch wrong := destination.Unsafe(to); {
	case err != nil || wrong != "":
		d.State, d.Cause, d.Error, d.Due = StateFailed, CauseMail, wrong, time.Time{}
		if err != nil {
			d.Error = text.Cut(text.Error(err), maxErrorText)
		}
	case host == domain:
		d.State, d.Verified = StateQueued, true
	}
	return d
}

func newMessageID(receiver dns.Name) string {
	return "dmarc." + strings.ToLower(rand.Text()) + "@" + receiver.String()
}

// limitedWriter accepts a bounded number of octets.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errFileSize
	}
	l.left -= len(p)
	return l.w.Write(p)
}
