package main

import (
	"context"
	"errors"

	"dmarcd/internal/admin"
	"dmarcd/internal/report/outgoing"
)

// reportCalls are the operations on reports that commands may ask the daemon for.
func reportCalls(d outgoing.Service) map[string]admin.Handler {
	return map[string]admin.Handler{
		outgoing.OpList:         serviceHandler(d.List),
		outgoing.OpShow:         serviceHandler(d.Show),
		outgoing.OpSend:         serviceHandler(d.Send),
		outgoing.OpRetry:        serviceHandler(d.Retry),
		outgoing.OpSuppress:     serviceHandler(d.Suppress),
		outgoing.OpUnsuppress:   serviceHandler(d.Unsuppress),
		outgoing.OpSuppressions: serviceHandler(d.Suppressions),
		outgoing.OpState:        serviceHandler(d.State),
	}
}

// serviceHandler tells a client what kind of error it was.
func serviceHandler[In, Out any](f func(context.Context, In) (Out, error)) admin.Handler {
	return admin.Handle(func(ctx context.Context, in In) (Out, error) {
		out, err := f(ctx, in)
		switch {
		case errors.Is(err, outgoing.ErrRequest):
			err = admin.Errorf(admin.KindRequest, "%v", err)
		case errors.Is(err, outgoing.ErrNotFound), errors.Is(err, outgoing.ErrNothing):
			err = admin.Errorf(admin.KindNotFound, "%v", err)
		}
		return out, err
	})
}

// daemonService is the service of the running daemon.
type daemonService struct{ client *admin.Client }

var _ outgoing.Service = daemonService{}

func (d daemonService) List(ctx context.Context, f outgoing.Filter) (outgoing.Listed, error) {
	return admin.Call[outgoing.Filter, outgoing.Listed](ctx, d.client, outgoing.OpList, f)
}

func (d daemonService) Show(ctx context.Context, r outgoing.ShowRequest) (outgoing.Shown, error) {
	return admin.Call[outgoing.ShowRequest, outgoing.Shown](ctx, d.client, outgoing.OpShow, r)
}

func (d daemonService) Send(ctx context.Context, r outgoing.SendRequest) (outgoing.Sending, error) {
	return admin.Call[outgoing.SendRequest, outgoing.Sending](ctx, d.client, outgoing.OpSend, r)
}

func (d daemonService) Retry(ctx context.Context, r outgoing.RetryRequest) (outgoing.Retried, error) {
	return admin.Call[outgoing.RetryRequest, outgoing.Retried](ctx, d.client, outgoing.OpRetry, r)
}

func (d daemonService) Suppress(ctx context.Context, r outgoing.SuppressRequest) (outgoing.Suppression, error) {
	return admin.Call[outgoing.SuppressRequest, outgoing.Suppression](ctx, d.client, outgoing.OpSuppress, r)
}

func (d daemonService) Unsuppress(ctx context.Context, r outgoing.UnsuppressRequest) (outgoing.Unsuppressed, error) {
	return admin.Call[outgoing.UnsuppressRequest, outgoing.Unsuppressed](ctx, d.client, outgoing.OpUnsuppress, r)
}

func (d daemonService) Suppressions(ctx context.Context, r outgoing.SuppressionsRequest) (outgoing.SuppressionPage, error) {
	return admin.Call[outgoing.SuppressionsRequest, outgoing.SuppressionPage](ctx, d.client, outgoing.OpSuppressions, r)
}

func (d daemonService) State(ctx context.Context, r outgoing.StateRequest) (outgoing.Overview, error) {
	return admin.Call[outgoing.StateRequest, outgoing.Overview](ctx, d.client, outgoing.OpState, r)
}
