//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// daemon is a dmarcd with a configuration and a state of its own. It may be
// stopped, or killed, and started again.
type daemon struct {
	name    string // of its folder and its log
	log     *logbook
	process *process // nil before the first start
}

// newDaemon writes the configuration of a daemon: testdata/dmarcd/NAME.yaml, with
// what stands for each of the words, and the policy that all share.
func newDaemon(name, config string, words ...string) (*daemon, error) {
	d := &daemon{name: name}
	if err := errors.Join(os.MkdirAll(d.path(""), 0o755), os.MkdirAll(d.state(), 0o750)); err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(signingKey())
	if err != nil {
		return nil, err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if err := os.WriteFile(d.path("dkim.pem"), key, 0o600); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join("testdata/dmarcd", config))
	if err != nil {
		return nil, err
	}
	policy, err := os.ReadFile("testdata/dmarcd/policy.yaml")
	if err != nil {
		return nil, err
	}
	words = append(words, "@STATE@", d.state())
	if err := os.WriteFile(d.config(), []byte(strings.NewReplacer(words...).Replace(string(text))), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.path("policy.yaml"), policy, 0o644); err != nil {
		return nil, err
	}
	d.log, err = newLogbook(name)
	return d, err
}

func (d *daemon) path(name string) string { return filepath.Join(scratch, d.name, name) }
func (d *daemon) config() string          { return d.path("dmarcd.yaml") }
func (d *daemon) state() string           { return d.path("state") }

// start starts it and waits until it says that it is ready, as systemd would.
func (d *daemon) start() error {
	socket := d.path("notify")
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		return err
	}
	p := &process{name: d.name, clean: true, cmd: exec.Command(os.Getenv(envDaemon), "serve", "-c", d.config())}
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if err := p.start(d.log); err != nil {
		return errors.Join(err, notify.Close())
	}
	d.process = p
	go func() {
		<-p.done
		_ = notify.Close()
	}()
	return p.awaitReady(notify)
}

// stop ends it as systemd would, if it runs.
func (d *daemon) stop() error {
	if d.process == nil {
		return nil
	}
	p := d.process
	d.process = nil
	return p.stop()
}

// kill ends it as a crash would.
func (d *daemon) kill() {
	d.process.kill()
	d.process = nil
}

// command is a command of dmarcd with the daemon's configuration.
func (d *daemon) command(args ...string) *exec.Cmd {
	return exec.Command(os.Getenv(envDaemon), append(args, "-c", d.config())...)
}

// run runs a command of dmarcd with the daemon's configuration, and gives what it
// printed. The exit code must be want.
func (d *daemon) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	cmd := d.command(args...)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("dmarcd %s: %v", strings.Join(args, " "), err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("dmarcd %s ended with status %d, want %d:\n%s%s", strings.Join(args, " "), got, want, out.String(), trouble.String())
	}
	return out.String()
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
