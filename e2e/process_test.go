//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// startDaemon starts dmarcd with testdata/dmarcd and waits until it says that it
// is ready, as systemd would.
func startDaemon(sockets ...string) (*process, error) {
	dir := filepath.Join(scratch, "dmarcd")
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o750); err != nil {
		return nil, err
	}
	for _, name := range []string{"dmarcd.yaml", "policy.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata/dmarcd", name))
		if err != nil {
			return nil, err
		}
		listen := ""
		for _, s := range sockets {
			listen += fmt.Sprintf("\n  - {socket: %q, mode: \"0666\"}", "unix:"+s)
		}
		config := strings.NewReplacer("@SOCKETS@", listen, "@STATE@", filepath.Join(dir, "state")).Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(config), 0o644); err != nil {
			return nil, err
		}
	}
	book, err := newLogbook("dmarcd")
	if err != nil {
		return nil, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		return nil, err
	}
	p := &process{name: "dmarcd", clean: true, cmd: exec.Command(os.Getenv(envDaemon), "serve", "-c", filepath.Join(dir, "dmarcd.yaml"))}
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	if err := p.start(book); err != nil {
		return nil, err
	}
	return p, p.awaitReady(notify)
}

// awaitReady waits for READY=1, the word of sd_notify(3). It listens on after
// that, for the daemon also tells of reloads and of its end.
func (p *process) awaitReady(notify *net.UnixConn) error {
	ready := make(chan struct{})
	go func() {
		tell := sync.OnceFunc(func() { close(ready) })
		buf := make([]byte, 4096)
		for {
			n, err := notify.Read(buf)
			if err != nil {
				return
			}
			if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
				tell()
			}
		}
	}()
	select {
	case <-ready:
		return nil
	case <-p.done:
		return fmt.Errorf("%s ended before it said READY=1 (%w); see build/e2e/%s.log", p.name, p.err, p.name)
	case <-time.After(startLimit):
		return fmt.Errorf("%s did not say READY=1 within %v; see build/e2e/%s.log", p.name, startLimit, p.name)
	}
}
