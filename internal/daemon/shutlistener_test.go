package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
)

// TestShutListener opens it for the first user, and shuts it when the store is away or
// the last user gone.
func TestShutListener(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	users, trouble := false, error(nil)
	l := newShutListener(address, func(context.Context) (bool, error) { return users, trouble }, slog.New(slog.DiscardHandler))
	accepted := make(chan error)
	go func() {
		for {
			conn, err := l.Accept()
			if err == nil {
				err = conn.Close()
			}
			if accepted <- err; err != nil {
				return
			}
		}
	}()
	dial := func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = errors.Join(conn.Close(), <-accepted)
		}
		return err
	}
	for _, step := range []struct {
		users   bool
		trouble error
		why     string
	}{
		{false, nil, whyNoUser}, {true, nil, ""}, {true, errors.New("away"), whyStore}, {true, nil, ""}, {false, nil, whyNoUser}, {true, nil, ""},
	} {
		users, trouble = step.users, step.trouble
		if why := l.look(t.Context()); why != step.why || l.shutBecause() != why {
			t.Fatalf("%+v: shut because of %q", step, why)
		}
		if err := dial(); (err == nil) != (step.why == "") {
			t.Errorf("%+v: %v", step, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
