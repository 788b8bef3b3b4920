//go:build e2e

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns/dnstest"
)

const (
	addrDNS    = "127.0.0.1:53"
	addrDaemon = "127.0.0.1:8893"
	addrSink   = "192.0.2.99:25"
	addrMX     = mxClient + ":25"
)

const mxClient = "198.51.100.80" // the mail server of the domains that ask for reports

// mta is a mail server under test.
type mta interface {
	name() string
	program() *process
	addr() string     // where it takes mail
	addrV6() string   // the same by IPv6
	addrUnix() string // where it takes mail that it asks dmarcd about by the unix socket
	socket() string   // where it expects that socket, as seen from outside its jail
	log() *logbook
	queueID(reply string) string        // from the answer to a message that it took
	held(id string) (mail, bool, error) // the header of a message on hold; false if it is not
	release(id string) error            // sends a held message on its way
	shell(line string) (string, error)  // runs a line in its jail
}

// site is all that runs: one DNS server, one sink, one dmarcd, two MTAs.
type site struct {
	zone     *dnstest.Zone
	sink     *sink
	dmarcd   *daemon
	mtas     []mta
	unwanted unwantedMail
}

// here is the site of this run; TestMain fills it in before the first test.
var here site

func runTests(m *testing.M) (code int, err error) {
	if err := enterNamespaces(); err != nil {
		return 1, err
	}
	started := time.Now()
	running, err := here.start()
	defer func() {
		for _, r := range slices.Backward(running) {
			err = errors.Join(err, r.stop())
		}
		if err == nil {
			err = here.verdict()
		}
		if code != 0 || err != nil {
			fmt.Println("e2e: the logs are in build/e2e; dmarcd's last lines:")
			printTail(filepath.Join(logDir, "dmarcd.log"), 40)
		}
	}()
	if err != nil {
		return 1, err
	}
	fmt.Printf("e2e: dmarcd, Postfix and Sendmail are up after %v\n", time.Since(started).Round(time.Millisecond))
	// Tests that run at once wait for the most part, and for other programs.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// start starts everything in the order of need and gives what is to be stopped.
func (s *site) start() (running []interface{ stop() error }, err error) {
	zone, err := os.ReadFile("testdata/zone")
	if err != nil {
		return nil, err
	}
	if s.zone, err = dnstest.ParseZone(string(zone)); err != nil {
		return nil, err
	}
	keys, err := keyRecords("good.example", "news.example", "partner.example", "silent.example", "plain.example", "example.org")
	if err != nil {
		return nil, err
	}
	if err := s.zone.Add(keys); err != nil {
		return nil, err
	}
	if _, err := dnstest.Start(addrDNS, s.zone); err != nil {
		return nil, err
	}
	s.sink = newSink(func(step, rcpt string) string {
		if step == "RCPT" && strings.HasPrefix(rcpt, "gone@") {
			return "550 5.1.1 nobody of that name"
		}
		return ""
	})
	for _, addr := range []string{addrSink, addrMX} {
		if err := s.sink.listen(addr); err != nil {
			return nil, err
		}
	}
	postfix, err := newPostfix()
	if err != nil {
		return nil, err
	}
	sendmail, err := newSendmail()
	if err != nil {
		return nil, err
	}
	s.mtas = []mta{postfix, sendmail}

	sockets := ""
	for _, m := range s.mtas {
		sockets += fmt.Sprintf("\n  - {socket: %q, mode: \"0666\"}", "unix:"+m.socket())
	}
	if s.dmarcd, err = newDaemon("dmarcd", "dmarcd.yaml", "@SOCKETS@", sockets); err != nil {
		return nil, err
	}
	running = append(running, s.dmarcd)
	if err := s.dmarcd.start(); err != nil {
		return running, err
	}
	for _, m := range s.mtas {
		p := m.program()
		if err := p.start(m.log()); err != nil {
			return running, err
		}
		running = append(running, p)
		if err := p.awaitPort(m.addr()); err != nil {
			return running, err
		}
	}
	return running, nil
}

// verdict tells what can be told only when all is over.
func (s *site) verdict() error {
	if rcpts := s.unwanted.delivered(s.sink); len(rcpts) > 0 {
		return fmt.Errorf("mail that was refused, held or broken off was delivered all the same: %v", rcpts)
	}
	return nil
}

// printTail prints the last lines of a file.
func printTail(path string, lines int) {
	text, err := os.ReadFile(path)
	if err != nil {
		return // it was not made yet
	}
	all := strings.SplitAfter(string(text), "\n")
	fmt.Print(strings.Join(all[max(0, len(all)-lines-1):], ""))
}
