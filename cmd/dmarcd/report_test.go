package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/present"
	dmarcreport "dmarcd/internal/report"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/store"
)

// mailTaker takes mails, but not for what begins with "dead".
type mailTaker struct {
	mu    sync.Mutex
	mails []string
}

func (k *mailTaker) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailTakerSession{k}, nil }

type mailTakerSession struct{ *mailTaker }

func (mailTakerSession) Mail(string, *smtp.MailOptions) error { return nil }
func (mailTakerSession) Reset()                               {}
func (mailTakerSession) Logout() error                        { return nil }

func (mailTakerSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "dead") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return nil
}

func (p mailTakerSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, string(data))
	return err
}

// reportSite is a state directory with mail of yesterday.
func reportSite(t *testing.T) (path string, sink *mailTaker) {
	t.Helper()
	sink = &mailTaker{}
	server := smtp.NewServer(sink)
	server.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); _ = l.Close(); <-served })

	dir, err := os.MkdirTemp("", "dmarcd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", "mode: enforce\n")
	path = filepath.Join(dir, "dmarcd.yaml")
	write("dmarcd.yaml", fmt.Sprintf(`
authserv_id: mx.receiver.example
state_dir: %s
resolver: {servers: ["127.0.0.1:9"], timeout: 100ms, budget: 1s}
reports: {enabled: true, org_name: Receiver, email: dmarc@receiver.example, smtp: %q}
`, dir, l.Addr()))
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:dmarcd.db", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	day := memory.DayOf(time.Now()) - 1
	batch := memory.Batch{Journal: "j", To: memory.Position{Segment: 1, Offset: 1}}
	for domain, to := range map[string]string{"good.example": "rua@good.example", "bad.example": "dead@bad.example"} {
		row := dmarcreport.Row{
			SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: dmarcreport.DispositionReject,
			DKIM: dmarcreport.DMARCFail, SPF: dmarcreport.DMARCFail, HeaderFrom: domain,
		}
		batch.Aggregates = append(batch.Aggregates, memory.Aggregate{
			Day: day, PolicyDomain: dns.MustParse(domain), Record: "v=DMARC1; p=reject; rua=mailto:" + to,
			Row: string(row.AppendKey(nil)), Failed: true, Count: 3, Last: day.Begin().Unix(),
		})
	}
	if err := s.Load(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return path, sink
}

// serveService answers commands as the daemon does.
func serveService(t *testing.T, path string) {
	t.Helper()
	config, err := lookAtSettings(path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := daemon.ReportsConfig(config, version)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), daemon.StoreConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := daemon.NewResolver(config)
	if err != nil {
		t.Fatal(err)
	}
	p := outgoing.New(outgoing.Options{
		Store: s.Reports(), Resolver: resolver, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Timing: outgoing.Timing{Tick: 20 * time.Millisecond, Plan: time.Hour, SpreadEach: time.Hour},
	}, c)
	l, err := admin.Listen(admin.SocketPath(config.StateDir))
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(admin.Config{Version: version, Service: &api.Service{Reports: p.Service()}})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	serving.Go(func() { _ = p.Run(t.Context()) })
	t.Cleanup(func() {
		_ = server.Shutdown(t.Context())
		serving.Wait()
		resolver.Close()
		_ = s.Close()
	})
}

// TestReportCommands asks the service of a daemon, and the store itself.
func TestReportCommands(t *testing.T) {
	t.Run("store", func(t *testing.T) {
		path, sink := reportSite(t)
		reportCommands(t, path, sink)
	})
	t.Run("daemon", func(t *testing.T) {
		path, sink := reportSite(t)
		serveService(t, path)
		reportCommands(t, path, sink)
	})
}

// TestReportListTellsThatReportsAreOff says so where mail is counted for reports that
// nobody makes.
func TestReportListTellsThatReportsAreOff(t *testing.T) {
	path, _ := reportSite(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{
		"mode: enforce\n": "No reports are made: reports.enabled is false in dmarcd.yaml. Mail is counted for them (daily_reports in policy.yaml).\n",
		"default: {dmarc: {daily_reports: false}}\n": "No reports are made: reports.enabled is false in dmarcd.yaml.\n",
	} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "policy.yaml"), []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(text, []byte("enabled: true"), []byte("enabled: false"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"report", "list", "-c", path}, present.Streams{Out: &out, Err: &errs}); code != exitFine || !strings.Contains(out.String(), want) {
			t.Errorf("%s: code %d, %s%s", policy, code, out.String(), errs.String())
		}
	}
}

