package report

import "slices"

// element is an element of an aggregate report, with either children or text.
type element struct {
	name     string
	children []*element // few; nil if it has text
	section  bool       // an unknown element in it may contain others of its children
}

// The elements of RFC 9990 appendix A, RFC 7489 appendix C and the drafts.
var feedbackElement = &element{name: "feedback", section: true, children: under(
	leaves("version"),
	parent("report_metadata", leaves("org_name", "email", "extra_contact_info", "report_id", "error", "generator"),
		parent("date_range", leaves("begin", "end"))),
	parent("policy_published", leaves("domain", "discovery_method", "p", "sp", "np", "adkim", "aspf", "fo", "testing", "pct")),
	parent("record",
		parent("row", leaves("source_ip", "count"),
			parent("policy_evaluated", leaves("disposition", "dkim", "spf"),
				parent("reason", leaves("type", "comment")))),
		parent("identifiers", leaves("header_from", "envelope_from", "envelope_to")),
		parent("identities", leaves("header_from", "envelope_from", "envelope_to")),
		parent("auth_results",
			parent("dkim", leaves("domain", "selector", "result", "human_result")),
			parent("spf", leaves("domain", "scope", "result", "human_result"))),
	),
)}

func leaves(names ...string) []*element {
	var out []*element
	for _, name := range names {
		out = append(out, &element{name: name})
	}
	return out
}

func parent(name string, children ...[]*element) []*element {
	return []*element{{name: name, children: under(children...)}}
}

func under(lists ...[]*element) []*element { return slices.Concat(lists...) }

// child returns the child element of that name; nil for none.
func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}
