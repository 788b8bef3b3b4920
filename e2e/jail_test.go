//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// jail is the file system that an MTA sees: the /usr of its unpacked packages,
// read-only, and an /etc, a /var and a /dev of its own, all in memory.
type jail struct {
	dir string
	log *logbook
}

// users are those of Debian's packages; they exist in the jails only.
const users = `root:x:0:0:root:/root:/bin/sh
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
postfix:x:901:901::/var/spool/postfix:/usr/sbin/nologin
smmta:x:903:903::/var/lib/sendmail:/usr/sbin/nologin
smmsp:x:904:904::/var/lib/sendmail:/usr/sbin/nologin
dovecot:x:905:905::/usr/lib/dovecot:/usr/sbin/nologin
dovenull:x:906:906::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`

const groups = `root:x:0:
mail:x:8:
postfix:x:901:
postdrop:x:902:
smmta:x:903:
smmsp:x:904:
dovecot:x:905:
dovenull:x:906:
nogroup:x:65534:
`

const (
	uidPostfix  = 901
	gidPostfix  = 901
	gidPostdrop = 902
	uidSMMTA    = 903
	gidSMMSP    = 904
)

// newJail mounts a jail for the packages that scripts/fetch-mtas unpacked under
// the name mta.
func newJail(mta string) (*jail, error) {
	packages := filepath.Join(mtaDir, mta)
	j := &jail{dir: filepath.Join(scratch, mta)}
	for _, name := range []string{"usr", "dev", "etc", "run", "tmp", "var/lib", "var/log", "var/mail", "var/spool"} {
		if err := os.MkdirAll(j.path(name), 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, j.path(name)); err != nil {
			return nil, err
		}
	}
	if err := bind(filepath.Join(packages, "usr"), j.path("usr")); err != nil {
		return nil, err
	}
	if err := syscall.Mount("none", j.path("usr"), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return nil, err
	}
	for _, device := range []string{"null", "zero", "random", "urandom"} {
		if err := j.write("dev/"+device, ""); err != nil {
			return nil, err
		}
		if err := bind("/dev/"+device, j.path("dev/"+device)); err != nil {
			return nil, err
		}
	}
	if err := os.CopyFS(j.path("etc"), os.DirFS(filepath.Join(packages, "etc"))); err != nil {
		return nil, err
	}
	files := map[string]string{
		"etc/passwd":        users,
		"etc/group":         groups,
		"etc/hosts":         "127.0.0.1 localhost\n",
		"etc/resolv.conf":   "nameserver 127.0.0.1\n", // the test's DNS server
		"etc/nsswitch.conf": "hosts: files dns\n",
	}
	for name, text := range files {
		if err := j.write(name, text); err != nil {
			return nil, err
		}
	}
	if err := j.addTools("sh", "cat", "rm"); err != nil {
		return nil, err
	}
	var err error
	j.log, err = j.syslog(mta)
	return j, err
}

// addTools lends the jail programs of this machine, which need no more than the C
// library that the jail has anyway. An administrator has them everywhere.
func (j *jail) addTools(names ...string) error {
	for _, name := range names {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := j.write("opt/bin/"+name, ""); err != nil {
			return err
		}
		if err := bind(program, j.path("opt/bin/"+name)); err != nil {
			return err
		}
	}
	return nil
}

func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, to, err)
	}
	return nil
}

// path is the place of a jail's file as the test sees it.
func (j *jail) path(name string) string { return filepath.Join(j.dir, name) }

func (j *jail) write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(j.path(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(j.path(name), []byte(text), 0o644)
}

// mkdir makes a directory with an owner and exactly the given mode.
func (j *jail) mkdir(name string, mode os.FileMode, uid, gid int) error {
	if err := os.MkdirAll(j.path(name), 0o755); err != nil {
		return err
	}
	if err := os.Chown(j.path(name), uid, gid); err != nil {
		return err
	}
	return os.Chmod(j.path(name), mode)
}

// command is a program of the jail, run in it.
func (j *jail) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/opt/bin", "LANG=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: j.dir}
	return cmd
}

// output runs a program of the jail to its end and gives what it printed.
func (j *jail) output(program string, args ...string) (string, error) {
	cmd := j.command(program, args...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, errors.Bytes())
	}
	return string(out), nil
}

// shell runs a line as an administrator would type it in the jail.
func (j *jail) shell(line string) (string, error) { return j.output("/opt/bin/sh", "-c", line) }

// logbook collects lines and writes them to a file.
type logbook struct {
	mu   sync.Mutex
	file *os.File
}

func newLogbook(name string) (*logbook, error) {
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(logDir, name+".log"))
	return &logbook{file: f}, err
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

// count tells how often the log has a text.
func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := os.ReadFile(l.file.Name())
	if err != nil {
		return 0 // nothing was written yet
	}
	return strings.Count(string(all), text)
}

// syslog stands in for the syslog daemon that both MTAs write to.
func (j *jail) syslog(name string) (*logbook, error) {
	book, err := newLogbook(name)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: j.path("dev/log")})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(j.path("dev/log"), 0o666); err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			line := bytes.TrimRight(buf[:n], "\n\x00")
			if end := bytes.IndexByte(line, '>'); end >= 0 && bytes.HasPrefix(line, []byte("<")) {
				line = line[end+1:] // the priority
			}
			_, _ = book.Write(append(bytes.Clone(line), '\n'))
		}
	}()
	return book, nil
}
