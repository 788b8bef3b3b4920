package daemon

import (
	"net"
	"testing"
	"testing/synctest"
)

// crowd is a listener at which somebody always waits.
type crowd struct{ net.Listener }

func (crowd) Accept() (net.Conn, error) { c, _ := net.Pipe(); return c, nil }

// TestWebConnectionsAreBounded opens as many connections as one listener may have.
func TestWebConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := boundedWeb(crowd{})
		var first net.Conn
		for range mostWeb {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = c
			}
		}
		more := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			more <- err
		}()
		synctest.Wait()
		if len(more) > 0 {
			t.Error("one more is let in")
		}
		_ = first.Close()
		synctest.Wait()
		if len(more) != 1 || <-more != nil {
			t.Error("nobody is let in once one has gone")
		}
	})
}
