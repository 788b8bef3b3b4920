package api

import (
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

// Role is the permission of a viewer.
type Role string

// Roles.
const (
	RoleViewer Role = "viewer" // may look
	RoleAdmin  Role = "admin"  // may look and change
)

// Viewer is the caller of an operation. The zero Viewer has no permissions.
type Viewer struct {
	User    string // a user of the console; "" for a command on this host
	Session string // the session or token that they ask by; "" for a command
	ByToken bool   // it is a token: it may not change the account that it is of
	Address string // that they ask from; "" for a command
	Role    Role
	Domains []dns.Name // the domains that they may see; empty: all
}

// Operator is the viewer of commands on this host: the admin socket and the store admit nobody
// else.
func Operator() Viewer { return Viewer{Role: RoleAdmin} }

// Limited reports whether the viewer may see some domains only.
func (v Viewer) Limited() bool { return len(v.Domains) > 0 }

// Sees reports whether the viewer may see data about exactly that domain. A name below it may
// belong to somebody else.
func (v Viewer) Sees(domain dns.Name) bool {
	return !v.Limited() || slices.Contains(v.Domains, domain)
}

// may returns an error if the viewer must not use the operation.
func (v Viewer) may(i Info) error {
	switch {
	case v.Role != RoleAdmin && (v.Role != RoleViewer || i.Role != RoleViewer):
		return errkind.Errorf(errkind.NotAllowed, "%s is for the role %s", i.Name, i.Role)
	case v.ByToken && i.Own && i.Changes:
		return errkind.Errorf(errkind.NotAllowed, "%s is for people who log in, not for API tokens", i.Name)
	case v.Limited() && i.Scope != ScopeDomains && i.Scope != ScopeNone:
		return errkind.Errorf(errkind.NotAllowed, "%s tells of all domains, and you may see some only", i.Name)
	}
	return nil
}

// record returns the record as the viewer may see it: with only the outcomes of their domains, the
// first of which is shown as the decision. It is nil if none is theirs.
func (v Viewer) record(r *memory.Record) *memory.Record {
	if !v.Limited() {
		return r
	}
	out := *r
	out.Outcomes, out.Chosen, out.Mixed = nil, -1, ""
	for i, o := range r.Outcomes {
		o.Domains = v.only(o.Domains)
		if len(o.Domains) == 0 {
			continue
		}
		if i == r.Chosen {
			out.Chosen = len(out.Outcomes)
		}
		out.Outcomes = append(out.Outcomes, o)
	}
	if len(out.Outcomes) == 0 {
		return nil
	}
	if len(out.Outcomes) > 1 {
		out.Mixed = r.Mixed
	}
	if out.Chosen < 0 { // what another domain wanted was done; what it names is theirs
		out.Decision = out.Outcomes[0].Decision
		out.Hold, out.Redirect, out.Tag = "", "", ""
	}
	out.Added = slices.DeleteFunc(slices.Clone(r.Added), func(f string) bool { return strings.HasPrefix(f, "X-TM-Original-Recipients:") })
	out.Recipients = slices.DeleteFunc(slices.Clone(r.Recipients), func(a string) bool { return !v.Sees(domainOf(a)) })
	return &out
}

// about removes the facts about a source that come from others' reports and records: the
// identification used those of all who receive mail from there.
func (v Viewer) about(row *analysis.SourceRow) {
	if !v.Limited() {
		return
	}
	name, err := dns.Parse(row.Service)
	theirs := err == nil && v.Sees(name)
	if row.Kind == source.KindOwn && !theirs {
		row.Kind = ""
	}
	row.Origin, row.Why = "", nil
	row.Evidence = slices.DeleteFunc(slices.Clone(row.Evidence), func(e source.Evidence) bool {
		switch e.Kind {
		case source.EvidenceRule, source.EvidenceHost, source.EvidenceClaimed, source.EvidenceNetwork:
			return false // of the address itself
		case source.EvidenceSPF:
			return !theirs
		}
		return true
	})
}

// only keeps the domains that a limited viewer sees.
func (v Viewer) only(domains []dns.Name) (out []dns.Name) {
	for _, d := range domains {
		if !d.IsZero() && v.Sees(d) {
			out = append(out, d)
		}
	}
	return out
}
