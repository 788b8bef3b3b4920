package inbound

import (
	"dmarcd/internal/filter"
	"dmarcd/internal/milter"
	"dmarcd/internal/policy"
)

// response puts the outcome into the terms of the milter protocol.
func response(o *filter.Result) milter.Response {
	out := milter.Response{Reply: milter.Reply(o.Decision.Reply), Discard: o.Dropped || o.Decision.Action == policy.Discard}
	if !out.Reply.IsZero() || out.Discard {
		return out
	}
	out.Quarantine = o.QuarantineReason()
	if o.Redirect != "" {
		for _, a := range o.Replaced {
			out.Edits = append(out.Edits, milter.Edit{Kind: milter.DeleteRcpt, Name: "<" + a.String() + ">"})
		}
		out.Edits = append(out.Edits, milter.Edit{Kind: milter.AddRcpt, Name: "<" + o.Redirect + ">"})
	}
	for _, f := range o.Change {
		kind := milter.ChangeHeader
		if f.Index == 0 {
			kind = milter.AddHeader
		}
		out.Edits = append(out.Edits, milter.Edit{Kind: kind, Name: f.Name, Index: f.Index, Value: f.Value})
	}
	for _, ref := range o.Remove {
		out.Edits = append(out.Edits, milter.Edit{Kind: milter.DeleteHeader, Name: ref.Name, Index: ref.Index})
	}
	for _, f := range o.Insert {
		out.Edits = append(out.Edits, milter.Edit{Kind: milter.InsertHeader, Name: f.Name, Value: f.Value})
	}
	return out
}
