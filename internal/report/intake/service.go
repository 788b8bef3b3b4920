package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

// ReaderVersion is raised when reports are read better than before: Reprocess then reads those of
// earlier readers again.
const ReaderVersion = 1

// FeedFiles is the feed of what admins supply.
const FeedFiles = "files"

// Service takes in what admins supply, and reads reports again. Without Path, FeedList and Store,
// it performs trials as if nothing were stored.
type Service struct {
	Path     *Path
	FeedList *Feeds
	Store    analysis.Store
	Settings func() *settings.Settings
	Now      func() time.Time
	Log      *slog.Logger

	trying sync.Mutex // one trial at a time
}

var _ api.Intake = (*Service)(nil)

// Feeds implements api.Intake.
func (s *Service) Feeds() []analysis.FeedState { return s.FeedList.States() }

// Ingest implements api.Intake.
func (s *Service) Ingest(ctx context.Context, units []api.IngestUnit, dry bool) ([]api.Ingested, error) {
	path := s.Path
	if dry {
		s.trying.Lock()
		defer s.trying.Unlock()
		trial := NewPath(Config{Store: &trialStore{of: s.Store}, Settings: s.Settings, Busy: s.busy, Now: s.Now, Log: s.Log})
		running, cancel := context.WithCancel(ctx)
		var ended sync.WaitGroup
		ended.Go(func() { trial.Run(running) })
		defer ended.Wait()
		defer cancel()
		path = trial
	}
	outcomes, err := s.put(ctx, path, units)
	if err != nil {
		return nil, err
	}
	out := make([]api.Ingested, len(units))
	taken := int64(0)
	for i := range outcomes {
		out[i].Outcomes = outcomesOf(&outcomes[i])
		if dry {
			out[i].Keys = keysOf(outcomes[i].Item)
		}
		if !outcomes[i].Known {
			taken++
		}
	}
	if !dry {
		feed := s.FeedList.Add(FeedFiles, nil)
		feed.Took(taken)
		feed.Ran(nil)
	}
	return out, nil
}

// put puts units into a path and waits for the outcomes. It gives up if the store is unreachable:
// pending units are stored once it is back.
func (s *Service) put(ctx context.Context, path *Path, units []api.IngestUnit) ([]ItemResult, error) {
	ctx, cancel := path.whileTaken(ctx)
	defer cancel()
	outcomes := make([]ItemResult, len(units))
	var under sync.WaitGroup
	for i := range units {
		u := Unit{File: units[i].Name, Mail: units[i].Mail, Bytes: units[i].Bytes, TooLarge: units[i].TooLarge, Body: units[i].Body}
		under.Add(1)
		err := path.Put(ctx, Entry{
			Input: u.input(FeedFiles, s.Now()), Origin: Origin{Admin: true}, Once: true,
			Done: func(o ItemResult) {
				outcomes[i] = o
				under.Done()
			},
		})
		if err != nil {
			return nil, context.Cause(ctx)
		}
	}
	ended := make(chan struct{})
	go func() { // ends with the entries
		under.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for i := range outcomes {
		if outcomes[i].Err != nil {
			return nil, errkind.Errorf(errkind.Trouble, "reports cannot be stored: %w", outcomes[i].Err)
		}
	}
	return outcomes, nil
}

// whileTaken returns a context that ends when the store has accepted nothing for a while although
// it should have.
func (p *Path) whileTaken(ctx context.Context) (context.Context, context.CancelFunc) {
	const patience = 5 * time.Second
	taken, stop := context.WithCancelCause(ctx)
	go func() {
		look := time.NewTicker(patience / 10)
		defer look.Stop()
		for {
			select {
			case <-taken.Done():
				return
			case <-look.C:
				if p.stuck() > patience {
					stop(errkind.Errorf(errkind.Trouble, "the store takes nothing at present (%s); run this again when it does", p.Stats().Error))
				}
			}
		}
	}()
	return taken, func() { stop(context.Canceled) }
}

// outcomesOf returns the outcome for each report of a unit, or for the unit.
func outcomesOf(o *ItemResult) []api.IngestOutcome {
	notes := report.Lines(o.Item.Notes)
	if len(o.Item.Reports) == 0 {
		out := api.IngestOutcome{Accepted: api.AcceptedAside, Reason: o.Item.Why, Notes: notes}
		if o.Item.Kind == analysis.KindUnreadable || o.Item.Kind == analysis.KindTooLarge {
			out.Accepted = api.AcceptedNo
		}
		return []api.IngestOutcome{out}
	}
	settled := map[int]analysis.Classified{}
	for _, one := range o.Settled {
		settled[one.Report] = one
	}
	var out []api.IngestOutcome
	for i := range o.Item.Reports {
		r := &o.Item.Reports[i]
		one := outcomeOf(r, settled[i], o.Known)
		one.Notes = append(append([]string{}, notes...), report.Lines(r.Notes)...)
		out = append(out, one)
	}
	return out
}

func outcomeOf(r *analysis.Report, settled analysis.Classified, known bool) api.IngestOutcome {
	out := api.IngestOutcome{Accepted: api.AcceptedAside, Reason: r.Why}
	where := "is stored"
	if settled.Of == inThisRun {
		where = "came before in this run"
	}
	switch status := settled.Status; {
	case known && (status == analysis.StatusStored || status == analysis.StatusReplaced || status == analysis.StatusEmpty), status == analysis.StatusDuplicate:
		out.Accepted, out.Reason = api.AcceptedDuplicate, "the same report "+where
	case status == analysis.StatusStored, status == analysis.StatusReplaced:
		out.Accepted = api.AcceptedYes
		out.Reports, out.Records, out.Quarantined = 1, int64(len(r.Rows)), int64(len(r.Quarantine))
		out.Messages, out.Compliant = r.Messages()
	case status == analysis.StatusEmpty:
		out.Accepted = api.AcceptedEmpty
	case status == analysis.StatusDiffers:
		out.Accepted, out.Reason = api.AcceptedDiffers, "the same report with other records "+where
	case status == analysis.StatusRefused:
		out.Accepted = api.AcceptedNo
	case known && r.Status != analysis.StatusAside:
		out.Reason = "it was set aside before; \"dmarcd analysis reprocess\" takes it in"
	}
	return out
}

// busy reports whether mail is being evaluated.
func (s *Service) busy() bool { return s.Path != nil && s.Path.busy() }

func limitsOf(l *settings.AnalysisLimits) Limits {
	return Limits{MailBytes: l.MailBytes, ExpandedBytes: l.ExpandedBytes, Ratio: l.Ratio, Entries: l.Entries, Records: l.Records}
}
