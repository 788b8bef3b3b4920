package inbound

import (
	"log/slog"

	"dmarcd/internal/filter"
	"dmarcd/internal/text"
)

// warn logs what an admin should look at.
func (s *session) warn(o *filter.Result) {
	queueID := text.Cut(o.Envelope.QueueID, maxLogged)
	for _, w := range o.Warnings {
		switch w.Kind {
		case filter.WarnRelay:
			s.config.Log.Warn("the true client behind a relay cannot be read: SPF is none for such mail; see \"dmarcd check --relay\" and client_ip_from",
				slog.String("relay", w.Client.String()), slog.String("network", w.Network.String()), slog.String("field", text.Line(w.Field, maxLogged)),
				slog.String("queue_id", queueID))
		case filter.WarnPrivate:
			s.config.Log.Warn("a client in a private network is in neither trusted_networks nor client_ip_from; if it is a proxy, NAT or relay of yours, SPF checks the wrong address",
				slog.String("client_ip", w.Client.String()), slog.String("queue_id", queueID))
		}
	}
}
