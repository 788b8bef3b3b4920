package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/milter/miltertest"
	dmarcreport "dmarcd/internal/report"
)

// TestInterceptedMailIsCounted sends mail that other checks than DMARC intercept through
// the daemon: the reports to its domain tell of it, with what was done and local_policy.
func TestInterceptedMailIsCounted(t *testing.T) {
	s := newSoakSite(t, "sqlite:dmarcd.db", "")
	write(t, s.dir+"/policy.yaml", `
default:
  sender_ip_match: [{domain: good.example, networks: [198.51.100.7, 192.0.2.0/24], action: quarantine}]
  spf: {enabled: true, actions: {fail: reject, softfail: quarantine}}
  dkim: {enabled: true, actions: {none: reject}}
domains:
  silent.example: {dmarc: {daily_reports: false}, spf: {enabled: true}}
  off.example: {dmarc: {enabled: false}, spf: {enabled: true}}
  watching.example: {mode: monitor, spf: {enabled: true}}
`)
	s.start()
	for _, m := range []struct {
		client, from, rcpt string
		answer             string
	}{
		{"203.0.113.9", "good.example", "example.org", "quarantine"},   // not from its networks
		{"203.0.113.9", "bad.example", "example.org", "reject"},        // standalone SPF
		{"192.0.2.7", "good.example", "example.org", "reject"},         // standalone DKIM; a known network
		{"203.0.113.9", "bad.example", "silent.example", "reject"},     // counted for nobody
		{"203.0.113.9", "bad.example", "off.example", "reject"},        // DMARC does not run
		{"203.0.113.9", "bad.example", "watching.example", "accept"},   // only watched
		{"198.51.100.7", "good.example", "watching.example", "accept"}, // passes
	} {
		mta, err := miltertest.Open("unix", s.socket, miltertest.Postfix())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mta.Greet(miltertest.Peer{Addr: m.client}); err != nil {
			t.Fatal(err)
		}
		res, err := mta.Send(&miltertest.Message{
			From: "<a@" + m.from + ">", Rcpts: []string{"<user@" + m.rcpt + ">"},
			Raw: []byte("From: a@" + m.from + "\r\nSubject: x\r\n\r\nbody\r\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := "accept"
		switch {
		case res.Quarantine() != "":
			answer = "quarantine"
		case res.Code == 550:
			answer = "reject"
		}
		if answer != m.answer {
			t.Errorf("mail of %s from %s to %s: %s, want %s", m.from, m.client, m.rcpt, answer, m.answer)
		}
		_ = mta.Quit() // it was answered
	}
	s.stop()
	got := strings.Join(s.rows(), "\n")
	want := strings.Join([]string{
		"bad.example 203.0.113.9 none",
		"bad.example 203.0.113.9 reject local_policy (local check of SPF)",
		"good.example 192.0.2.7 reject local_policy (local check of DKIM)",
		"good.example 198.51.100.7 pass",
		"good.example 203.0.113.9 quarantine local_policy (not from a known sending network)",
	}, "\n")
	if got != want {
		t.Errorf("counted:\n%s\nwant:\n%s", got, want)
	}
}

// rows are the rows of the reports of today: domain, client, disposition and reasons.
func (s *soakSite) rows() (lines []string) {
	s.t.Helper()
	const most = 1000
	counts, today := s.openStore().Reports(), memory.DayOf(time.Now())
	for _, domain := range []string{"bad.example", "good.example"} {
		for day := today - 1; day <= today; day++ { // midnight may have passed
			counted, err := counts.Rows(s.t.Context(), day, dns.MustParse(domain), false, 0, most)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, c := range counted {
				row, err := dmarcreport.ParseKey(c.Key)
				if err != nil {
					s.t.Fatal(err)
				}
				line := fmt.Sprintf("%s %s %s", domain, row.SourceIP, row.Disposition)
				for _, r := range row.Reasons {
					line += fmt.Sprintf(" %s (%s)", r.Type, r.Comment)
				}
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// TestExplainLongMessageID looks a message up by the whole of a Message-ID that is longer
// than what is kept of it, through the socket of the running daemon.
func TestExplainLongMessageID(t *testing.T) {
	s := newSoakSite(t, "sqlite:dmarcd.db", "")
	s.start()
	mta, err := miltertest.Open("unix", s.socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Greet(miltertest.Peer{Addr: "203.0.113.9"}); err != nil {
		t.Fatal(err)
	}
	id := "<" + strings.Repeat("a-long-message-id.", 40) + "@good.example>"
	res, err := mta.Send(&miltertest.Message{
		From: "<a@evil.example>", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", "QLONG"}},
		Raw: []byte("From: a@good.example\r\nMessage-ID:\r\n " + id + "\r\n\r\nbody\r\n"),
	})
	if err != nil || res.Code != 550 {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := mta.Quit(); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{id, strings.Trim(id, "<>"), memory.MessageID(id)} {
		got, stderr, code := runExplain(t, "-c", s.config, wanted)
		if code != exitFine || !strings.Contains(got, "QLONG") {
			t.Errorf("explain of %d characters: exit code %d\n%s%s", len(wanted), code, got, stderr)
		}
	}
	s.stop()
}
