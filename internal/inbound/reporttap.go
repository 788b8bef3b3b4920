package inbound

import (
	"log/slog"
	"strings"
	"sync/atomic"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
	"dmarcd/internal/text"
)

// ReportFeed is the feed that mail of a ReportTap has in the spool.
const ReportFeed = "milter"

// ReportTap spools mail to analysis.addresses, with its own DMARC verdict, before the MTA
// gets its answer. Mail that is not judged, such as mail from trusted networks, is
// spooled with an unknown verdict. Mail that policy rejects, defers or discards is not
// spooled; held mail is. With analysis.discard, mail with only such recipients is dropped
// once it is spooled. Mail that cannot be spooled is delivered and counted.
type ReportTap struct {
	spool *spool.Spool
	log   *slog.Logger
	stats struct{ taken, dropped, lost atomic.Uint64 }
}

// ReportTapStats count the mail to analysis.addresses since the start.
type ReportTapStats struct {
	Taken   uint64 // put into the spool
	Dropped uint64 // of them dropped, by analysis.discard
	Lost    uint64 // delivered, but not in the spool
}

// NewReportTap makes a ReportTap.
func NewReportTap(s *spool.Spool, log *slog.Logger) *ReportTap {
	return &ReportTap{spool: s, log: log}
}

// Stats returns the counts so far.
func (t *ReportTap) Stats() ReportTapStats {
	return ReportTapStats{Taken: t.stats.taken.Load(), Dropped: t.stats.dropped.Load(), Lost: t.stats.lost.Load()}
}

// Wants is Tap's.
func (t *ReportTap) Wants(s *settings.Settings, a message.Address) bool {
	return s.Analysis.Enabled && filter.ReceivesReports(s, a)
}

// Begin is Tap's.
func (t *ReportTap) Begin(s *settings.Settings) Copy {
	return &reportCopy{tap: t, discard: s.Analysis.Discard, draft: t.spool.Begin(s.Analysis.Limits.MailBytes)}
}

// reportCopy is one mail on its way into the spool. Commit returns the errors of the
// draft.
type reportCopy struct {
	tap     *ReportTap
	discard bool
	draft   *spool.Draft
	line    []byte
}

func (c *reportCopy) Header(name string, value []byte) {
	c.line = append(append(c.line[:0], name...), ':')
	c.line = append(append(c.line, value...), '\r', '\n')
	_, _ = c.draft.Write(c.line)
}

func (c *reportCopy) EndOfHeader() { _, _ = c.draft.Write([]byte("\r\n")) }

func (c *reportCopy) Body(chunk []byte) (more bool) {
	_, err := c.draft.Write(chunk)
	return err == nil
}

func (c *reportCopy) End(e Ending) (drop bool) {
	o := e.Outcome
	if a := o.Decision.Action; a != policy.Bypass && a != policy.Quarantine {
		c.draft.Abort()
		return false
	}
	if err := c.draft.Commit(reportMeta(&e)); err != nil {
		c.tap.stats.lost.Add(1)
		c.tap.log.Warn("a report mail is delivered, but cannot be kept for the analysis",
			slog.String("queue_id", text.Cut(o.Envelope.QueueID, maxLogged)), slog.String("error", err.Error()))
		return false
	}
	c.tap.stats.taken.Add(1)
	drop = c.discard && e.Only && o.Decision.Action == policy.Bypass
	if drop {
		c.tap.stats.dropped.Add(1)
	}
	return drop
}

func (c *reportCopy) Abort() { c.draft.Abort() }

// reportMeta is the metadata that the spool keeps with a mail.
func reportMeta(e *Ending) spool.Meta {
	o := e.Outcome
	m := spool.Meta{
		Feed: ReportFeed, At: o.Envelope.Received, Trust: spool.NotKnown, Client: o.Envelope.ClientIP,
		QueueID: text.Cut(o.Envelope.QueueID, maxLogged), MessageID: o.MessageID,
	}
	for _, a := range e.Wanted {
		m.Addresses = append(m.Addresses, strings.ToLower(a.String()))
	}
	if o.Bypassed != "" {
		return m
	}
	m.Author, m.Trust = o.Verdict.DMARC.Author.String(), spool.Failed
	if o.Verdict.DMARC.Status == dmarc.Pass {
		m.Trust = spool.Authenticated
	}
	return m
}
