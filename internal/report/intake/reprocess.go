package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// rereadAtOnce is how many reports one call of Reprocess examines.
const rereadAtOnce = 50

// Reprocess implements api.Intake. It reads again what an earlier reader has read, and reports
// that were set aside but now concern a managed domain.
func (s *Service) Reprocess(ctx context.Context, after int64) (api.Reprocessed, error) {
	list, err := s.Store.Stale(ctx, ReaderVersion, after, rereadAtOnce)
	if err != nil {
		return api.Reprocessed{}, err
	}
	r := &rereading{s: s, completer: newCompleter(s.Settings(), nil)}
	accepted, err := s.Store.Pairs(ctx)
	if err != nil {
		return api.Reprocessed{}, err
	}
	r.completer.accepted = func(auth, email dns.Name) bool {
		for _, p := range accepted {
			if p.Auth == auth && p.Email == email {
				return p.Accepted
			}
		}
		return false
	}
	own := pace{busy: s.busy}
	l := s.Settings().Analysis.Limits
	r.options = Options{Limits: limitsOf(&l), Rest: own.rest}
	var out api.Reprocessed
	for i := range list {
		out.After = list[i].ID
		if err := r.one(ctx, &list[i], &out); err != nil {
			return out, err
		}
	}
	if len(list) < rereadAtOnce {
		out.After = 0
	}
	return out, nil
}

// rereading reads stored originals again.
type rereading struct {
	s         *Service
	completer *completer
	options   Options
	current   bool // the reader that has read the one at hand before was this one
}

// errNoReport: the stored original is no longer one report.
var errNoReport = errors.New("intake: it is one report no more")

// one reads one report or item again. An error is that of the store or of ctx.
func (r *rereading) one(ctx context.Context, stale *analysis.Stale, sum *api.Reprocessed) error {
	if r.current = stale.Reader >= ReaderVersion; r.current && !r.managed(stale.Policy) {
		return nil
	}
	raw, err := r.s.Store.RawReport(ctx, stale.ID)
	switch {
	case errors.Is(err, analysis.ErrNotFound), err == nil && raw.Gzip == nil: // retention was here meanwhile
		return nil
	case err != nil:
		return err
	}
	again := r.report
	if stale.Item {
		again = r.item
	}
	changed, err := again(ctx, &raw)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoReport):
		sum.Failed++
		return nil
	case errors.Is(err, errStillAside), errors.Is(err, analysis.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	sum.Read++
	if changed {
		sum.Changed++
	}
	return nil
}

// errStillAside: it stays aside, and was read by this reader before.
var errStillAside = errors.New("intake: it stays aside")

func (r *rereading) managed(policy string) bool {
	name, err := dns.Parse(policy)
	return err == nil && !r.completer.managed.Owner(name).IsZero()
}

// report reads the XML of a report again.
func (r *rereading) report(ctx context.Context, raw *analysis.Raw) (changed bool, err error) {
	item, err := Read(ctx, Input{Name: raw.Name, At: raw.Received, Bytes: int64(len(raw.Gzip)), Body: raw.Gzip}, r.options)
	if err != nil {
		return false, err
	}
	if len(item.Reports) != 1 || item.Reports[0].Status == analysis.StatusRefused && raw.Status != analysis.StatusRefused {
		return false, errNoReport
	}
	rep := &item.Reports[0]
	read := rep.Status
	o := Origin{}
	counted := raw.Status == analysis.StatusStored || raw.Status == analysis.StatusEmpty
	if !counted && raw.Recipient != "" {
		o.Addresses = []string{raw.Recipient}
	}
	r.completer.complete(item, &o, sender{})
	if counted && rep.Domain.IsZero() { // it stays that domain's for which it was taken in
		rep.Domain, rep.Status, rep.Why = raw.Domain, read, ""
	}
	if raw.Status == analysis.StatusAside && rep.Status == analysis.StatusAside && r.current {
		return false, errStillAside
	}
	rep.Trust, rep.AuthDomain, rep.Recipient, rep.FileName = raw.Trust, raw.Auth, raw.Recipient, raw.Name
	settled, err := r.s.Store.Reread(ctx, raw.ID, ReaderVersion, rep)
	return settled.Status != raw.Status || rep.Digest != raw.Digest, err
}

// item reads a stored mail or file again, with what was known about its sender.
func (r *rereading) item(ctx context.Context, raw *analysis.Raw) (changed bool, err error) {
	var body bytes.Buffer
	limit := r.options.Limits.MailBytes
	if err := WriteRaw(&limitedWriter{w: &body, left: limit}, raw.Gzip); err != nil {
		return false, fmt.Errorf("%w: %w", errNoReport, err)
	}
	from := raw.Origin
	item, err := Read(ctx, Input{
		Feed: raw.Feed, Name: raw.Name, At: raw.Received, Mail: from.Mail, Bytes: int64(body.Len()), Body: body.Bytes(),
	}, r.options)
	if err != nil {
		return false, err
	}
	r.completer.complete(item, &Origin{Addresses: from.Addresses}, sender{admin: from.Admin, failed: from.Failed, domain: from.Auth})
	settled, err := r.s.Store.RereadItem(ctx, raw.ID, ReaderVersion, item)
	return len(settled) > 0, err
}

// limitedWriter refuses octets beyond a limit.
type limitedWriter struct {
	w    io.Writer
	left int64
}

// Write implements io.Writer.
func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return l.w.Write(p)
}
