package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-smtp"

	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/report/analysis"
)

var soakIntake = flag.Int("soak.intake", 2, "how often TestIntakeKilled kills the daemon for each way in")

// intakeSite is a daemon that takes in reports every way, and is killed meanwhile.
type intakeSite struct {
	*soakSite
	imap  *imapmemserver.User
	given int // reports that were taken: the daemon must have them
}

// newIntakeSite writes the configuration, and starts an IMAP server.
func newIntakeSite(t *testing.T, storeURL string) *intakeSite {
	t.Helper()
	s := &intakeSite{imap: imapmemserver.NewUser("reports", "secret")}
	if err := s.imap.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	memory := imapmemserver.New()
	memory.AddUser(s.imap)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return memory.NewSession(), nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapIdle: {}}, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret\n")
	port := l.Addr().(*net.TCPAddr).Port
	s.soakSite = newSoakSite(t, storeURL, "")
	more := fmt.Sprintf("analysis:\n  domains: [example.com]\n  addresses: [dmarc@mx.example.org]\n  lmtp: \"unix:%s\"\n  folder: %s\n"+
		"  imap: [{host: 127.0.0.1, port: %d, tls: none, user: reports, password_file: %s, poll: 10s, done_folder: Done}]\n",
		s.path("lmtp.sock"), s.path("in"), port, secret)
	content, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, string(content)+more)
	for _, name := range []string{"in", "out"} {
		if err := os.Mkdir(s.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *intakeSite) path(name string) string { return filepath.Join(s.dir, name) }

// reportFile is report number n, about one message, compressed.
func reportFile(n int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "<feedback><report_metadata><org_name>R</org_name><email>dmarc@good.example</email><report_id>%d</report_id><date_range><begin>1780272000</begin><end>1780358399</end></date_range></report_metadata>"+
		"<policy_published><domain>example.com</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>"+
		"<identifiers><header_from>example.com</header_from></identifiers><auth_results/></record></feedback>", n)
	_ = z.Close() // a buffer takes all
	return b.Bytes()
}

func reportMail(n int) string {
	return fmt.Sprintf("From: dmarc@good.example\r\nTo: dmarc@mx.example.org\r\nSubject: Report Domain: example.com\r\nMessage-ID: <%d@good.example>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n", n, base64.StdEncoding.EncodeToString(reportFile(n)))
}

// intakeRoutes give report number n to the daemon, and report whether it was taken.
var intakeRoutes = map[string]func(s *intakeSite, n int) bool{
	"milter": (*intakeSite).byMilter, "lmtp": (*intakeSite).byLMTP, "imap": (*intakeSite).byIMAP, "folder": (*intakeSite).byFolder, "ingest": (*intakeSite).byIngest,
}

func (s *intakeSite) byMilter(n int) bool {
	mta, err := miltertest.Open("unix", s.socket, miltertest.Postfix())
	if err != nil {
		return false
	}
	defer mta.Quit()
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		return false
	}
	res, err := mta.Send(&miltertest.Message{
		From: "<dmarc@good.example>", Rcpts: []string{"<dmarc@mx.example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", fmt.Sprint(n)}}, Raw: []byte(reportMail(n)),
	})
	return err == nil && res.Accepts()
}

func (s *intakeSite) byLMTP(n int) bool {
	conn, err := net.Dial("unix", s.path("lmtp.sock"))
	if err != nil {
		return false
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	if c.Mail("dmarc@good.example", nil) != nil || c.Rcpt("dmarc@mx.example.org", nil) != nil {
		return false
	}
	w, err := c.Data()
	if err != nil {
		return false
	}
	_, err = io.WriteString(w, reportMail(n))
	return err == nil && w.Close() == nil
}

type imapLiteral struct{ *strings.Reader }

func (s *intakeSite) byIMAP(n int) bool {
	_, err := s.imap.Append("INBOX", imapLiteral{strings.NewReader(reportMail(n))}, &imap.AppendOptions{})
	return err == nil
}

func (s *intakeSite) byFolder(n int) bool {
	name := fmt.Sprintf("%d.xml.gz", n)
	if err := os.WriteFile(s.path("out/"+name), reportFile(n), 0o644); err != nil {
		return false
	}
	return os.Rename(s.path("out/"+name), s.path("in/"+name)) == nil
}

func (s *intakeSite) byIngest(n int) bool {
	cmd := exec.Command("dmarcd", "analysis", "ingest", "-c", s.config, "-")
	cmd.Stdin = bytes.NewReader(reportFile(n))
	return cmd.Run() == nil
}

// give gives reports one after the other until ctx ends, each again until it is taken.
func (s *intakeSite) give(ctx context.Context, route func(*intakeSite, int) bool) {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		if route(s, s.given+1) {
			s.given++
		}
		<-pause.C
	}
}

