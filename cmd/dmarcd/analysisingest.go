package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/text"
)

// ingestOptions are the flags of "analysis ingest".
type ingestOptions struct {
	dry, asJSON bool
}

func analysisIngestCommand(s present.Streams) *cobra.Command {
	var o ingestOptions
	c := &cobra.Command{
		Use:   "ingest PATH…|-",
		Short: "Take in reports from files, folders, mailboxes and archives",
		Long: `Take in aggregate reports: XML, compressed by gzip or in zip archives, mails (.eml), mailboxes
(mbox), tar archives, folders and maildirs of these, or standard input (-). What a file is,
is told by its content. The word of an admin counts: such reports are not authenticated.

What was taken in before is told as a duplicate, so that the command may be run again after
it was interrupted. --dry-run tells what would become of each, compared with what is
stored and with those before it. With --json each file is one object, and where it holds several mails or
reports, one more for each, as PATH#1, PATH#2 and so on; counts are of what was stored.

  yes        at least one report was stored
  empty      a report on a period without mail
  duplicate  the same report is stored
  aside      no aggregate report, or not about a managed domain
  differs    the same report with other records is stored
  no         it cannot be read

Exit code 0; 1: one is "no" or "differs"; 3: the store is away.`,
		Example: `  dmarcd analysis ingest reports/ old.mbox backup.tar.gz
  curl -s https://example.net/report.xml.gz | dmarcd analysis ingest --dry-run -`,
		Args: cobra.MinimumNArgs(1),
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&o.dry, "dry-run", false, "tell what would become of each, and store nothing")
	c.Flags().BoolVar(&o.asJSON, "json", false, "one JSON object a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, closing, err := ingestTarget(c.Context(), t, &o, s)
		if err != nil {
			return err
		}
		return errors.Join(ingest(c.Context(), a, mostOctets(t), args, &o, s), closing())
	}
	return c
}

// ingestTarget is whom to give reports to: the daemon or the store or, for a dry run
// where there never was one, this process.
func ingestTarget(ctx context.Context, t *target, o *ingestOptions, s present.Streams) (api.Asker, func() error, error) {
	c, config, err := findDaemon(ctx, t, s)
	if err != nil {
		return nil, nil, err
	}
	if c == nil && o.dry {
		if _, err := os.Stat(config.StateDir); errors.Is(err, fs.ErrNotExist) {
			return daemon.IntakeTrial(config), func() error { return nil }, nil
		}
	}
	if c == nil {
		if c, err = openStore(ctx, config); err != nil {
			return nil, nil, err
		}
	}
	if c.offline != nil {
		c.offline.UseIntake()
	}
	return c, c.Close, nil
}

// mostOctets is the limit on a mail, as far as this process knows it.
func mostOctets(t *target) int64 {
	const usual = 25 << 20
	config, _, err := daemon.FindSource(t.config).Read()
	if err != nil {
		return usual
	}
	return config.Analysis.Limits.MailBytes
}

// Bounds of one request.
const (
	ingestUnits  = 100
	ingestOctets = 1 << 20
)

// ingestBatch is what one request holds. A file may go on in the next.
type ingestBatch struct {
	units []api.IngestUnit
	files []*ingestFile // of each unit
	ended []*ingestFile // those that have no more units
	err   error         // what ends the reading
}

// ingestFile is a file and what became of it.
type ingestFile struct {
	name     string
	outcomes []api.IngestOutcome
}

// ingest gives all files to a, while the next are read.
func ingest(ctx context.Context, a api.Asker, most int64, paths []string, o *ingestOptions, s present.Streams) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &ingestReader{ctx: reading, most: most, stdin: s.In, batches: make(chan *ingestBatch, 1)}
	total, err := countFiles(paths)
	if err != nil {
		return usageError(err)
	}
	// Mail goes first, also where this reads and the daemon judges.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) // without it, it works too
	go r.read(paths)
	sum := &ingestSum{s: s, asJSON: o.asJSON, dry: o.dry, bar: present.NewProgress(s.Below().Err, "files", time.Now()), total: total}
	for b := range r.batches {
		if err == nil {
			err = sum.take(ctx, a, b)
		}
		if err != nil {
			cancel() // the reader ends, and its batches are passed over
		}
	}
	return sum.end(err)
}

