//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The environment of the second run of this binary, the one inside.
const (
	envInside = "DMARCD_E2E_INSIDE"
	envDaemon = "DMARCD_E2E_BINARY" // the dmarcd to test; built with -race if not given
)

const (
	mtaDir  = "../build/mta" // where scripts/fetch-mtas put Postfix and Sendmail
	logDir  = "../build/e2e" // logs of the last run
	scratch = "/srv"         // in memory, inside; short, as a unix socket's path has 107 octets at most
)

const hostname = "mx.example.org" // of this machine inside, and so of both MTAs

const clientV6 = "2001:db8::66" // an SMTP client by IPv6

func TestMain(m *testing.M) {
	var code int
	var err error
	if os.Getenv(envInside) == "" {
		code, err = runInside()
	} else {
		code, err = runTests(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// runInside prepares what needs the outside and runs this binary again in new
// namespaces. The new process is the first of its process namespace: with it end
// all processes that the tests started.
func runInside() (int, error) {
	if err := missing(); err != nil {
		return 1, err
	}
	daemon := os.Getenv(envDaemon)
	if daemon == "" {
		var err error
		if daemon, err = buildDaemon(); err != nil {
			return 1, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), envInside+"=1", envDaemon+"="+daemon)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The signal of Pdeathsig comes when the starting thread ends.
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("cannot make the namespaces that the tests run in: %w", err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = cmd.Process.Kill()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// missing says what this machine lacks, all at once.
func missing() error {
	var lacks []string
	if os.Getuid() != 0 {
		lacks = append(lacks, "root rights, to run Postfix and Sendmail in namespaces of their own")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		lacks = append(lacks, `the command "ip" (Debian: apt-get install iproute2)`)
	}
	for _, mta := range []string{"postfix", "sendmail"} {
		if _, err := os.Stat(filepath.Join(mtaDir, mta, ".complete")); err != nil {
			lacks = append(lacks, mta+" in build/mta (as root on Debian: scripts/fetch-mtas)")
		}
	}
	if lacks == nil {
		return nil
	}
	return errors.New("missing:\n  - " + strings.Join(lacks, "\n  - "))
}

func buildDaemon() (string, error) {
	binary, err := filepath.Abs("../build/dmarcd-e2e")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-race", "-o", binary, "../cmd/dmarcd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building dmarcd: %w\n%s", err, out)
	}
	return binary, nil
}

// enterNamespaces finishes what the clone flags began: mounts that stay ours, a
// /proc that shows our processes, a scratch folder, a name and addresses.
func enterNamespaces() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", scratch, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	if err := syscall.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	// On the loopback interface a prefix makes every IPv4 address in it ours;
	// IPv6 addresses are ours one by one.
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, a := range []string{"192.0.2.25/24", "198.51.100.0/24", "203.0.113.0/24", "10.204.148.0/24"} {
		commands = append(commands, []string{"address", "add", a, "dev", "lo"})
	}
	for _, a := range []string{"2001:db8::25", "2001:db8::26", clientV6} {
		commands = append(commands, []string{"address", "add", a + "/128", "dev", "lo", "nodad"})
	}
	for _, args := range commands {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
