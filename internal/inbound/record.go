package inbound

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"dmarcd/internal/filter"
	"dmarcd/internal/text"
)

// record hands a judged message to who remembers it. What goes wrong there costs
// the record, not the message its answer.
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

// mtaName is how the MTA calls itself, by the macro v: Postfix tells its name
// before the version, Sendmail the version alone.
func mtaName(version string) string {
	if version != "" && '0' <= version[0] && version[0] <= '9' {
		version = "Sendmail " + version
	}
	const most = 100
	return text.ASCII(version, most)
}
