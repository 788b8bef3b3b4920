package simulate

import (
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/text"
)

// Unknown is what a replay cannot know. A number of 0 means that it does not matter here.
type Unknown struct {
	// ARC is how many messages would fail, and might be let through by a trusted sealer:
	// ARC was not validated. ARCChanged of them are among the changes.
	ARC        int64 `json:"arc"`
	ARCChanged int64 `json:"arc_changed"`
	// Deferred would be deferred by DNS trouble, at most for defer_limit.
	Deferred int64 `json:"deferred"`
	// Split is how many messages would be split at RCPT.
	Split int64 `json:"split"`
	// Discovery is how many verdicts rest on a record found in another way than is
	// configured now (`discovery`).
	Discovery int64 `json:"discovery"`
	// DeferLimit reports that the two policies differ in it.
	DeferLimit bool `json:"defer_limit,omitempty"`
	// NewDomains are ours by the new policy but not today, so that their mail is not
	// recorded; MoreDomains of them are not listed.
	NewDomains  []string `json:"new_domains,omitempty"`
	MoreDomains int      `json:"more_domains,omitempty"`
	// AllDomains reports that every recipient is ours by the new policy, but not today.
	AllDomains bool `json:"all_domains,omitempty"`
}

// maxNewDomains bounds the new domains listed.
const maxNewDomains = 20

func (r *Replay) unknowns() Unknown {
	u := Unknown{
		ARC: r.unknown.arc, ARCChanged: r.unknown.arcChanged, Deferred: r.unknown.deferred, Split: r.unknown.split,
		Discovery: r.unknown.discovery,
	}
	old, next := r.opts.Current, r.opts.New
	if old == nil {
		return u
	}
	u.DeferLimit = old.DeferLimit != next.DeferLimit
	u.AllDomains = next.Managed.Empty() && !old.Managed.Empty()
	var names []string
	add := func(name string, domain dns.Name) {
		if _, ours := old.RulesFor(domain); !ours && (r.opts.Domain.IsZero() || domain == r.opts.Domain) {
			names = append(names, name)
		}
	}
	for domain := range next.Domains {
		add(domain.String(), domain)
	}
	for _, pattern := range next.Managed.Patterns() {
		// For "*.example.org", any name below shows whether the pattern is new.
		if domain, err := dns.Parse(strings.Replace(pattern, "*", "any", 1)); err == nil {
			add(pattern, domain)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	u.MoreDomains = max(0, len(names)-maxNewDomains)
	u.NewDomains = names[:len(names)-u.MoreDomains]
	return u
}

// notes describes what cannot be known.
func (r *Replay) notes(u *Unknown) []string {
	name := r.opts.Name
	notes := []string{}
	note := func(yes bool, format string, args ...any) {
		if yes {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	note(u.ARC > 0, "%s would fail where %s looks at ARC, but nobody looked at ARC when they came (%s of them are among the changes); where a trusted sealer vouches, the message would be let through",
		text.Count(u.ARC, "message"), name, text.Number(u.ARCChanged))
	note(len(u.NewDomains) > 0, "nothing is remembered of mail for domains that are not ours yet: %s%s", strings.Join(u.NewDomains, ", "), more(u.MoreDomains))
	note(u.AllDomains, "%s takes every recipient for ours; nothing is remembered of mail for those that are not today", name)
	note(u.Deferred > 0, "%s would be deferred for DNS trouble; what became of the retries, which defer_limit ends, is not known", text.Count(u.Deferred, "message"))
	note(u.DeferLimit, "%s has another defer_limit, which a replay cannot try", name)
	note(u.Split > 0, "%s would be split at RCPT, because the recipients' domains have different settings; each part is counted with its own domain", text.Count(u.Split, "message"))
	note(u.Discovery > 0, "the policy record of %s was found by another setting of \"discovery\" than today's", text.Count(u.Discovery, "message"))
	return notes
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + text.Number(int64(n)) + " more"
}
