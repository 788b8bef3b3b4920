package present

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strconv"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

func Feeds(s Streams, found *api.Feeds, asJSON bool) error {
	var rows [][]string
	for i := range found.Feeds {
		f := &found.Feeds[i]
		if asJSON {
			if err := WriteJSONLine(s, f); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{f.Name, f.Host, stampOf(f.LastRun), text.Number(f.Backlog), text.Number(f.Taken), f.Error})
	}
	if asJSON || len(rows) == 0 {
		return nil
	}
	return text.WriteTable(s.Out, text.Terminal, []text.Column{
		{Name: "Feed", Least: 10}, {Name: "Host", Least: 8}, {Name: "Last run"}, {Name: "Waiting", Right: true}, {Name: "Taken", Right: true}, {Name: "Error", Least: 10},
	}, rows)
}

func ReportsView(rows []analysis.Listed) view[analysis.Listed] {
	return view[analysis.Listed]{
		rows: rows,
		columns: []text.Column{
			{Name: "Number", Right: true}, {Name: "Received"}, {Name: "Day"}, {Name: "Domain", Least: 12}, {Name: "Reporter", Least: 10},
			{Name: "Messages", Right: true}, {Name: "Status", Least: 9},
		},
		table: func(r *analysis.Listed) []string {
			status, about, who := string(r.Status), r.Domain.String(), r.Reporter
			switch {
			case r.Kind != analysis.KindAggregate:
				status, about, who = string(r.Kind), r.Name, r.From
			case r.Status == analysis.StatusStored && !r.Trust.Counts():
				status = string(r.Trust)
			case about == "":
				about = r.Policy
			}
			day := ""
			if !r.Begin.IsZero() {
				day = analysis.MiddleDay(r.Begin, r.End).String()
			}
			return []string{strconv.FormatInt(r.ID, 10), dateOf(r.Received), day, about, who, text.Number(r.Messages), status}
		},
		names: []string{
			"id", "received", "feed", "kind", "status", "why", "domain", "policy_domain", "reporter", "email", "report_id", "begin", "end",
			"trust", "auth_domain", "records", "messages", "compliant", "quarantined_records",
		},
		cells: func(r *analysis.Listed) []string {
			return []string{
				strconv.FormatInt(r.ID, 10), stampOf(r.Received), r.Feed, string(r.Kind), string(r.Status), r.Why, r.Domain.String(), r.Policy, r.Reporter,
				r.Email, r.ReportID, stampOf(r.Begin), stampOf(r.End), string(r.Trust), r.Auth.String(), strconv.FormatInt(r.Records, 10),
				strconv.FormatInt(r.Messages, 10), strconv.FormatInt(r.Compliant, 10), strconv.FormatInt(r.Quarantined, 10),
			}
		},
	}
}

// ReportersView includes the pairs of names below the table.
func ReportersView(s Streams, page *api.Reporters) view[analysis.ReporterRow] {
	return view[analysis.ReporterRow]{
		rows: page.Rows, After: page.After, Notes: page.Notes,
		below: func() { printPairs(s, page.Pairs) },
		columns: []text.Column{
			{Name: "Reporter", Least: 12}, {Name: "E-mail", Least: 12}, {Name: "Reports", Right: true}, {Name: "Messages", Right: true},
			{Name: "Trust"}, {Name: "Last"},
		},
		table: func(r *analysis.ReporterRow) []string {
			return []string{r.Reporter, r.Email, text.Number(r.Reports), text.Number(r.Messages), string(r.Trust), dateOf(r.LastSeen)}
		},
		names: []string{"reporter", "email", "auth_domain", "trust", "reports", "messages", "notes", "first_seen", "last_seen"},
		cells: func(r *analysis.ReporterRow) []string {
			return []string{
				r.Reporter, r.Email, r.Auth.String(), string(r.Trust), strconv.FormatInt(r.Reports, 10), strconv.FormatInt(r.Messages, 10),
				strconv.FormatInt(r.Notes, 10), stampOf(r.FirstSeen), stampOf(r.LastSeen),
			}
		},
	}
}

func printPairs(s Streams, pairs []analysis.Pair) {
	for _, p := range pairs {
		word := "Rejected"
		if p.Accepted {
			word = "Accepted"
		}
		s.Line("%s: %s:%s, by %s on %s, %s", word, p.Auth, p.Email, p.By, dateOf(p.At), text.Count(p.Reports, "report"))
	}
}

func Labels(s Streams, labels []analysis.LabelSet, asJSON bool) error {
	var rows [][]string
	for i := range labels {
		l := &labels[i]
		if asJSON {
			if err := WriteJSONLine(s, l); err != nil {
				return err
			}
			continue
		}
		source := l.Service + l.Host
		if l.Network.IsValid() {
			source = l.Network.String()
		}
		rows = append(rows, []string{l.Domain.String(), source, string(l.Label), dateOf(l.At), l.By, l.Note})
	}
	if len(rows) == 0 {
		return nil
	}
	return text.WriteTable(s.Out, text.Terminal, []text.Column{
		{Name: "Domain", Least: 12}, {Name: "Source", Least: 12}, {Name: "Label"}, {Name: "Since"}, {Name: "By", Least: 7}, {Name: "Note", Least: 8},
	}, rows)
}

// WriteRaw writes a report as received. NotFound: it is not stored.
func WriteRaw(s Streams, r *api.RawReport, output string) error {
	switch {
	case len(r.Gzip) == 0:
		return errkind.Errorf(errkind.NotFound, "report %d is not kept as it was received (retention.raw_reports)", r.ID)
	case output != "":
		return WriteOut(s.File(), output, r.Gzip)
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Gzip))
	if err == nil {
		_, err = io.Copy(s.File(), z)
	}
	if err != nil {
		return errkind.Wrap(errkind.Trouble, fmt.Errorf("report %d: %w", r.ID, err))
	}
	return nil
}

// Reprocess reads reports again until none is left, and reports how many changed.
func Reprocess(ctx context.Context, a api.Asker, asJSON bool, s Streams) error {
	var sum api.Reprocessed
	for {
		got, err := api.AnalysisReprocess().Ask(ctx, a, api.ReprocessRequest{After: sum.After})
		if err != nil {
			return err
		}
		sum.Read += got.Read
		sum.Changed += got.Changed
		sum.Failed += got.Failed
		if sum.After = got.After; got.After == 0 {
			break
		}
	}
	if asJSON {
		return WriteJSONLine(s, &sum)
	}
	s.Line("%s read again, %s differently; %s cannot be read any more.", text.Count(sum.Read, "report"), text.Number(sum.Changed), text.Number(sum.Failed))
	return nil
}
