package present

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/simulate"
	"dmarcd/internal/text"
)

// Progress shows the progress of long work on one line of a terminal.
type Progress struct {
	w     io.Writer
	what  string // what is counted, such as "messages replayed"
	began time.Time
	last  time.Time
}

// NewProgress returns nil if w is no terminal.
func NewProgress(w io.Writer, what string, now time.Time) *Progress {
	if !isTerminal(w) {
		return nil
	}
	return &Progress{w: w, what: what, began: now, last: now}
}

// Show writes the line, but not more often than it can be read. Total is approximate; 0 if unknown.
func (p *Progress) Show(done, total int64, now time.Time) {
	const often = 250 * time.Millisecond
	if now.Sub(p.last) < often {
		return
	}
	p.last = now
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.line(done, total, now))
}

// line states how much was done, how fast, and how long the rest takes.
func (p *Progress) line(done, total int64, now time.Time) string {
	rate := float64(done) / max(now.Sub(p.began).Seconds(), 0.001)
	shown := text.Number(done) + " " + p.what
	if total > 0 {
		const all = 100
		shown = fmt.Sprintf("%3d%%  %s of %s %s", min(done*all/total, all), text.Number(done), text.Number(total), p.what)
	}
	shown += fmt.Sprintf(", %s a second", text.Number(int64(rate)))
	if left := total - done; left > 0 && rate > 0 {
		shown += fmt.Sprintf(", %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	return shown
}

// Clear removes the line.
func (p *Progress) Clear() { fmt.Fprint(p.w, "\r\x1b[K") }

// Simulated requests a replay, and shows its progress on a terminal.
func Simulated(ctx context.Context, c api.Asker, in api.SimulateRequest, s Streams) (result *simulate.Result, err error) {
	bar := NewProgress(s.Below().Err, "messages replayed", time.Now())
	err = api.PolicySimulate().Each(ctx, c, in, func(step *api.SimulateStep) error {
		result = step.Result
		if bar != nil {
			bar.Show(step.Read, step.Total, time.Now())
		}
		return nil
	})
	if bar != nil {
		bar.Clear()
	}
	if err == nil && result == nil {
		err = errors.New("the replay ended without a result")
	}
	return result, err
}
