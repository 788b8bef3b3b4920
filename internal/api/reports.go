package api

import (
	"context"

	"dmarcd/internal/report/outgoing"
)

// reportOp returns an operation for a call on the reports that we send. They concern the senders'
// domains and no recipient domain: they belong to the host.
func reportOp[In, Out any](verb, summary string, role Role, example In, call func(outgoing.Service, context.Context, In) (Out, error)) Op[In, Out] {
	return Op[In, Out]{
		Name: "reports." + verb, Summary: summary, Role: role, Scope: ScopeHost, Changes: role == RoleAdmin, Example: example,
		Do: func(ctx context.Context, s *Service, _ Viewer, in In) (Out, error) {
			if s.Reports == nil {
				var none Out
				return none, missing("reports to senders")
			}
			return call(s.Reports, ctx, in)
		},
	}
}

// ReportsList lists reports, the newest first, with their deliveries.
func ReportsList() Op[outgoing.Filter, outgoing.Listed] {
	return reportOp("list", "The reports that we send, newest first, with their deliveries.", RoleViewer,
		outgoing.Filter{}, outgoing.Service.List)
}

// ReportsShow returns one report, optionally with its content.
func ReportsShow() Op[outgoing.ShowRequest, outgoing.Shown] {
	return reportOp("show", "One report that we send, with its file if asked for.", RoleViewer,
		outgoing.ShowRequest{ID: 1}, outgoing.Service.Show)
}

// ReportsSend queues the report on a domain and day for immediate delivery.
func ReportsSend() Op[outgoing.SendRequest, outgoing.Sending] {
	return reportOp("send", "Send the report on a domain and day now, or once more.", RoleAdmin,
		outgoing.SendRequest{Domain: "example.com"}, outgoing.Service.Send)
}

// ReportsRetry makes failed or waiting deliveries due now.
func ReportsRetry() Op[outgoing.RetryRequest, outgoing.Retried] {
	return reportOp("retry", "Try deliveries again that failed, or that wait for later.", RoleAdmin,
		outgoing.RetryRequest{Report: 1}, outgoing.Service.Retry)
}

// ReportsSuppress stops reports to an address or host.
func ReportsSuppress() Op[outgoing.SuppressRequest, outgoing.Suppression] {
	return reportOp("suppress", "Send no more reports to an address or host.", RoleAdmin,
		outgoing.SuppressRequest{Target: "dmarc@example.com"}, outgoing.Service.Suppress)
}

// ReportsUnsuppress resumes reports to an address or host.
func ReportsUnsuppress() Op[outgoing.UnsuppressRequest, outgoing.Unsuppressed] {
	return reportOp("unsuppress", "Send reports to an address or host again.", RoleAdmin,
		outgoing.UnsuppressRequest{Target: "dmarc@example.com"}, outgoing.Service.Unsuppress)
}

// ReportsSuppressions lists the suppressions.
func ReportsSuppressions() Op[outgoing.SuppressionsRequest, outgoing.SuppressionPage] {
	return reportOp("suppressions", "The addresses and hosts that get no reports.", RoleViewer,
		outgoing.SuppressionsRequest{}, outgoing.Service.Suppressions)
}

// ReportsState returns the state of the queue.
func ReportsState() Op[outgoing.StateRequest, outgoing.Overview] {
	return reportOp("state", "The state of the queue of reports.", RoleViewer,
		outgoing.StateRequest{}, outgoing.Service.State)
}
