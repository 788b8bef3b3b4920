package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/memory"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/store"
)

// soakZone has a domain whose mail passes, and one whose mail fails.
const soakZone = `
good.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.good.example TXT "v=DMARC1; p=reject; rua=mailto:dmarc@good.example"
bad.example TXT "v=spf1 -all"
_dmarc.bad.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@bad.example"
`

// soakSite is a daemon of the real binary in a process of its own, which can be
// killed, and what it was asked and answered.
type soakSite struct {
	t      *testing.T
	dir    string
	config string
	socket string
	store  string // as the key has it
	daemon *exec.Cmd
	passed *os.File // the listening socket, where systemd would open it; nil for a daemon that does
	output *lockedOutput
	next   atomic.Int64 // number of the last message

	mu       sync.Mutex
	answered []string // queue ids
}

// newSoakSite writes the configuration; nothing runs yet. More is put below it.
func newSoakSite(t *testing.T, storeURL, more string) *soakSite {
	t.Helper()
	zone := dnstest.New(t, soakZone)
	dir := t.TempDir()
	s := &soakSite{t: t, dir: dir, config: filepath.Join(dir, "dmarcd.yaml"), socket: filepath.Join(dir, "milter.sock"), store: storeURL}
	write(t, filepath.Join(dir, "policy.yaml"), "{}\n")
	write(t, s.config, fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"unix:%s\"]\nhttp: {listen: \"\"}\nresolver: {servers: [%q]}\n"+
		"state_dir: %s\nstore: %q\nlog: {level: warn}\n%s", s.socket, zone.Addr, dir, storeURL, more))
	return s
}

// start runs the daemon and waits until it says that it is ready.
func (s *soakSite) start() {
	s.t.Helper()
	path := filepath.Join(s.dir, "notify.sock")
	_ = os.Remove(path) // of the run before
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		s.t.Fatal(err)
	}
	defer notify.Close()
	s.output = &lockedOutput{}
	s.daemon = exec.Command("dmarcd", "serve", "-c", s.config)
	s.daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	if s.passed != nil {
		s.daemon = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=milter exec dmarcd serve -c "$0"`, s.config)
		s.daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
		s.daemon.ExtraFiles = []*os.File{s.passed}
	}
	s.daemon.Stdout, s.daemon.Stderr = s.output, s.output
	s.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.daemon.Process.Kill() }) // fails where it has ended
	if err := notify.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			s.t.Fatalf("the daemon does not get ready: %v\n%s", err, s.output)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return
		}
	}
}

// kill ends the daemon as a crash would.
func (s *soakSite) kill() {
	s.t.Helper()
	if err := s.daemon.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.daemon.Wait() // the status is that of the signal
}

// stop ends the daemon as an operator would.
func (s *soakSite) stop() {
	s.t.Helper()
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.daemon.Wait(); err != nil {
		s.t.Fatalf("the daemon ended with %v\n%s", err, s.output)
	}
}

// send sends numbered messages over one connection, every other one failing, until
// ctx ends or the connection does. Before each it waits for pace, where there is
// one. Took is told of each answer.
func (s *soakSite) send(ctx context.Context, pace <-chan time.Time, took func(time.Duration)) {
	mta, err := miltertest.Open("unix", s.socket, miltertest.Postfix())
	if err != nil {
		return // it was killed
	}
	defer mta.Quit()
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		return
	}
	for ctx.Err() == nil {
		if pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
				return
			}
		}
		n := s.next.Add(1)
		id, domain := fmt.Sprintf("Q%08d", n), "good.example"
		if n%2 == 0 {
			domain = "bad.example"
		}
		began := time.Now()
		res, err := mta.Send(&miltertest.Message{
			From: "<a@" + domain + ">", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", id}},
			Raw: []byte("From: a@" + domain + "\r\nMessage-ID: <" + id + "@" + domain + ">\r\nSubject: x\r\n\r\nbody\r\n"),
		})
		if err != nil {
			return // killed before it answered
		}
		if !res.Accepts() {
			s.t.Errorf("message %s: %+v", id, res.Answer)
		}
		if took != nil {
			took(time.Since(began))
		}
		s.mu.Lock()
		s.answered = append(s.answered, id)
		s.mu.Unlock()
	}
}

// awaitLog waits until the log has such a line.
func (s *soakSite) awaitLog(line string) {
	s.t.Helper()
	for limit := time.Now().Add(time.Minute); !strings.Contains(s.output.String(), line); <-time.After(time.Millisecond) {
		if time.Now().After(limit) {
			s.t.Fatalf("the log has no %q:\n%s", line, s.output)
		}
	}
}

// openStore opens what the daemon, which is stopped, has left.
func (s *soakSite) openStore() *store.Store {
	s.t.Helper()
	db, err := store.Open(s.t.Context(), store.Config{URL: s.store, Dir: s.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() }) // read only
	return db
}

// counted holds the store to every answered message once, and none twice.
func (s *soakSite) counted() {
	s.t.Helper()
	db := s.openStore()
	seen := map[string]int{}
	if err := db.Records(s.t.Context(), time.Time{}, time.Now().Add(time.Hour), func(r *memory.Record) error {
		seen[r.QueueID]++
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	lost, twice := 0, 0
	for _, id := range s.answered {
		if seen[id] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	if lost > 0 || twice > 0 {
		s.t.Errorf("%d messages answered; %d of them are not in the store, %d are in it twice", len(s.answered), lost, twice)
	}
	s.checkAggregates(db, seen)
	s.t.Logf("%d messages answered, %d remembered", len(s.answered), len(seen))
}

// checkAggregates holds the counts for reports to the messages remembered.
func (s *soakSite) checkAggregates(db *store.Store, seen map[string]int) {
	s.t.Helper()
	const most = 1000 // policy domains of a day
	var messages int64
	today := memory.DayOf(time.Now())
	for day := today - 1; day <= today+1; day++ {
		totals, err := db.Reports().Domains(s.t.Context(), day, dns.Name{}, most)
		if err != nil || len(totals) == most {
			s.t.Fatalf("%d policy domains, %v", len(totals), err)
		}
		for _, d := range totals {
			messages += d.Messages
		}
	}
	if messages != int64(len(seen)) {
		s.t.Errorf("reports would tell of %d messages, %d are remembered", messages, len(seen))
	}
}

// lockedOutput is what a process has written.
type lockedOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *lockedOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *lockedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
