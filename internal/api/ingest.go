package api

import (
	"context"

	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// Intake takes in received reports and reads stored ones again.
type Intake interface {
	// Ingest takes in what an admin supplies, and returns the outcomes of each unit: one for each
	// report in it, or one for a unit without any. dry stores nothing, and returns what would happen.
	Ingest(ctx context.Context, units []IngestUnit, dry bool) ([]Ingested, error)
	// Reprocess reads again what an older reader has read, and reports that were set aside but now
	// concern a managed domain: the next few after a number.
	Reprocess(ctx context.Context, after int64) (Reprocessed, error)
	// Feeds returns the states of this host's feeds, by name.
	Feeds() []analysis.FeedState
}

// IngestRequest has the mails and files to take in.
type IngestRequest struct {
	Units []IngestUnit `json:"units"`
	Dry   bool         `json:"dry,omitempty"` // store nothing, and say what would become of it
}

// Audited omits bodies from the audit log.
func (r IngestRequest) Audited() any {
	var names []string
	for i := range r.Units {
		names = append(names, r.Units[i].Name)
	}
	return map[string]any{"units": names, "dry": r.Dry}
}

// IngestUnit is a mail or file, or one of a mailbox or archive.
type IngestUnit struct {
	Name     string `json:"name"`
	Mail     bool   `json:"mail,omitempty"` // it comes from a mailbox
	Bytes    int64  `json:"bytes"`
	TooLarge bool   `json:"too_large,omitempty"` // Body is its beginning
	Body     []byte `json:"body"`
}

// Accepted is the outcome for something to take in.
type Accepted string

// Values of Accepted.
const (
	AcceptedYes       Accepted = "yes"       // at least one report was stored
	AcceptedNo        Accepted = "no"        // it cannot be read
	AcceptedEmpty     Accepted = "empty"     // a report on a period without mail
	AcceptedDuplicate Accepted = "duplicate" // the same was stored before
	AcceptedDiffers   Accepted = "differs"   // the same with other records was stored before
	AcceptedAside     Accepted = "aside"     // no aggregate report, or not about a managed domain
)

// IngestOutcome is the outcome for a unit, or for one report in it. Counts are of what was
// stored.
type IngestOutcome struct {
	Accepted    Accepted `json:"accepted"`
	Reports     int64    `json:"reports"`
	Records     int64    `json:"records"`
	Messages    int64    `json:"messages"`
	Compliant   int64    `json:"compliant"`
	Quarantined int64    `json:"quarantined_records"`
	Reason      string   `json:"reason"`
	Notes       []string `json:"notes"`
}

// Ingested is the outcomes for a unit: one for each report in it.
type Ingested struct {
	Outcomes []IngestOutcome `json:"outcomes"`
	Keys     []IngestKey     `json:"keys,omitempty"` // of a dry run: of each report in it
}

// IngestKey identifies a report. Equal keys mean the same report; if the records differ, it
// differs.
type IngestKey struct {
	Report  []byte `json:"report"`
	Records []byte `json:"records"`
}

// IngestAnswer has the outcomes of each unit, in order.
type IngestAnswer struct {
	Units []Ingested `json:"units"`
}

// maxIngest bounds the units of one request.
const maxIngest = 200

// AnalysisIngest takes in mails and files that an admin vouches for.
func AnalysisIngest() Op[IngestRequest, IngestAnswer] {
	return Op[IngestRequest, IngestAnswer]{
		Name: "analysis.ingest", Summary: "Take in reports from mails and files.",
		Role: RoleAdmin, Scope: ScopeHost, Changes: true, Large: true, Example: IngestRequest{Units: []IngestUnit{{Name: "a.xml", Bytes: 1, Body: []byte("x")}}, Dry: true},
		Do: func(ctx context.Context, s *Service, _ Viewer, in IngestRequest) (IngestAnswer, error) {
			switch {
			case s.Intake == nil:
				return IngestAnswer{}, missing("intake of reports; set analysis.enabled")
			case len(in.Units) > maxIngest:
				return IngestAnswer{}, errkind.Errorf(errkind.BadRequest, "at most %d mails or files at a time", maxIngest)
			}
			out, err := s.Intake.Ingest(ctx, in.Units, in.Dry)
			return IngestAnswer{Units: out}, err
		},
	}
}

// ReprocessRequest asks to read the next reports again.
type ReprocessRequest struct {
	After int64 `json:"after,omitempty"` // number of the last one so far
}

// Reprocessed is the result.
type Reprocessed struct {
	Read    int64 `json:"read"`            // reports read again
	Changed int64 `json:"changed"`         // of them read differently now
	Failed  int64 `json:"failed"`          // that cannot be read any more; they stay as they were
	After   int64 `json:"after,omitempty"` // number of the last one; 0 where there are no more
}

// AnalysisReprocess reads reports again that an older reader has read.
func AnalysisReprocess() Op[ReprocessRequest, Reprocessed] {
	return Op[ReprocessRequest, Reprocessed]{
		Name: "analysis.reprocess", Summary: "Read reports again that an older version has read.",
		Role: RoleAdmin, Scope: ScopeHost, Changes: true,
		Do: func(ctx context.Context, s *Service, _ Viewer, in ReprocessRequest) (Reprocessed, error) {
			if s.Intake == nil {
				return Reprocessed{}, missing("intake of reports; set analysis.enabled")
			}
			return s.Intake.Reprocess(ctx, in.After)
		},
	}
}

// FeedsRequest asks for the feeds.
type FeedsRequest struct{}

// Feeds are the inputs of received reports, on every host.
type Feeds struct {
	Feeds []analysis.FeedState `json:"feeds"`
}

// AnalysisFeeds returns the states of the feeds: current ones for this host, those in the store
// for others.
func AnalysisFeeds() Op[FeedsRequest, Feeds] {
	return Op[FeedsRequest, Feeds]{
		Name: "analysis.feeds", Summary: "The feeds of received reports: last run, last error, backlog.",
		Role: RoleViewer, Scope: ScopeHost,
		Do: func(ctx context.Context, s *Service, _ Viewer, _ FeedsRequest) (Feeds, error) {
			out := Feeds{Feeds: []analysis.FeedState{}}
			if s.Intake != nil {
				out.Feeds = append(out.Feeds, s.Intake.Feeds()...)
			}
			if s.Received == nil {
				return out, nil
			}
			here := map[string]bool{}
			for _, f := range out.Feeds {
				here[f.Host+" "+f.Name] = true
			}
			kept, err := s.Received.Feeds(ctx)
			for _, f := range kept {
				if !here[f.Host+" "+f.Name] {
					out.Feeds = append(out.Feeds, f)
				}
			}
			return out, err
		},
	}
}
