package present

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/text"
)

// Ingest passes all files to a, and reads ahead meanwhile.
func Ingest(ctx context.Context, a api.Asker, most int64, paths []string, asJSON, dry bool, s Streams) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	total, err := intake.CountFiles(paths)
	if err != nil {
		return errkind.Wrap(errkind.WrongUse, err)
	}
	// Mail has priority, even if this process reads and the daemon evaluates.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) // without it, it works too
	sum := &ingestSum{s: s, asJSON: asJSON, dry: dry, bar: NewProgress(s.Below().Err, "files", time.Now()), total: total}
	for b := range intake.Upload(reading, most, s.In, paths) {
		if err == nil {
			err = sum.take(ctx, a, b)
		}
		if err != nil {
			cancel() // the reader ends, and its batches are passed over
		}
	}
	return sum.end(err)
}

// ingestSum reports the outcomes of files, and counts them.
type ingestSum struct {
	s      Streams
	asJSON bool
	dry    bool
	seen   map[string]string // of a dry run: records by report
	bar    *Progress
	total  int64
	files  int64
	counts map[api.Accepted]int64
	all    api.IngestOutcome
	no     bool
}

// take passes a batch to a, and reports the files that it ends.
func (m *ingestSum) take(ctx context.Context, a api.Asker, b *intake.UploadBatch) error {
	if len(b.Units) > 0 {
		got, err := api.AnalysisIngest().Ask(ctx, a, api.IngestRequest{Units: b.Units, Dry: m.dry})
		if err != nil {
			return err
		}
		for i := range got.Units {
			m.compare(&got.Units[i])
			b.Files[i].Outcomes = append(b.Files[i].Outcomes, got.Units[i].Outcomes...)
		}
	}
	for _, f := range b.Ended {
		if err := m.tell(f); err != nil {
			return err
		}
	}
	if m.bar != nil {
		m.bar.Show(m.files, m.total, time.Now())
	}
	return b.Err
}

// compare finds reports of a dry run that an earlier request of it contained.
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

// ingestLine is the output of --json.
type ingestLine struct {
	File string `json:"file"`
	api.IngestOutcome
}

// tell reports one file.
func (m *ingestSum) tell(f *intake.UploadedFile) error {
	m.files++
	whole := ingestLine{File: f.Name, IngestOutcome: sumOutcomes(f.Outcomes)}
	m.add(&whole.IngestOutcome, f.Outcomes)
	lines := []ingestLine{whole}
	if len(f.Outcomes) > 1 {
		for i := range f.Outcomes {
			lines = append(lines, ingestLine{File: fmt.Sprintf("%s#%d", f.Name, i+1), IngestOutcome: f.Outcomes[i]})
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

// sumOutcomes returns the outcome of a file: "yes" if at least one report was stored, otherwise the most
// serious one.
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
		return Silent(errkind.NotFound)
	}
	return nil
}
