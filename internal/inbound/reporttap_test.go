package inbound_test

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/inbound"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/spool"
)

const (
	analysisYAML = `analysis: {addresses: [Dmarc@example.org, {address: "*@rua.example.org", domains_by_local_part: {acme: [acme.example]}}]}`
	discardYAML  = "analysis: {discard: true, addresses: [dmarc@example.org, second@example.org]}"
)

// reportRig is a rig whose report mail goes into a spool.
type reportRig struct {
	*rig
	spool  *spool.Spool
	tap    *inbound.ReportTap
	tapLog *lockedBuffer
}

func newReportRig(t *testing.T, c spool.Config, policy string, extra ...string) *reportRig {
	t.Helper()
	c.Dir = t.TempDir()
	s, err := spool.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := &reportRig{spool: s, tapLog: &lockedBuffer{}}
	r.tap = inbound.NewReportTap(s, slog.New(slog.NewJSONHandler(r.tapLog, nil)))
	r.rig = newTappedRig(t, time.Now, []inbound.Tap{r.tap}, behaviourZone, policy, extra...)
	return r
}

// spooled takes all that is in the spool.
func spooled(t *testing.T, s *spool.Spool) (metas []spool.Meta, mails []string) {
	t.Helper()
	for s.Stats().Mails > 0 {
		item, err := s.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mail, err := io.ReadAll(item.Reader())
		if err != nil {
			t.Fatal(err)
		}
		metas, mails = append(metas, item.Meta), append(mails, string(mail))
		if err := item.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	return metas, mails
}

// TestReportTap has what is taken of mail to the addresses of the analysis.
func TestReportTap(t *testing.T) {
	genuine, forged := from("reject.example").by("198.51.100.1"), from("reject.example").by("203.0.113.9")
	rewritten := genuine.to("alias@example.net")
	rewritten.macros = map[byte][]string{miltertest.CmdRcpt: {"{rcpt_addr}", "dmarc@example.org"}}
	marked := genuine.to("dmarc@example.org")
	marked.macros = testMail
	const monitor, quarantining = "{mode: monitor}", "{default: {dmarc: {actions: {reject: quarantine}}}}"
	cases := []struct {
		name, policy, extra string
		mail                mail
		answer              string
		trust               spool.Trust // "" where nothing is taken
		addresses           string
	}{
		{"authenticated", "{}", analysisYAML, genuine.to("dmarc@example.org"), "accept", spool.Authenticated, "dmarc@example.org"},
		{"failed and let in", monitor, analysisYAML, forged.to("dmarc@example.org"), "accept", spool.Failed, "dmarc@example.org"},
		{"without a record", "{}", analysisYAML, from("norecord.example").to("dmarc@example.org"), "accept", spool.Failed, "dmarc@example.org"},
		{"held", quarantining, analysisYAML, forged.to("dmarc@example.org"), "quarantine", spool.Failed, "dmarc@example.org"},
		{"held, to be discarded", quarantining, discardYAML, forged.to("dmarc@example.org"), "quarantine", spool.Failed, "dmarc@example.org"},
		{"rejected", "{}", analysisYAML, forged.to("dmarc@example.org"), "reject", "", ""},
		{"rejected, to be discarded", "{}", discardYAML, forged.to("dmarc@example.org"), "reject", "", ""},
		{"discarded by policy", "{default: {spf: {enabled: true, actions: {fail: discard}}}}", analysisYAML, forged.to("dmarc@example.org"), "discard", "", ""},
		{"trusted network", "{}", analysisYAML + "\ntrusted_networks: [203.0.113.0/24]", forged.to("dmarc@example.org"), "accept", spool.NotKnown, "dmarc@example.org"},
		{"logged in", "{}", discardYAML, loggedIn(forged).to("dmarc@example.org"), "discard", spool.NotKnown, "dmarc@example.org"},
		{"not ours", "{managed: [example.net]}", analysisYAML, genuine.to("dmarc@example.org"), "accept", spool.NotKnown, "dmarc@example.org"},
		{"spelled otherwise", "{}", analysisYAML, genuine.to("DMARC@EXAMPLE.ORG"), "accept", spool.Authenticated, "dmarc@example.org"},
		{"a customer's own", "{}", analysisYAML, genuine.to("Acme@rua.example.org"), "accept", spool.Authenticated, "acme@rua.example.org"},
		{"as the MTA reads it", "{}", analysisYAML, rewritten, "accept", spool.Authenticated, "dmarc@example.org"},
		{"among others", "{}", discardYAML, genuine.to("bob@example.org", "dmarc@example.org"), "accept", spool.Authenticated, "dmarc@example.org"},
		{"two of them, dropped", "{}", discardYAML, genuine.to("second@example.org", "dmarc@example.org"), "discard", spool.Authenticated, "second@example.org dmarc@example.org"},
		{"somebody else", "{}", analysisYAML, genuine.to("bob@example.org"), "accept", "", ""},
		{"an extension is another mailbox", "{}", analysisYAML, genuine.to("dmarc+x@example.org"), "accept", "", ""},
		{"switched off", "{}", "analysis: {enabled: false, addresses: [dmarc@example.org]}", genuine.to("dmarc@example.org"), "accept", "", ""},
		{"a test", "{}", analysisYAML, marked, "accept", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newReportRig(t, spool.Config{}, c.policy, c.extra)
			if got := outcomeWord(r.send(c.mail)); got != c.answer {
				t.Errorf("answer %s, want %s", got, c.answer)
			}
			stats := r.tap.Stats()
			metas, mails := spooled(t, r.spool)
			if c.trust == "" {
				if len(mails) > 0 || r.spool.Stats().Bytes != 0 || stats != (inbound.ReportTapStats{}) {
					t.Errorf("taken: %+v, %+v", metas, stats)
				}
				return
			}
			if len(mails) != 1 || mails[0] != crlf(c.mail.raw) || stats.Taken != 1 || stats.Lost != 0 || (stats.Dropped == 1) != (c.answer == "discard") {
				t.Fatalf("taken: %q, %+v", mails, stats)
			}
			m := metas[0]
			if m.Feed != inbound.ReportFeed || m.Trust != c.trust || strings.Join(m.Addresses, " ") != c.addresses || m.At.IsZero() {
				t.Errorf("kept of it: %+v", m)
			}
			if author := m.Author != ""; author != (c.trust != spool.NotKnown) {
				t.Errorf("author %q of mail that is %s", m.Author, m.Trust)
			}
			if dropped := strings.Contains(r.log.String(), `"dropped":true`); dropped != (c.answer == "discard") {
				t.Errorf("the log: %s", r.log)
			}
		})
	}
}

