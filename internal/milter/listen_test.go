package milter_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/milter"
)

func unixAt(path string) milter.Address { return milter.Address{Network: "unix", Addr: path} }

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milter.sock")
	for _, c := range []struct {
		name string
		mode fs.FileMode
		want fs.FileMode
	}{
		{"default", 0, 0o660},
		{"all", 0o666, 0o666},
		{"owner", 0o600, 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := milter.Listen(unixAt(path), c.mode, fmt.Sprint(os.Getgid()))
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != c.want || int(info.Sys().(*syscall.Stat_t).Gid) != os.Getgid() {
				t.Errorf("mode %v, group %d", info.Mode(), info.Sys().(*syscall.Stat_t).Gid)
			}
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			conn, err := unixAt(path).Dial(ctx)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("socket file after Close: %v", err)
			}
		})
	}
}

func TestListenUnixGroupName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := milter.Listen(unixAt(path), 0, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; gid == 0 {
		t.Errorf("group %d", gid)
	}
}

func TestListenUnixPathTaken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "milter.sock")
	stale := func(t *testing.T) {
		t.Helper()
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
	}
	t.Run("stale socket", func(t *testing.T) {
		stale(t)
		ln, err := milter.Listen(unixAt(path), 0, "")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	})
	t.Run("served", func(t *testing.T) {
		first, err := milter.Listen(unixAt(path), 0, "")
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		_, err = milter.Listen(unixAt(path), 0, "")
		if !errors.Is(err, milter.ErrInUse) || err.Error() != "milter: unix:"+path+" is in use by another process" {
			t.Errorf("error %v", err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket of the other is gone: %v", err)
		}
	})
	t.Run("replaced while open", func(t *testing.T) {
		first, err := milter.Listen(unixAt(path), 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		second, err := milter.Listen(unixAt(path), 0, "")
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		first.Close()
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("closing the first removed the second's socket: %v", err)
		}
	})
	for _, c := range []struct {
		name  string
		make  func() error
		clear func()
	}{
		{"file", func() error { return os.WriteFile(path, []byte("precious"), 0o600) }, func() { os.Remove(path) }},
		{"folder", func() error { return os.Mkdir(path, 0o700) }, func() { os.Remove(path) }},
		{"link", func() error { return os.Symlink(filepath.Join(dir, "elsewhere"), path) }, func() { os.Remove(path) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(); err != nil {
				t.Fatal(err)
			}
			defer c.clear()
			if _, err := milter.Listen(unixAt(path), 0, ""); err == nil || !strings.Contains(err.Error(), "not a socket") {
				t.Errorf("error %v", err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name  string
		addr  milter.Address
		mode  fs.FileMode
		group string
		want  string
	}{
		{"no folder", unixAt(filepath.Join(dir, "none", "s")), 0, "", "needs the folder " + filepath.Join(dir, "none")},
		{"no group", unixAt(filepath.Join(dir, "s")), 0, "no-such-group", `group "no-such-group": there is none`},
		{"mode with more than permissions", unixAt(filepath.Join(dir, "s")), fs.ModeSetuid | 0o660, "", "only permission bits"},
		{"port taken", milter.Address{Network: "tcp4", Addr: taken.Addr().String()}, 0, "", "is in use by another process"},
		{"address not ours", milter.Address{Network: "tcp4", Addr: "192.0.2.1:8893"}, 0, "", "cannot be opened"},
		{"network unknown", milter.Address{Network: "udp", Addr: "x"}, 0, "", "unknown network"},
		{"systemd without", milter.Address{Network: "systemd", Addr: "x"}, 0, "", "was not passed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := milter.Listen(c.addr, c.mode, c.group)
			if err == nil {
				ln.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestServeUnix runs a message over a unix socket.
func TestServeUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := milter.Listen(unixAt(path), 0, "")
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, ln, nil, nil)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if _, err := milter.Submit(ctx, unixAt(path), milter.Submission{
		From: "<a@b>", Rcpts: []string{"<c@d>"}, Message: strings.NewReader("From: a@b\r\n\r\nhello\r\n"),
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket file after shutdown: %v", err)
	}
}

// systemdEnv makes the test binary take over sockets as systemd would pass them.
const systemdEnv = "MILTER_TEST_SYSTEMD"

// systemdChild says what Listen makes of the names given.
func systemdChild(names string) {
	for name := range strings.SplitSeq(names, ",") {
		ln, err := milter.Listen(milter.Address{Network: "systemd", Addr: name}, 0, "")
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(name, ln.Addr())
		ln.Close()
	}
}

func TestSystemd(t *testing.T) {
	var files []*os.File
	var addrs []string
	for range 3 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addrs = append(files, f), append(addrs, ln.Addr().String())
	}
	notSocket, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer notSocket.Close()
	files = append(files, notSocket)
	for _, c := range []struct {
		name string
		env  string // set by a shell that becomes the process
		ask  string
		want []string
	}{
		{"by name, in any order", "LISTEN_FDS=3 LISTEN_FDNAMES=http:milter:other", "milter,http", []string{"milter " + addrs[1], "http " + addrs[0]}},
		{"not passed", "LISTEN_FDS=3 LISTEN_FDNAMES=http:milter:other", "none", []string{"was not passed; the names passed are"}},
		{"several", "LISTEN_FDS=3 LISTEN_FDNAMES=a:a:b", "a,b", []string{"several times", "b " + addrs[2]}},
		{"fewer sockets than names", "LISTEN_FDS=1 LISTEN_FDNAMES=a:b", "b", []string{"was not passed"}},
		{"no count", "LISTEN_FDNAMES=a", "a", []string{"LISTEN_FDS"}},
		{"for another process", "LISTEN_PID=1 LISTEN_FDS=3 LISTEN_FDNAMES=a:b:c", "a", []string{"started no socket for this process"}},
		{"no socket", "LISTEN_FDS=4 LISTEN_FDNAMES=a:b:c:d", "d", []string{"cannot be opened"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "LISTEN_PID=$$; export LISTEN_PID; exec env "+c.env+` "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), systemdEnv+"="+c.ask, "GORACE=atexit_sleep_ms=0")
			cmd.ExtraFiles = files
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("output %q", lines)
			}
			for i, l := range lines {
				if !strings.Contains(l, c.want[i]) {
					t.Errorf("line %q, want %q", l, c.want[i])
				}
			}
		})
	}
}

func TestDial(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, a := range []milter.Address{{}, {Network: "systemd", Addr: "x"}, unixAt(filepath.Join(t.TempDir(), "none"))} {
		if conn, err := a.Dial(ctx); err == nil {
			conn.Close()
			t.Errorf("%+v was reached", a)
		}
	}
}
