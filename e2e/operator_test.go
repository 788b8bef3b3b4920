//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestStopKeepsSession stops dmarcd while an SMTP session is open: mail that comes later
// in it is judged, and the daemon ends once the session has.
func TestStopKeepsSession(t *testing.T) {
	for _, m := range here.mtas { // there is one dmarcd
		t.Run(m.name(), func(t *testing.T) { stopKeepsSession(t, m) })
	}
}

func stopKeepsSession(t *testing.T, m mta) {
	c := dial(t, m.addr(), goodClient, "mail.good.example")
	to := rcpt(t, "")
	good.check(t, m, to, c.send(good.from, good.letter.text(to), to))
	idle := dial(t, m.addr(), stranger, "client.example")
	before, stopped := here.dmarcd.log.count("stopping:"), make(chan error, 1)
	go func() { stopped <- here.dmarcd.stop() }()
	for limit := time.Now().Add(startLimit); here.dmarcd.log.count("stopping:") == before; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("dmarcd does not say that it stops")
		}
	}
	forged := "late-" + to
	here.unwanted.add(forged)
	for _, session := range []*client{c, idle} {
		session.must(session.send("ceo@bank.example", letter{from: "bank.example"}.text(forged), forged), 550)
		session.must(session.cmd("QUIT"), 221)
	}
	began := time.Now()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	t.Logf("dmarcd ended %v after the last session", time.Since(began))
	if err := here.dmarcd.start(); err != nil {
		t.Fatal(err)
	}
}

// TestHeld lists held mail, and releases and deletes it by what "dmarcd held" says.
func TestHeld(t *testing.T) {
	eachMTA(t, func(t *testing.T, m mta) {
		hold := func(t *testing.T) (to, id string) {
			to = rcpt(t, "")
			answer := dial(t, m.addr(), stranger, "client.example").send("ceo@shop.example", letter{from: "shop.example"}.text(to), to)
			if id = m.queueID(answer.text); !strings.Contains(here.dmarcd.run(t, 0, "held", "list", "--limit", "1000"), id) {
				t.Fatalf("%s is not listed: %d %s", id, answer.code, answer.text)
			}
			return to, id
		}
		shell := func(t *testing.T, does, id string) {
			for line := range strings.Lines(here.dmarcd.run(t, 0, "held", does, id, "--print")) {
				if out, err := m.shell(line); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
		}
		t.Run("release", func(t *testing.T) {
			to, id := hold(t)
			shell(t, "release", id)
			if got, arrived := here.sink.await(to, deliveryLimit); !arrived || len(got.unfolded("X-TM-Authentication-Results")) != 1 {
				t.Errorf("arrived: %v, with %q", arrived, got.fields)
			}
		})
		t.Run("delete", func(t *testing.T) {
			to, id := hold(t)
			here.unwanted.add(to)
			shell(t, "delete", id)
			if _, onHold, err := m.held(id); err != nil || onHold {
				t.Errorf("still held (%v)", err)
			}
		})
	})
}

// TestCostOfDeletions measures what deleting as many forged fields as may be costs
// Postfix, in both modes, beside the same message with fields that stay.
func TestCostOfDeletions(t *testing.T) {
	const most = 400 * time.Millisecond // 0.1 s are aimed at; other work on the machine may take as much again, and more
	const forged, kept = "X-TM-Quarantine: x\r\n", "X-TM-Quarantin_: x\r\n"
	m := here.mtas[0]
	for name, c := range map[string]struct{ padding, forged int }{
		"many":           {0, 1900},
		"some, deep":     {10_000, 190},
		"few, very deep": {100_000, 19},
	} {
		for mode, domain := range map[string]string{"enforce": "", "monitor": "watched.example"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				cost := func(field string) (cpu, wall time.Duration) {
					to := rcpt(t, domain)
					header, body, _ := strings.Cut(good.letter.text(to), "\r\n\r\n")
					text := header + "\r\n" + strings.Repeat("X-P: x\r\n", c.padding) + strings.Repeat(field, c.forged) + "\r\n" + body
					client := dial(t, m.addr(), good.client, "mail.good.example")
					client.begin(good.from, to)
					before, began := cleanupTime(t), time.Now()
					client.must(client.data(text), 250)
					wall = time.Since(began)
					client.must(client.cmd("QUIT"), 221)
					got, arrived := here.sink.await(to, deliveryLimit)
					if left := len(got.unfolded("X-TM-Quarantine")); !arrived || left != 0 {
						t.Errorf("arrived: %v, with %d of the forged fields", arrived, left)
					}
					return cleanupTime(t) - before, wall
				}
				without, _ := cost(kept)
				with, wall := cost(forged)
				t.Logf("%d fields deleted below %d: %v of CPU in cleanup, %v without; the answer took %v", c.forged, c.padding, with, without, wall)
				if with-without > most {
					t.Errorf("deleting took %v of CPU, want at most %v", with-without, most)
				}
			})
		}
	}
}

// cleanupTime is the CPU time of Postfix's cleanup processes so far.
func cleanupTime(t *testing.T) (sum time.Duration) {
	t.Helper()
	const tick = 10 * time.Millisecond // of proc_pid_stat(5)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(stat, []byte("(cleanup)")) {
			continue // it has ended, or is another
		}
		_, rest, _ := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(rest))
		for _, f := range fields[11:13] { // utime and stime
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				t.Fatal(fmt.Errorf("%s: %w", path, err))
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}
