package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmarcd/internal/present"
	"dmarcd/internal/report/outgoing"
)

// sendWait is how long a command waits to lead, where no daemon runs on this host.
const sendWait = 20 * time.Second

// ReportConnection is a connection for the commands on reports.
type ReportConnection struct {
	*Connection
	pipeline *outgoing.Pipeline // nil where a daemon runs
}

// connectReports finds the running daemon or opens the store in its place. The caller
// closes it.
func connectReports(ctx context.Context, t *Target, s present.Streams) (*ReportConnection, error) {
	m, err := Connect(ctx, t, s)
	if err != nil {
		return nil, err
	}
	if m.Offline == nil {
		return &ReportConnection{Connection: m}, nil
	}
	p, err := m.Offline.UseReports(t.Version)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &ReportConnection{Connection: m, pipeline: p}, nil
}

// Deliver sends what is due, where no daemon does it. It says what else there is to
// know.
func (d *ReportConnection) Deliver(ctx context.Context, s present.Streams) error {
	if d.pipeline == nil {
		return nil
	}
	_, led, err := d.pipeline.Drain(ctx, sendWait)
	switch {
	case err != nil:
		return err
	case !led:
		fmt.Fprintln(s.Err, "another daemon that shares the store sends it")
	}
	return nil
}

// WithReports opens a connection, calls work with it, and closes it.
func WithReports(ctx context.Context, t *Target, s present.Streams, work func(*ReportConnection) error) error {
	c, err := connectReports(ctx, t, s)
	if err != nil {
		return err
	}
	err = work(c)
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	return err
}
