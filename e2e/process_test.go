//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second // for a process to become ready; a race-built daemon on a busy machine
	stopLimit  = 40 * time.Second // above what dmarcd gives mail in flight to end
)

// process is a program that runs until it is told to stop.
type process struct {
	name  string
	cmd   *exec.Cmd
	clean bool          // it must end with status 0 when told to stop
	done  chan struct{} // closed when it has ended
	err   error         // then: how
}

func (p *process) start(out *logbook) error {
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	p.cmd.SysProcAttr.Setsid = true // Postfix's master insists on leading its process group
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// stop asks the process to end, and makes it if it does not within a while.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if p.clean && p.err != nil {
			return fmt.Errorf("%s ended with %w (66 is a data race); see build/e2e/%s.log", p.name, p.err, p.name)
		}
		return nil
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %v of SIGTERM", p.name, stopLimit)
	}
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// awaitPort waits until something accepts connections at addr.
func (p *process) awaitPort(addr string) error {
	deadline := time.Now().Add(startLimit)
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen at %s: %w; see build/e2e/%s.log", p.name, addr, err, p.name)
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at once (%w); see build/e2e/%s.log", p.name, p.err, p.name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
