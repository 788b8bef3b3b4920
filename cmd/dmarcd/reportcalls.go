package main

import (
	"dmarcd/internal/admin"
	"dmarcd/internal/report/outgoing"
)

// reportCalls are the operations on reports that commands may ask the daemon for.
func reportCalls(d outgoing.Desk) map[string]admin.Handler {
	return map[string]admin.Handler{
		outgoing.OpList:       admin.Handle(d.List),
		outgoing.OpShow:       admin.Handle(d.Show),
		outgoing.OpSend:       admin.Handle(d.Send),
		outgoing.OpRetry:      admin.Handle(d.Retry),
		outgoing.OpSuppress:   admin.Handle(d.Suppress),
		outgoing.OpUnsuppress: admin.Handle(d.Unsuppress),
		outgoing.OpSilent:     admin.Handle(d.Suppressions),
		outgoing.OpState:      admin.Handle(d.State),
	}
}
