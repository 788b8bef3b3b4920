package main

import (
	"context"
	"errors"

	"dmarcd/internal/admin"
	"dmarcd/internal/report/outgoing"
)

// reportCalls are the operations on reports that commands may ask the daemon for.
func reportCalls(d outgoing.Desk) map[string]admin.Handler {
	return map[string]admin.Handler{
		outgoing.OpList:       deskHandler(d.List),
		outgoing.OpShow:       deskHandler(d.Show),
		outgoing.OpSend:       deskHandler(d.Send),
		outgoing.OpRetry:      deskHandler(d.Retry),
		outgoing.OpSuppress:   deskHandler(d.Suppress),
		outgoing.OpUnsuppress: deskHandler(d.Unsuppress),
		outgoing.OpSilent:     deskHandler(d.Suppressions),
		outgoing.OpState:      deskHandler(d.State),
	}
}

// deskHandler tells a client what kind of error it was.
func deskHandler[In, Out any](f func(context.Context, In) (Out, error)) admin.Handler {
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

// daemonDesk is the desk of the running daemon.
type daemonDesk struct{ client *admin.Client }

var _ outgoing.Desk = daemonDesk{}

func (d daemonDesk) List(ctx context.Context, f outgoing.Filter) (outgoing.Listed, error) {
	return admin.Call[outgoing.Filter, outgoing.Listed](ctx, d.client, outgoing.OpList, f)
}

func (d daemonDesk) Show(ctx context.Context, r outgoing.ShowRequest) (outgoing.Shown, error) {
	return admin.Call[outgoing.ShowRequest, outgoing.Shown](ctx, d.client, outgoing.OpShow, r)
}

func (d daemonDesk) Send(ctx context.Context, r outgoing.SendRequest) (outgoing.Sending, error) {
	return admin.Call[outgoing.SendRequest, outgoing.Sending](ctx, d.client, outgoing.OpSend, r)
}

func (d daemonDesk) Retry(ctx context.Context, r outgoing.RetryRequest) (outgoing.Retried, error) {
	return admin.Call[outgoing.RetryRequest, outgoing.Retried](ctx, d.client, outgoing.OpRetry, r)
}

func (d daemonDesk) Suppress(ctx context.Context, r outgoing.SuppressRequest) (outgoing.Suppression, error) {
	return admin.Call[outgoing.SuppressRequest, outgoing.Suppression](ctx, d.client, outgoing.OpSuppress, r)
}

func (d daemonDesk) Unsuppress(ctx context.Context, r outgoing.UnsuppressRequest) (outgoing.Unsuppressed, error) {
	return admin.Call[outgoing.UnsuppressRequest, outgoing.Unsuppressed](ctx, d.client, outgoing.OpUnsuppress, r)
}

func (d daemonDesk) Suppressions(ctx context.Context, r outgoing.SuppressionsRequest) (outgoing.Silent, error) {
	return admin.Call[outgoing.SuppressionsRequest, outgoing.Silent](ctx, d.client, outgoing.OpSilent, r)
}

func (d daemonDesk) State(ctx context.Context, r outgoing.StateRequest) (outgoing.Overview, error) {
	return admin.Call[outgoing.StateRequest, outgoing.Overview](ctx, d.client, outgoing.OpState, r)
}
