package inbound

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"dmarcd/internal/filter"
	"dmarcd/internal/text"
)

// record passes a judged message to the Recorder. A failure there loses the record, but
// does not affect the answer.
func (s *session) record(o *filter.Result) {
	if s.config.Recorder == nil || o.Bypassed != "" {
		return
	}
	defer s.contain("record", o)
	s.config.Recorder.Record(o.Record(filter.Remember{Settings: s.settings, Host: s.config.Host, MTA: s.mta, Sampled: o.Sampled()}), o)
}

// contain ends a panic of work beside the message's own; to be deferred.
func (s *session) contain(what string, o *filter.Result) {
	if v := recover(); v != nil {
		s.config.Log.Error("panic beside the mail", slog.String("at", what), slog.String("queue_id", text.Cut(o.Envelope.QueueID, maxLogged)),
			slog.String("panic", text.Cut(fmt.Sprint(v), maxLogged)), slog.String("stack", string(debug.Stack())))
	}
}

// mtaName is the MTA's name and version, from the macro v: Postfix puts its name before
// the version, Sendmail gives the version alone.
func mtaName(version string) string {
	if version != "" && '0' <= version[0] && version[0] <= '9' {
		version = "Sendmail " + version
	}
	const most = 100
	return text.ASCII(version, most)
}
