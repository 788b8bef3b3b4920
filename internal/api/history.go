package api

import (
	"context"
	"strconv"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/policy"
)

// PolicyHistoryRequest asks for a page of past policies or, with an ID, for the text of one.
type PolicyHistoryRequest struct {
	ID    string `json:"id,omitempty"`    // PolicyUse.ID, or its beginning
	After string `json:"after,omitempty"` // PolicyHistory.After of the page before
	Limit int    `json:"limit,omitempty"` // 0 for 100, at most 1000
}

// PolicyPast is a page of past policies, newest first.
type PolicyPast struct {
	Uses  []PolicyUse  `json:"uses"`
	Files []PolicyFile `json:"files,omitempty"` // of the one that was asked for
	After string       `json:"after,omitempty"`
}

// PolicyUse is the start of a policy's use.
type PolicyUse struct {
	At   time.Time `json:"at"`
	Host string    `json:"host"`
	ID   string    `json:"id"`
}

// PolicyHistory lists the policies that were in force.
func PolicyHistory() Op[PolicyHistoryRequest, PolicyPast] {
	return Op[PolicyHistoryRequest, PolicyPast]{
		Name: "policy.history", Summary: "The policies that were in force, newest first, and the text of each.",
		Role: RoleViewer, Scope: ScopeHost, Do: policyHistory,
	}
}

func policyHistory(ctx context.Context, s *Service, _ Viewer, in PolicyHistoryRequest) (out PolicyPast, err error) {
	if s.Policies == nil {
		return out, missing("memory of policies")
	}
	before, err := afterKey(in.After)
	if err != nil {
		return out, err
	}
	out.Uses = []PolicyUse{}
	if in.ID != "" {
		return out, out.find(ctx, s, in.ID)
	}
	limit := pageLimit(in.Limit)
	uses, err := s.Policies.PolicyHistory(ctx, before, limit)
	if err != nil {
		return out, err
	}
	for _, u := range uses {
		out.Uses = append(out.Uses, PolicyUse{At: u.At, Host: u.Host, ID: u.Policy.String()})
	}
	if len(uses) == limit {
		out.After = pageEnd(uses[limit-1].Key)
	}
	return out, nil
}

// find returns the text of a policy by its id, or the beginning of it.
func (p *PolicyPast) find(ctx context.Context, s *Service, id string) error {
	var full policy.SourceID
	if err := full.UnmarshalText([]byte(id)); err != nil {
		if full, err = beginning(ctx, s, id); err != nil {
			return err
		}
	}
	source, err := s.Policies.PolicySource(ctx, full)
	switch {
	case err != nil:
		return err
	case source == nil:
		return errkind.Errorf(errkind.NotFound, "no policy with the id %s is kept", id)
	}
	for _, f := range source {
		p.Files = append(p.Files, PolicyFile{Path: f.Name, Text: f.Text})
	}
	return nil
}

// beginning returns the one policy whose id has that beginning.
func beginning(ctx context.Context, s *Service, id string) (found policy.SourceID, err error) {
	var before int64
	for {
		uses, err := s.Policies.PolicyHistory(ctx, before, maxPage)
		if err != nil {
			return found, err
		}
		for _, u := range uses {
			switch {
			case len(id) < 4 || len(u.Policy.String()) < len(id) || u.Policy.String()[:len(id)] != id || u.Policy == found:
			case found != (policy.SourceID{}):
				return found, errkind.Errorf(errkind.BadRequest, "several policies have ids that begin with %s; write more of it", id)
			default:
				found = u.Policy
			}
			before = u.Key
		}
		if len(uses) < maxPage {
			break
		}
	}
	if found == (policy.SourceID{}) {
		return found, errkind.Errorf(errkind.NotFound, "no policy with the id %s is kept", id)
	}
	return found, nil
}

// pageEnd returns the end of a page that is not the last; "" for 0.
func pageEnd(key int64) string {
	if key == 0 {
		return ""
	}
	return strconv.FormatInt(key, 10)
}