// reportCommandCase is a command line and what comes of it.
type reportCommandCase struct {
	args string
	code int
	want []string // in the output
}

func reportCommandCases(yesterday, file string) []reportCommandCase {
	return []reportCommandCase{
		{"report", exitUsage, []string{"which one?"}},
		{"report send nonsense..example", exitUsage, []string{"nonsense"}},
		{"report send good.example tomorrow", exitUsage, []string{"2026-11-24"}},
		{"report send good.example 2999-01-01", exitUsage, []string{"is not over"}},
		{"report send none.example", exitNo, []string{"no mail from none.example was counted on"}},
		{"report send good.example " + yesterday, exitFine, []string{yesterday, "good.example", "3 messages, 1 row", "sent", "rua@good.example"}},
		{"report send good.example", exitFine, []string{"made before"}},
		{"report send bad.example --json", exitNo, []string{`"state":"failed"`, `"cause":"refused"`}},
		{"report list --day yesterday --domain good.example", exitFine, []string{"rua@good.example", "Suppressed destinations: 1"}},
		{"report list --state failed --json", exitFine, []string{`"domain":"bad.example"`}},
		{"report list --state lost", exitUsage, []string{"unverified"}},
		{"report list --domain none.example", exitFine, nil},
		{"report suppress --list", exitFine, nil},
		{"report list --day yesterday --since today", exitUsage, []string{"do not go together"}},
		{"report show good.example --day " + yesterday, exitFine, []string{"Report-ID", ".xml.gz", "made"}},
		{"report show good.example --xml", exitFine, []string{"<feedback", "<count>3</count>"}},
		{"report show good.example -o " + file, exitFine, nil},
		{"report show good.example -o " + file, exitUsage, []string{"exists"}},
		{"report show 99", exitNo, []string{"no report with the number 99"}},
		{"report show none.example --day " + yesterday, exitNo, []string{"dmarcd report list --domain none.example", "dmarcd report send none.example " + yesterday}},
		{"report suppress *.example.com", exitUsage, []string{"reports.exclude"}},
		{"report suppress \x1b[31mFAKE@x.example", exitUsage, []string{"neither an address"}},
		{"report suppress", exitFine, []string{"dead@bad.example", "no such user"}},
		{"report suppress rua@good.example --for 30d --reason asked", exitFine, []string{"rua@good.example", "asked"}},
		{"report send good.example", exitNo, []string{"suppressed"}},
		{"report suppress --remove rua@good.example", exitFine, []string{"again"}},
		{"report suppress --remove rua@good.example", exitNo, []string{"was not suppressed"}},
		{"report suppress --list --json --all", exitFine, []string{`"target":"dead@bad.example"`}},
		{"report retry", exitUsage, []string{"--failed"}},
		{"report retry --failed --day today", exitNo, []string{": 0"}},
		{"report retry --state suppressed --json", exitFine, []string{`"queued":1`}},
		{"report retry --state sent", exitUsage, []string{"by name"}},
		{"report retry x", exitUsage, []string{"report list"}},
	}
}

func reportCommands(t *testing.T, path string, sink *mailTaker) {
	yesterday := (memory.DayOf(time.Now()) - 1).String()
	file := filepath.Join(t.TempDir(), "r.xml.gz")

	for _, c := range reportCommandCases(yesterday, file) {
		var out, errs bytes.Buffer
		args := strings.Fields(c.args)
		if len(args) > 1 {
			args = append(args, "-c", path)
		}
		code := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		all := out.String() + errs.String()
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.args, code, c.code, all)
		}
		if strings.Contains(all, "outgoing:") || strings.Contains(all, "store:") {
			t.Errorf("%s: names of packages in\n%s", c.args, all)
		}
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q in\n%s", c.args, want, all)
			}
		}
		if strings.Contains(c.args, "--json") {
			if err := json.Unmarshal(bytes.SplitN(out.Bytes(), []byte("\n"), 2)[0], &map[string]any{}); err != nil {
				t.Errorf("%s: %v", c.args, err)
			}
		}

	}

	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dmarcreport.Parse(z, dmarcreport.Limits{}, nil); err != nil || got.Messages != 3 {
		t.Errorf("the file: %v", err)
	}
	waitUntil(t, func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.mails) == 3
	})
}