// counts asks the running daemon for the messages of all reports, and for the reports
// that are stored.
func (s *intakeSite) counts(t *testing.T) (messages, reports int64) {
	t.Helper()
	db := s.openStore()
	defer db.Close() //nolint:errcheck // read only
	q := analysis.Query{Filter: analysis.Filter{All: true}}
	page, err := db.Overview(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Rows {
		messages += r.Messages
	}
	totals, err := db.Totals(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return messages, totals.Reports
}

// TestIntakeStoreAway stops PostgreSQL while reports come in by each way that does not
// wait for it: all are taken, and stored once it is back.
func TestIntakeStoreAway(t *testing.T) {
	server, control := ownPostgres(t)
	ctl := func(word string) {
		t.Helper()
		if out, err := exec.Command(control, word).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", word, err, out)
		}
	}
	s := newIntakeSite(t, postgresDatabase(t, server))
	s.start()
	ways := []string{"milter", "lmtp", "folder", "imap"}
	give := func(n int) {
		t.Helper()
		for range n {
			for _, name := range ways {
				if !intakeRoutes[name](s, s.given+1) {
					t.Fatalf("report %d is not taken by %s", s.given+1, name)
				}
				s.given++
			}
		}
	}
	counted := func() bool {
		messages, _ := s.counts(t)
		return messages >= int64(s.given)
	}
	give(2)
	s.awaitMoved(2)
	waitUntil(t, counted)
	ctl("stop")
	give(25)
	if s.byIngest(s.given + 1) {
		t.Error("ingest says that a report was stored while the store is away")
	}
	ctl("start")
	s.awaitMoved(27)
	if !s.byIngest(s.given + 1) { // the same again: it may have been stored meanwhile
		t.Error("ingest does not store a report although the store is back")
	}
	s.given++
	began := time.Now()
	for !counted() {
		if time.Since(began) > time.Minute {
			break
		}
		<-time.After(200 * time.Millisecond)
	}
	s.stop()
	if messages, reports := s.counts(t); messages != int64(s.given) || reports != int64(s.given) {
		t.Errorf("%d reports were taken; counted are %d, with %d messages", s.given, reports, messages)
	}
	t.Logf("%d reports came while the store was away, and all are counted", 25*len(ways))
}

// TestIntakeKilled kills the daemon at random instants while it takes in reports, by
// each route: each report that it took is counted, and none twice.
func TestIntakeKilled(t *testing.T) {
	for name, route := range intakeRoutes {
		t.Run("sqlite/"+name, func(t *testing.T) { intakeKilled(t, "sqlite:dmarcd.db", name, route) })
		t.Run("postgres/"+name, func(t *testing.T) {
			server := os.Getenv("DMARCD_TEST_POSTGRES")
			if server == "" {
				t.Skip("DMARCD_TEST_POSTGRES names no server; scripts/with-postgres starts one")
			}
			intakeKilled(t, postgresDatabase(t, server), name, route)
		})
	}
}

func intakeKilled(t *testing.T, storeURL, name string, route func(*intakeSite, int) bool) {
	s := newIntakeSite(t, storeURL)
	for range *soakIntake {
		s.start()
		if name == "imap" && route(s, s.given+1) { // it is read once the daemon leads: on PostgreSQL, some time after the one before is gone
			s.given++
			s.awaitMoved(s.mails("Done") + 1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var giving sync.WaitGroup
		giving.Go(func() { s.give(ctx, route) })
		alive := time.After(time.Duration(50+rand.IntN(900)) * time.Millisecond)
		<-alive
		s.kill()
		cancel()
		giving.Wait()
	}
	s.start()
	if name == "imap" {
		s.awaitMoved(s.given)
	}
	if name == "ingest" || name == "lmtp" || name == "milter" { // what was under way when it was killed comes again
		if !route(s, s.given+1) {
			t.Fatal("the last report is not taken")
		}
		s.given++
	}
	var messages, reports int64
	waitUntil(t, func() bool {
		messages, reports = s.counts(t)
		return messages >= int64(s.given)
	})
	if name == "imap" { // each mail ends up in the done folder, once
		waitUntil(t, func() bool { return s.mails("INBOX") == 0 })
		if n := s.mails("Done"); n != s.given {
			t.Errorf("%d mails in the done folder, want %d", n, s.given)
		}
	}
	s.stop()
	if messages, reports = s.counts(t); messages != int64(s.given) || reports != int64(s.given) {
		t.Errorf("%d reports were taken; counted are %d, with %d messages", s.given, reports, messages)
	}
	t.Logf("killed %d times, %d reports taken and counted", *soakIntake, reports)
}

// awaitMoved waits until so many mails are in the done folder.
func (s *intakeSite) awaitMoved(n int) {
	s.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(time.Minute)
	for s.mails("Done") < n {
		select {
		case <-look.C:
		case <-late:
			s.t.Fatalf("%d mails of %d are in the done folder after a minute", s.mails("Done"), n)
		}
	}
}

// mails counts those in a folder.
func (s *intakeSite) mails(folder string) int {
	data, err := s.imap.Status(folder, &imap.StatusOptions{NumMessages: true})
	if err != nil { // not there yet
		return 0
	}
	return int(*data.NumMessages)
}
