package daemon

import (
	"io"
	"log/slog"

	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// NewLog makes the daemon's log, whose lines are safe to show. The level can be changed
// by a reload.
func NewLog(w io.Writer, l settings.Log, level *slog.LevelVar) *slog.Logger {
	setLevel(level, l.Level)
	options := &slog.HandlerOptions{Level: level}
	if l.Format == settings.FormatText {
		return slog.New(slog.NewTextHandler(text.NewWriter(w), options))
	}
	return slog.New(slog.NewJSONHandler(text.NewJSONWriter(w), options))
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
