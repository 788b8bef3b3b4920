package api

import (
	"context"
	"strconv"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/explain"
	"dmarcd/internal/memory"
)

// HeldRequest selects mail in the hold queue of this host's MTA.
type HeldRequest struct {
	IDs   []string  `json:"ids,omitempty"`   // queue ids; all of them where there is none
	Until time.Time `json:"until,omitzero"`  // held before then
	After string    `json:"after,omitempty"` // HeldPage.After of the page before
	Limit int       `json:"limit,omitempty"` // 0 for 100, at most 1000
}

// HeldPage is a page of held mail, newest first.
type HeldPage struct {
	Messages []HeldMessage `json:"messages"`
	After    string        `json:"after,omitempty"`
	Unknown  []string      `json:"unknown,omitempty"` // ids that are of no held mail
}

// HeldMessage is held mail.
type HeldMessage struct {
	Key string `json:"key"` // for HeldDone
	Message
	Hold     string         `json:"hold"`     // what the MTA's queue shows
	Commands []explain.Held `json:"commands"` // by MTA
}

// HeldList lists the held mail of this host, as far as is known.
func HeldList() Op[HeldRequest, HeldPage] {
	return Op[HeldRequest, HeldPage]{
		Name: "held.list", Summary: "The mail that waits in the hold queue of this host, newest first.",
		Role: RoleViewer, Scope: ScopeDomains, Do: listHeld,
	}
}

func listHeld(ctx context.Context, s *Service, v Viewer, in HeldRequest) (out HeldPage, err error) {
	if s.Memory == nil {
		return out, missing("memory of mail")
	}
	q := memory.Query{Held: true, Host: s.Host, Until: in.Until, Limit: pageLimit(in.Limit), Within: searchTime}
	if v.Limited() {
		q.Recipients = v.Domains
	}
	if q.Before, err = afterKey(in.After); err != nil {
		return out, err
	}
	out.Messages = []HeldMessage{}
	if len(in.IDs) == 0 {
		return out, out.take(ctx, s, v, q)
	}
	if len(in.IDs) > maxPage {
		return out, errkind.Errorf(errkind.BadRequest, "ids: at most %d at a time", maxPage)
	}
	for _, id := range in.IDs {
		before := len(out.Messages)
		q.QueueID = id
		if err := out.take(ctx, s, v, q); err != nil {
			return out, err
		}
		if len(out.Messages) == before {
			out.Unknown = append(out.Unknown, id)
		}
	}
	return out, nil
}

// take adds the results of one search.
func (p *HeldPage) take(ctx context.Context, s *Service, v Viewer, q memory.Query) error {
	page, err := s.Memory.Search(ctx, q)
	if err != nil {
		return err
	}
	for i := range page.Found {
		f := &page.Found[i]
		if r := v.record(f.Record); r != nil && f.Held {
			e := explain.New(r, explain.Options{Now: s.Now()})
			p.Messages = append(p.Messages, HeldMessage{Key: strconv.FormatInt(f.Key, 10), Message: newMessage(r, true), Hold: r.Hold, Commands: e.Commands})
		}
	}
	p.After = pageEnd(page.Next)
	return nil
}

// HeldDoneRequest names mail that has left the hold queue.
type HeldDoneRequest struct {
	Keys []string `json:"keys"`
}

// HeldDone records that mail has left the hold queue: the MTA's own commands released or deleted
// it. It returns how many had waited.
func HeldDone() Op[HeldDoneRequest, Count] {
	return Op[HeldDoneRequest, Count]{
		Name: "held.done", Summary: "Note that mail has left the hold queue.",
		Role: RoleAdmin, Scope: ScopeHost, Changes: true, Example: HeldDoneRequest{Keys: []string{"1"}},
		Do: func(ctx context.Context, s *Service, _ Viewer, in HeldDoneRequest) (out Count, err error) {
			if s.Held == nil {
				return out, missing("memory of held mail")
			}
			for _, text := range in.Keys {
				key, err := afterKey(text)
				if err != nil {
					return out, errkind.Errorf(errkind.BadRequest, "keys: %q is no key", text)
				}
				waited, err := s.Held.Unhold(ctx, key)
				if err != nil {
					return out, err
				}
				if waited {
					out.Count++
				}
			}
			return out, nil
		},
	}
}