// countFiles counts what is to be read, and finds paths that are not there.
func countFiles(paths []string) (n int64, err error) {
	for _, path := range paths {
		if path == "-" {
			n++
			continue
		}
		err := intake.Files(path, func(string) error {
			n++
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// ingestReader reads files into batches.
type ingestReader struct {
	ctx     context.Context
	most    int64
	stdin   io.Reader
	batches chan *ingestBatch
	batch   *ingestBatch
	octets  int
}

func (r *ingestReader) read(paths []string) {
	defer close(r.batches)
	r.batch = &ingestBatch{}
	for _, path := range paths {
		var err error
		if path == "-" {
			err = r.file(path, r.stdin)
		} else {
			err = intake.Files(path, r.path)
		}
		if err != nil {
			r.batch.err = err
			break
		}
	}
	_ = r.flush()
}

// path reads one file. What cannot be opened is told like what cannot be read.
func (r *ingestReader) path(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return r.bad(&ingestFile{name: path}, err)
	}
	defer in.Close() //nolint:errcheck // opened for reading only
	return r.file(path, in)
}

func (r *ingestReader) bad(f *ingestFile, err error) error {
	f.outcomes = append(f.outcomes, api.IngestOutcome{Accepted: api.AcceptedNo, Reason: err.Error(), Notes: []string{}})
	r.batch.ended = append(r.batch.ended, f)
	return r.ctx.Err()
}

func (r *ingestReader) file(path string, in io.Reader) error {
	f := &ingestFile{name: path}
	err := intake.Split(path, in, r.most, func(u intake.Unit) error {
		r.batch.units = append(r.batch.units, api.IngestUnit{Name: u.Name(), Mail: u.Mail, Bytes: u.Bytes, TooLarge: u.TooLarge, Body: u.Body})
		r.batch.files = append(r.batch.files, f)
		if r.octets += len(u.Body); r.octets >= ingestOctets || len(r.batch.units) >= ingestUnits {
			return r.flush()
		}
		return nil
	})
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if err != nil {
		return r.bad(f, err)
	}
	r.batch.ended = append(r.batch.ended, f)
	return nil
}

func (r *ingestReader) flush() error {
	select {
	case r.batches <- r.batch:
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.batch, r.octets = &ingestBatch{}, 0
	return nil
}

// ingestSum tells what became of files, and counts.
type ingestSum struct {
	s      present.Streams
	asJSON bool
	dry    bool
	seen   map[string]string // of a dry run: records by report
	bar    *present.Progress
	total  int64
	files  int64
	counts map[api.Accepted]int64
	all    api.IngestOutcome
	no     bool
}

// take gives a batch to a, and tells of the files that it ends.
func (m *ingestSum) take(ctx context.Context, a api.Asker, b *ingestBatch) error {
	if len(b.units) > 0 {
		got, err := api.AnalysisIngest().Ask(ctx, a, api.IngestRequest{Units: b.units, Dry: m.dry})
		if err != nil {
			return err
		}
		for i := range got.Units {
			m.compare(&got.Units[i])
			b.files[i].outcomes = append(b.files[i].outcomes, got.Units[i].Outcomes...)
		}
	}
	for _, f := range b.ended {
		if err := m.tell(f); err != nil {
			return err
		}
	}
	if m.bar != nil {
		m.bar.Show(m.files, m.total, time.Now())
	}
	return b.err
}

// compare finds reports of a dry run that were in an earlier request of it.
func (m *ingestSum) compare(u *api.Ingested) {
	if m.seen == nil {
		m.seen = map[string]string{}
	}
	for i := range u.Keys {
		o := &u.Outcomes[i]
		if o.Accepted != api.AcceptedYes && o.Accepted != api.AcceptedEmpty {
			continue
		}
		report, records := string(u.Keys[i].Report), string(u.Keys[i].Records)
		switch before, known := m.seen[report]; {
		case !known:
			m.seen[report] = records
		case before == records:
			*o = api.IngestOutcome{Accepted: api.AcceptedDuplicate, Reason: "the same report came before in this run", Notes: o.Notes}
		default:
			*o = api.IngestOutcome{Accepted: api.AcceptedDiffers, Reason: "the same report with other records came before in this run", Notes: o.Notes}
		}
	}
}

// ingestLine is what --json prints.
type ingestLine struct {
	File string `json:"file"`
	api.IngestOutcome
}

// tell tells of one file.
func (m *ingestSum) tell(f *ingestFile) error {
	m.files++
	whole := ingestLine{File: f.name, IngestOutcome: sumOutcomes(f.outcomes)}
	m.add(&whole.IngestOutcome, f.outcomes)
	lines := []ingestLine{whole}
	if len(f.outcomes) > 1 {
		for i := range f.outcomes {
			lines = append(lines, ingestLine{File: fmt.Sprintf("%s#%d", f.name, i+1), IngestOutcome: f.outcomes[i]})
		}
	}
	for i := range lines {
		switch {
		case m.asJSON:
			if err := m.s.JSON().Encode(&lines[i]); err != nil {
				return err
			}
		case len(lines) > 1 && i == 0:
		case lines[i].Accepted == api.AcceptedNo, lines[i].Accepted == api.AcceptedDiffers, lines[i].Accepted == api.AcceptedAside:
			if m.bar != nil {
				m.bar.Clear()
			}
			m.s.Line("%s: %s: %s", lines[i].File, lines[i].Accepted, lines[i].Reason)
		}
	}
	return nil
}

func (m *ingestSum) add(whole *api.IngestOutcome, each []api.IngestOutcome) {
	if m.counts == nil {
		m.counts = map[api.Accepted]int64{}
	}
	for i := range each {
		m.counts[each[i].Accepted]++
		m.no = m.no || each[i].Accepted == api.AcceptedNo || each[i].Accepted == api.AcceptedDiffers
	}
	m.all.Reports += whole.Reports
	m.all.Records += whole.Records
	m.all.Messages += whole.Messages
	m.all.Compliant += whole.Compliant
}

// sumOutcomes is what became of a file: "yes" where at least one report was stored,
// else the gravest.
func sumOutcomes(each []api.IngestOutcome) api.IngestOutcome {
	order := []api.Accepted{api.AcceptedYes, api.AcceptedNo, api.AcceptedDiffers, api.AcceptedEmpty, api.AcceptedDuplicate, api.AcceptedAside}
	if len(each) == 1 {
		return each[0]
	}
	out := api.IngestOutcome{Accepted: api.AcceptedAside, Reason: "it holds nothing", Notes: []string{}}
	found := map[api.Accepted]string{}
	for i := range each {
		out.Reports += each[i].Reports
		out.Records += each[i].Records
		out.Messages += each[i].Messages
		out.Compliant += each[i].Compliant
		out.Quarantined += each[i].Quarantined
		if _, known := found[each[i].Accepted]; !known {
			found[each[i].Accepted] = each[i].Reason
		}
	}
	for _, one := range order {
		if reason, is := found[one]; is {
			out.Accepted, out.Reason = one, reason
			break
		}
	}
	return out
}

// end prints the sums.
func (m *ingestSum) end(err error) error {
	if m.bar != nil {
		m.bar.Clear()
	}
	if !m.asJSON && m.files > 0 {
		verb := "stored"
		if m.dry {
			verb = "read, nothing stored"
		}
		m.s.Line("%s: %s with %s on %s %s.", text.Count(m.files, "file"), text.Count(m.all.Reports, "report"), text.Count(m.all.Records, "record"),
			text.Count(m.all.Messages, "message"), verb)
		for _, one := range []struct {
			what  api.Accepted
			words string
		}{
			{api.AcceptedEmpty, "on a period without mail"}, {api.AcceptedDuplicate, "stored before"}, {api.AcceptedAside, "set aside"},
			{api.AcceptedDiffers, "that differ from what is stored"}, {api.AcceptedNo, "that cannot be read"},
		} {
			if n := m.counts[one.what]; n > 0 {
				m.s.Line("  %s %s", text.Number(n), one.words)
			}
		}
	}
	switch {
	case err != nil:
		return err
	case m.no:
		return answerNo()
	}
	return nil
}