// TestReportTapKeepsTheWholeMail has long and too long bodies, several messages on one
// connection, and one that is broken off.
func TestReportTapKeepsTheWholeMail(t *testing.T) {
	r := newReportRig(t, spool.Config{}, "{}", "analysis: {addresses: [dmarc@example.org], limits: {mail_bytes: 2MiB}}")
	mta := r.open(miltertest.Peer{Addr: "198.51.100.1"}, miltertest.Postfix())
	plain := from("reject.example").to("dmarc@example.org")
	long, tooLong := plain, plain
	long.raw += strings.Repeat("This line is one of many.\n", 60_000)
	tooLong.raw += strings.Repeat("This line is one of too many.\n", 100_000)
	var want []string
	for _, m := range []mail{plain, long, tooLong, plain.to("bob@example.org"), plain} {
		if res := r.sendOn(mta, m); !res.Accepts() {
			t.Fatalf("answer %+v", res.Answer)
		}
		if slices.Contains(m.rcpts, "dmarc@example.org") {
			want = append(want, crlf(m.raw))
		}
	}
	metas, mails := spooled(t, r.spool)
	if len(mails) != len(want) {
		t.Fatalf("%d mails, want %d", len(mails), len(want))
	}
	for i, m := range metas {
		if m.Size != int64(len(want[i])) || m.TooLarge != (i == 2) || !m.TooLarge && mails[i] != want[i] || !strings.HasPrefix(want[i], mails[i]) {
			t.Errorf("mail %d: %+v, %d octets kept, want %d", i, m, len(mails[i]), len(want[i]))
		}
	}
	if st := r.spool.Stats(); st.Bytes != 0 {
		t.Errorf("%d octets are left", st.Bytes)
	}
}

// TestReportTapInTrouble delivers what cannot be kept, and counts it.
func TestReportTapInTrouble(t *testing.T) {
	genuine := from("reject.example").by("198.51.100.1").to("dmarc@example.org")
	cases := []struct {
		name   string
		config spool.Config
		harm   func(*spool.Spool)
	}{
		{"full", spool.Config{MaxBytes: 10}, func(*spool.Spool) {}},
		{"closed", spool.Config{}, (*spool.Spool).Close},
		{"no folder", spool.Config{}, func(s *spool.Spool) { removeAll(t, s.Dir()) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newReportRig(t, c.config, "{}", discardYAML)
			c.harm(r.spool)
			if got := outcomeWord(r.send(genuine)); got != "accept" {
				t.Errorf("answer %s, want accept", got)
			}
			if got := r.tap.Stats(); got != (inbound.ReportTapStats{Lost: 1}) || r.spool.Stats().Refused != 1 {
				t.Errorf("counted %+v, %+v", got, r.spool.Stats())
			}
			if !strings.Contains(r.tapLog.String(), "cannot be kept for the analysis") {
				t.Errorf("the log: %s", r.tapLog)
			}
		})
	}
}

// TestReportTapOfAbortedMail leaves nothing of a mail that is not ended.
func TestReportTapOfAbortedMail(t *testing.T) {
	r := newReportRig(t, spool.Config{}, "{}", analysisYAML)
	mta := r.open(miltertest.Peer{Addr: "198.51.100.1"}, miltertest.Postfix())
	mta.PutStrings(miltertest.CmdMail, "<a@reject.example>")
	mta.PutStrings(miltertest.CmdRcpt, "<dmarc@example.org>")
	mta.PutStrings(miltertest.CmdHeader, "Subject", " x")
	mta.Put(miltertest.CmdEOH)
	for range 10 {
		mta.Put(miltertest.CmdBody, make([]byte, 60_000))
		if p, err := mta.Get(); err != nil || p.Cmd != miltertest.RespContinue {
			t.Fatalf("answer to a part of the body: %+v, %v", p, err)
		}
	}
	mta.Put(miltertest.CmdAbort)
	if res := r.sendOn(mta, from("reject.example")); !res.Accepts() {
		t.Errorf("answer %+v", res.Answer)
	}
	if got := r.spool.Stats(); got.Bytes != 0 || got.Mails != 0 || r.tap.Stats() != (inbound.ReportTapStats{}) {
		t.Errorf("kept: %+v, %+v", got, r.tap.Stats())
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}
