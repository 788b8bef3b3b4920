package daemon

import (
	"errors"
	"io"
	"log/slog"

	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// NewLog returns the daemon's log, whose lines are safe to show. A reload can change the level.
func NewLog(w io.Writer, l settings.Log, level *slog.LevelVar) *slog.Logger {
	setLevel(level, l.Level)
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: plainErrors}
	if l.Format == settings.FormatText {
		return slog.New(slog.NewTextHandler(text.NewWriter(w), options))
	}
	return slog.New(slog.NewJSONHandler(text.NewJSONWriter(w), options))
}

// plainErrors removes the names of packages from errors, because people read them here.
func plainErrors(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		return slog.String(a.Key, text.Error(err))
	}
	if a.Key == "error" && a.Value.Kind() == slog.KindString {
		a.Value = slog.StringValue(text.Error(errors.New(a.Value.String())))
	}
	return a
}

func setLevel(level *slog.LevelVar, l settings.LogLevel) {
	levels := map[settings.LogLevel]slog.Level{
		settings.LevelDebug: slog.LevelDebug,
		settings.LevelInfo:  slog.LevelInfo,
		settings.LevelWarn:  slog.LevelWarn,
		settings.LevelError: slog.LevelError,
	}
	level.Set(levels[l])
}
