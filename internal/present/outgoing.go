package present

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/text"
)

// Report prints one report and its deliveries.
func Report(s Streams, r *outgoing.Report) {
	s.Line("%d  %s  %s  %s  %s, %s", r.ID, r.Day, r.Domain, r.Kind, text.Count(r.Messages, "message"), text.Count(r.Rows, "row"))
	if r.Problem != "" {
		s.Line("    no report could be made: %s", r.Problem)
	}
	for i := range r.Delivered {
		printDelivery(s, &r.Delivered[i])
	}
	if len(r.Delivered) == 0 && r.Problem == "" {
		s.Line("    nowhere to go: the record names no mail address")
	}
}

func printDelivery(s Streams, d *outgoing.Delivery) {
	const stamp = "2006-01-02 15:04:05 MST"
	line := fmt.Sprintf("    %-11s  %s", d.State, d.To)
	switch {
	case d.State == outgoing.StateSent:
		line += "  on " + d.Sent.UTC().Format(stamp)
	case d.State.Waiting():
		line += "  next attempt " + d.Due.UTC().Format(stamp) + ", until " + d.Expires.UTC().Format(stamp)
	}
	if d.Attempts > 0 {
		line += fmt.Sprintf("  attempts %d", d.Attempts)
	}
	s.Line("%s  (delivery %d)", line, d.ID)
	if d.Cause != "" || d.Error != "" {
		s.Line("                 %s", strings.Trim(string(d.Cause)+": "+d.Error, ": "))
	}
}

// EachReport passes on reports page by page, limit of them at most, 0 for all.
func EachReport(ctx context.Context, d api.Asker, f outgoing.Filter, limit int, yield func(*outgoing.Report) error) (shown int, more bool, err error) {
	const page = 200
	for {
		f.Limit = page
		if limit > 0 {
			f.Limit = min(page, limit-shown)
		}
		listed, err := api.ReportsList().Ask(ctx, d, f)
		if err != nil {
			return shown, false, err
		}
		for i := range listed.Reports {
			if err := yield(&listed.Reports[i]); err != nil {
				return shown, false, err
			}
			shown++
		}
		if f.Before = listed.Next; f.Before == 0 || limit > 0 && shown >= limit {
			return shown, f.Before != 0, nil
		}
	}
}

// ReportsState prints the queue.
func ReportsState(s Streams, o *outgoing.Overview) {
	s.Line("Waiting: %d. In the last week %d sent, %d failed, %d expired. Suppressed destinations: %d.",
		o.Deliveries[outgoing.StateQueued]+o.Deliveries[outgoing.StateUnconfirmed], o.Deliveries[outgoing.StateSent],
		o.Deliveries[outgoing.StateFailed], o.Deliveries[outgoing.StateExpired], o.Suppressed)
	if !o.Enabled {
		line := "No reports are made: reports.enabled is false in dmarcd.yaml."
		if o.Counted {
			line += " Mail is counted for them (daily_reports in policy.yaml)."
		}
		s.Line("%s", line)
	}
	if o.Paused {
		s.Line("The queue is paused: reports.smtp does not take mail; the deliveries in the queue say why.")
	}
}

// ReportDetails prints everything about a report.
func ReportDetails(s Streams, r *outgoing.Report) {
	Report(s, r)
	s.Line("    Report-ID    %s", r.ReportID)
	if r.FileName != "" {
		kept := ""
		if !r.Stored {
			kept = ", not kept any more"
		}
		s.Line("    file         %s (%d octets%s)", r.FileName, r.Octets, kept)
	}
	s.Line("    subject      %s", r.Subject)
	s.Line("    made         %s", r.Made.Format(time.RFC3339))
	if r.Note != "" {
		s.Line("    note         %s", r.Note)
	}
}

