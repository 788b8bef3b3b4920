package api

import (
	"context"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/explain"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// ExplainRequest names messages.
type ExplainRequest struct {
	ID  string `json:"id"`            // queue id or Message-ID
	All bool   `json:"all,omitempty"` // explain each message with that id, not the newest alone
	// Language is the language of the texts; "": English.
	Language explain.Language `json:"language,omitempty"`
}

// Explained explains the decisions on messages with one id.
type Explained struct {
	Messages []*explain.Explanation `json:"messages"`         // newest first; at least one
	Others   []OtherMessage         `json:"others,omitempty"` // with the same id, newest first, unless All was asked for
}

// OtherMessage is another message with the requested id.
type OtherMessage struct {
	At      time.Time `json:"at"`
	QueueID string    `json:"queue_id"`
	Action  string    `json:"action"`
	From    []string  `json:"from"`
}

// MessagesExplain explains everything that led to a decision.
func MessagesExplain() Op[ExplainRequest, Explained] {
	return Op[ExplainRequest, Explained]{
		Name: "messages.explain", Summary: "Everything that led to the decision on a message.",
		Role: RoleViewer, Scope: ScopeDomains, Example: ExplainRequest{ID: "4XyZ1w5Qk2z1", All: true},
		Do: explainMessages,
	}
}

func explainMessages(ctx context.Context, s *Service, v Viewer, in ExplainRequest) (Explained, error) {
	id := strings.TrimSpace(in.ID)
	if id == "" {
		return Explained{}, errkind.Errorf(errkind.BadRequest, "the id is empty; give a queue id or a Message-ID")
	}
	if in.Language != "" {
		if _, err := explain.ParseLanguage(string(in.Language)); err != nil {
			return Explained{}, errkind.Wrap(errkind.BadRequest, err)
		}
	}
	if s.Memory == nil {
		return Explained{}, missing("memory of mail")
	}
	found, err := s.Memory.Find(ctx, id, maxFound)
	if err != nil {
		return Explained{}, err
	}
	config := s.Settings()
	var out Explained
	for i := range found {
		r := v.record(&found[i])
		if r == nil {
			continue
		}
		e := explain.New(r, explain.Options{
			Language: in.Language, Now: s.Now(), Traces: config.Retention.Traces, Policy: s.policySource(ctx, r.Policy),
		})
		if in.All || len(out.Messages) == 0 {
			out.Messages = append(out.Messages, e)
		} else {
			out.Others = append(out.Others, OtherMessage{At: e.Message.At, QueueID: e.Message.QueueID, Action: e.Action, From: e.Message.From})
		}
	}
	if len(out.Messages) == 0 {
		return out, notRemembered(id, config)
	}
	return out, nil
}

// policySource returns the text of a past policy; nil if it is not stored, or currently
// unreadable.
func (s *Service) policySource(ctx context.Context, id policy.SourceID) policy.Source {
	if s.Policies == nil || id == (policy.SourceID{}) {
		return nil
	}
	source, err := s.Policies.PolicySource(ctx, id)
	if err != nil {
		return nil // the explanation does without it
	}
	return source
}

// notRemembered suggests what to try if nothing was found.
func notRemembered(id string, config *settings.Settings) error {
	return errkind.Errorf(errkind.NotFound, `no message with the queue id or Message-ID %q is remembered. It may be
  - older than retention.messages (%s), or removed earlier to save space (retention.max_bytes)
  - not checked: from a trusted network or a client that logged in, or for no recipient of ours
  - never judged: the MTA did not ask dmarcd, or refused the message before its end
  - lost because the disk was full or too slow (dmarcd_journal_lost_records_total counts such messages)
  - judged on another host, whose daemon has a store of its own: ask there
  - known by another name: case matters in a queue id`,
		id, text.Span(config.Retention.Messages))
}

// Period is a span of time: from Since until before Until. A zero time is no bound.
type Period struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Record is a remembered message in transit to another process, in the encoding of package
// memory.
type Record struct{ *memory.Record }

// UnmarshalBinary reads the output of AppendBinary.
func (r *Record) UnmarshalBinary(b []byte) (err error) {
	r.Record, err = memory.DecodeRecord(b)
	return err
}

// MessagesRecords yields the records of a period, oldest first and without their traces.
func MessagesRecords() Stream[Period, Record] {
	return Stream[Period, Record]{
		Name: "messages.records", Summary: "The records of a period, oldest first.",
		Role: RoleViewer, Scope: ScopeDomains,
		Do: func(ctx context.Context, s *Service, v Viewer, in Period, yield func(*Record) error) error {
			if s.Memory == nil {
				return missing("memory of mail")
			}
			var out Record
			return s.Memory.Records(ctx, in.Since, in.Until, func(r *memory.Record) error {
				if out.Record = v.record(r); out.Record == nil {
					return nil
				}
				return yield(&out)
			})
		},
	}
}

// Count is a number of things.
type Count struct {
	Count int64 `json:"count"`
}

// MessagesCount estimates quickly how many records MessagesRecords would yield.
func MessagesCount() Op[Period, Count] {
	return Op[Period, Count]{
		Name: "messages.count", Summary: "How many records a period has, as nearly as is known quickly.",
		Role: RoleViewer, Scope: ScopeHost,
		Do: func(ctx context.Context, s *Service, _ Viewer, in Period) (Count, error) {
			if s.Memory == nil {
				return Count{}, missing("memory of mail")
			}
			n, err := s.Memory.Count(ctx, in.Since, in.Until)
			return Count{Count: n}, err
		},
	}
}

// domainOf returns the domain of a stored address; zero if it has none.
func domainOf(address string) dns.Name {
	name, err := dns.Parse(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil {
		return dns.Name{}
	}
	return name
}
