package intake

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// collector collects the rows of one report. Rows share equal data.
type collector struct {
	r     *reading
	rows  []analysis.Row
	judge judge
	sets  map[[sha256.Size]byte]*analysis.AuthSet
	notes map[report.Note]*report.Note
	order []*report.Note
	size  int // estimated memory
	room  []byte
	late  []*report.Record // records that come before the policy
}

var errRetained = refusal(fmt.Sprintf("its records take more than %s of memory", size(maxRetained)))

func (c *collector) add(head *report.Received, rec *report.Record) error {
	if c.judge.policy = &head.Policy; head.Policy.Domain == "" { // the parser fills it in later
		c.late = append(c.late, rec)
		c.size += int(unsafe.Sizeof(*rec)) + retained(rec)
		if c.size > maxRetained {
			return errRetained
		}
		return nil
	}
	if rec.HeaderFrom == "" {
		rec.HeaderFrom = c.judge.policy.Domain
	}
	row := c.judge.row(rec, c.note)
	row.Auth = c.set(rec)
	c.size += int(unsafe.Sizeof(row))
	if c.size > maxRetained {
		return errRetained
	}
	c.rows = append(c.rows, row)
	return nil
}

// done adds the records that preceded the policy.
func (c *collector) done(head *report.Received) error {
	late := c.late
	c.late = nil
	for _, rec := range late {
		if err := c.add(head, rec); err != nil {
			return err
		}
	}
	return nil
}

// retained estimates the memory of a record's lists.
func retained(rec *report.Record) int {
	n := int(unsafe.Sizeof(analysis.AuthSet{}))
	for _, d := range rec.AuthDKIM {
		n += int(unsafe.Sizeof(d)) + len(d.HumanResult) + 2*len(d.Selector)
	}
	for _, s := range rec.AllSPF {
		n += int(unsafe.Sizeof(s)) + len(s.HumanResult)
	}
	for _, x := range rec.Reasons {
		n += int(unsafe.Sizeof(x)) + len(x.Comment)
	}
	for _, x := range rec.Sent {
		n += int(unsafe.Sizeof(x)) + len(x.Where) + len(x.Value)
	}
	return n
}

func (c *collector) set(rec *report.Record) *analysis.AuthSet {
	b := c.room[:0]
	for _, d := range rec.AuthDKIM {
		b = appendTexts(b, 'd', d.Domain, d.Selector, string(d.Result), d.HumanResult)
	}
	for _, s := range rec.AllSPF {
		b = appendTexts(b, 's', s.Domain, string(s.Scope), string(s.Result), s.HumanResult)
	}
	for _, x := range rec.Reasons {
		b = appendTexts(b, 'r', string(x.Type), x.Comment)
	}
	for _, x := range rec.Sent {
		b = appendTexts(b, 'v', x.Where, x.Value)
	}
	c.room = b
	key := sha256.Sum256(b)
	if known := c.sets[key]; known != nil {
		return known
	}
	set := authSet(rec)
	c.sets[key] = set
	c.size += retained(rec) + sha256.Size
	return set
}

func authSet(rec *report.Record) *analysis.AuthSet {
	set := &analysis.AuthSet{Sent: sent(rec.Sent)}
	for _, d := range rec.AuthDKIM {
		set.DKIM = append(set.DKIM, analysis.DKIMResult(d))
	}
	for _, s := range rec.AllSPF {
		set.SPF = append(set.SPF, analysis.SPFResult(s))
	}
	for _, x := range rec.Reasons {
		set.Reasons = append(set.Reasons, analysis.Reason(x))
	}
	return set
}

func sent(values []report.Sent) []analysis.Sent {
	var out []analysis.Sent
	for _, x := range values {
		out = append(out, analysis.Sent(x))
	}
	return out
}

func appendTexts(b []byte, kind byte, texts ...string) []byte {
	b = append(b, kind)
	for _, s := range texts {
		b = append(append(b, s...), 0)
	}
	return b
}

// note adds to the notes of the report, up to a bound of different ones.
func (c *collector) note(n report.Note) {
	const most = 50
	key := n
	key.Record = 0
	if known := c.notes[key]; known != nil {
		known.Count++
		return
	}
	if len(c.notes) >= most {
		return
	}
	n.Count = 1
	c.notes[key] = &n
	c.order = append(c.order, &n)
}

// xmlStream reads XML from a nested archive, and compresses it at the same time.
func (r *reading) xmlStream(in io.Reader, at place) error {
	var kept bytes.Buffer
	z, err := gzip.NewWriterLevel(&kept, gzip.BestSpeed)
	if err != nil {
		return err
	}
	tee := io.TeeReader(in, z)
	return r.xml(tee, at, func() ([]byte, error) {
		if _, err := io.Copy(io.Discard, tee); err != nil {
			return nil, err
		}
		err := z.Close()
		return kept.Bytes(), err
	})
}

// xml reads a report. raw returns the stored form, compressed by gzip, afterwards.
func (r *reading) xml(in io.Reader, at place, raw func() ([]byte, error)) error {
	if len(r.item.Reports) >= maxReports {
		r.note(fmt.Sprintf("more than %d reports; the rest was left out", maxReports))
		return nil
	}
	c := collector{r: r, sets: map[[sha256.Size]byte]*analysis.AuthSet{}, notes: map[report.Note]*report.Note{}}
	seen := &octetCounter{in: in}
	got, err := report.Parse(seen, r.limits.forReport(), c.add)
	if err == nil {
		err = c.done(got)
	}
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if errors.Is(err, report.ErrNotReport) && got.Metadata.Begin.IsZero() {
		return r.failed(at, refusal(told(err)))
	}
	rep := fromReceived(got)
	rep.FileName, rep.Rows = cut(at.name), c.rows
	for _, n := range c.order {
		rep.Notes = append(rep.Notes, *n)
	}
	if err != nil {
		rep.Status, rep.Why, rep.Rows = analysis.StatusRefused, told(err), nil
	}
	rep.Digest = analysis.DigestRows(rep.Rows)
	if errors.Is(err, report.ErrTooLarge) || errors.Is(err, errRefused) { // the mail or file is kept as it came
		r.item.Reports = append(r.item.Reports, rep)
		return nil
	}
	kept, rawErr := raw()
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if rawErr == nil {
		rep.Raw = kept
	}
	rep.RawBytes = seen.n
	r.item.Reports = append(r.item.Reports, rep)
	return nil
}