// AwaitReport waits until all first attempts for a report have been made.
func AwaitReport(ctx context.Context, d api.Asker, id int64, wait time.Duration, s Streams) (*outgoing.Report, error) {
	const look = 300 * time.Millisecond
	line := NewProgress(s.Below().Err, "", time.Now())
	end := time.Now().Add(wait)
	for {
		shown, err := api.ReportsShow().Ask(ctx, d, outgoing.ShowRequest{ID: id})
		if err != nil {
			return nil, err
		}
		waiting := 0
		for i := range shown.Report.Delivered {
			if d := &shown.Report.Delivered[i]; d.State.Waiting() && d.Cause == "" {
				waiting++
			}
		}
		if waiting == 0 || !time.Now().Before(end) {
			if line != nil {
				line.Clear()
			}
			return &shown.Report, nil
		}
		if line != nil {
			fmt.Fprintf(s.Below().Err, "\r\x1b[K%d of %d addresses wait for the mail server", waiting, len(shown.Report.Delivered))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// WellDelivered reports whether every destination has the report or may still get it.
func WellDelivered(r *outgoing.Report) bool {
	for i := range r.Delivered {
		switch d := &r.Delivered[i]; d.State {
		case outgoing.StateFailed, outgoing.StateExpired, outgoing.StateSuppressed, outgoing.StateUnverified, outgoing.StateCapped:
			return false
		}
	}
	return len(r.Delivered) > 0
}

// EachSuppression passes on suppressions page by page.
func EachSuppression(ctx context.Context, d api.Asker, all bool, yield func(*outgoing.Suppression) error) error {
	r := outgoing.SuppressionsRequest{All: all, Limit: 1000}
	for {
		silent, err := api.ReportsSuppressions().Ask(ctx, d, r)
		if err != nil {
			return err
		}
		for i := range silent.Suppressions {
			if err := yield(&silent.Suppressions[i]); err != nil {
				return err
			}
		}
		if r.After = silent.Next; r.After == nil {
			return nil
		}
	}
}

func Suppression(s Streams, x *outgoing.Suppression) {
	end := "for ever"
	if !x.Until.IsZero() {
		end = "until " + x.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	if !x.Active {
		end += " (over)"
	}
	s.Line("%-40s  %s, since %s: %s", x.Target, end, x.Since.UTC().Format(time.DateOnly), x.Reason)
}

// Reports writes reports, the newest first, and in text form the queue.
func Reports(ctx context.Context, d api.Asker, filter outgoing.Filter, limit int, asJSON bool, s Streams) error {
	_, more, err := EachReport(ctx, d, filter, limit, func(r *outgoing.Report) error {
		if asJSON {
			return WriteJSONLine(s, r)
		}
		Report(s, r)
		return nil
	})
	if err != nil || asJSON {
		return err
	}
	if more {
		s.Line("There are more; --limit 0 shows all.")
	}
	state, err := api.ReportsState().Ask(ctx, d, outgoing.StateRequest{})
	if err == nil {
		ReportsState(s, &state)
	}
	return err
}

// Unsuppress ends a suppression, and reports whether there was one.
func Unsuppress(ctx context.Context, d api.Asker, target string, asJSON bool, s Streams) error {
	done, err := api.ReportsUnsuppress().Ask(ctx, d, outgoing.UnsuppressRequest{Target: target})
	if err != nil {
		return err
	}
	if asJSON {
		err = WriteJSONLine(s, done)
	} else if done.Found {
		s.Line("%s gets reports again; what was suppressed meanwhile: dmarcd report retry --state suppressed", target)
	} else {
		s.Line("%s was not suppressed", target)
	}
	if err == nil && !done.Found {
		err = Silent(errkind.NotFound)
	}
	return err
}

// Suppressions writes suppressions.
func Suppressions(ctx context.Context, d api.Asker, all, asJSON bool, s Streams) error {
	return EachSuppression(ctx, d, all, func(x *outgoing.Suppression) error {
		if asJSON {
			return WriteJSONLine(s, x)
		}
		Suppression(s, x)
		return nil
	})
}
