package outgoing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/base64"

	"github.com/emersion/go-smtp"
	"github.com/jackc/pgx/v5"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/mailer"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// today is when the tests begin: the day before has ended.
var today = time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)

const yesterday = "2026-11-24"

// clock is set by the tests.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// rig is a pipeline with all that is round it.
type rig struct {
	testing.TB
	clock  *clock
	dsn    string
	dir    string
	store  *store.Store
	zone   *dnstest.Zone
	server *mta
	config outgoing.Config
	timing outgoing.Timing
	p      *outgoing.Pipeline
	offset map[string]int64
}

// each runs a test on SQLite, and on PostgreSQL where there is one.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newRig(t, "sqlite:test.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, newRig(t, postgres(t))) })
}

// postgres makes a schema of its own.
func postgres(t testing.TB) string {
	t.Helper()
	const env = "DMARCD_TEST_POSTGRES"
	base := os.Getenv(env)
	if base == "" {
		t.Skipf("no PostgreSQL: %s is not set (scripts/with-postgres sets it)", env)
	}
	schema := fmt.Sprintf("test_%x", rand.Uint64())
	exec := func(query string) {
		conn, err := pgx.Connect(context.Background(), base)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background()) //nolint:errcheck // a test's
		if _, err := conn.Exec(context.Background(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE SCHEMA ` + schema)
	t.Cleanup(func() { exec(`DROP SCHEMA ` + schema + ` CASCADE`) })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func newRig(t testing.TB, dsn string) *rig {
	t.Helper()
	r := &rig{
		TB: t, clock: &clock{t: today}, dsn: dsn, dir: t.TempDir(), zone: dnstest.MustZone(""), server: newMTA(t),
		offset: map[string]int64{},
	}
	r.store = r.open()
	r.config = outgoing.Config{
		Enabled: true, OrgName: "Receiver Example", Email: "dmarc@receiver.example", Contact: "https://receiver.example/dmarc",
		At: 30 * time.Minute, Scope: settings.ScopeAll, MinMessages: 1, FailuresPerHour: 60, Generator: "dmarcd/test",
		Sender: r.sender(r.server.addr),
	}
	r.p = r.pipeline()
	return r
}

func (r *rig) sender(addr string) *mailer.Mailer {
	return mailer.New(mailer.Config{Addr: addr, TLS: mailer.TLSNever, HeloName: "mx.receiver.example", Timeout: 2 * time.Second})
}

// open opens the database once more, as another daemon would.
func (r *rig) open() *store.Store {
	r.Helper()
	s, err := store.Open(context.Background(), store.Config{URL: r.dsn, Dir: r.dir, Now: r.clock.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.Fatal(err)
	}
	if err := s.Ready(context.Background()); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = s.Close() })
	return s
}

func (r *rig) pipeline() *outgoing.Pipeline { return r.pipelineOn(r.store) }

func (r *rig) pipelineOn(s *store.Store) *outgoing.Pipeline {
	return outgoing.New(outgoing.Options{
		Store: s.Reports(), Resolver: r.zone, Log: slog.New(slog.DiscardHandler), Now: r.clock.now, Timing: r.timing,
	}, r.config)
}

// change restarts with other settings.
func (r *rig) change(change func(*outgoing.Config)) {
	change(&r.config)
	r.p.Update(r.config)
}

// lead runs do as the leader.
func (r *rig) lead(do func(ctx context.Context, epoch int64) error) {
	r.Helper()
	if err := r.store.Lead(r.Context(), "test", do); err != nil {
		r.Fatal(err)
	}
}

// plan makes the reports that are due.
func (r *rig) plan() {
	r.Helper()
	r.lead(r.p.Plan)
}

// drain delivers what is due by then.
func (r *rig) drain() {
	r.Helper()
	r.lead(func(ctx context.Context, epoch int64) error {
		_, err := r.p.DrainNow(ctx, epoch)
		return err
	})
}

// night makes the reports and sends them.
func (r *rig) night() {
	r.Helper()
	r.plan()
	r.clock.add(r.spread())
	r.drain()
}

// spread is longer than first attempts are spread over.
func (r *rig) spread() time.Duration { return time.Hour + time.Minute }

// load counts aggregates.
func (r *rig) load(aggregates ...memory.Aggregate) { r.loadFrom("journal", aggregates...) }

func (r *rig) loadFrom(journal string, aggregates ...memory.Aggregate) {
	r.Helper()
	from := memory.Position{Segment: 1, Offset: r.offset[journal]}
	if r.offset[journal] == 0 {
		from = memory.Position{}
	}
	r.offset[journal]++
	err := r.store.Load(r.Context(), memory.Batch{
		Journal: journal, From: from, To: memory.Position{Segment: 1, Offset: r.offset[journal]}, Aggregates: aggregates,
	})
	if err != nil {
		r.Fatal(err)
	}
}

// aggregate is mail of a domain on a day.
func aggregate(day, domain, record string, row report.Row) memory.Aggregate {
	d, err := memory.ParseDay(day)
	if err != nil {
		panic(err)
	}
	count := max(row.Count, 1)
	row.Count = 0
	if !row.SourceIP.IsValid() {
		row.SourceIP = netip.MustParseAddr("192.0.2.1")
	}
	if row.HeaderFrom == "" {
		row.HeaderFrom = domain
	}
	if row.Disposition == "" {
		row.Disposition = report.DispositionNone
	}
	for _, v := range []*report.DMARCResult{&row.DKIM, &row.SPF} {
		if *v == "" {
			*v = report.DMARCFail
		}
	}
	return memory.Aggregate{
		Day: d, PolicyDomain: dns.MustParse(domain), Record: record, Row: string(row.AppendKey(nil)),
		Failed: row.DKIM == report.DMARCFail && row.SPF == report.DMARCFail, Count: count, Last: d.Begin().Unix() + 1,
	}
}

// passed and failed are rows.
func passed(n int64) report.Row {
	return report.Row{Count: n, DKIM: report.DMARCPass, SPF: report.DMARCPass, Disposition: report.DispositionPass}
}

func failed(n int64) report.Row { return report.Row{Count: n, Disposition: report.DispositionReject} }

// reports lists what is stored.
func (r *rig) reports(f outgoing.Filter) []outgoing.Report {
	r.Helper()
	listed, err := r.p.Service().List(r.Context(), f)
	if err != nil {
		r.Fatal(err)
	}
	return listed.Reports
}

// states is the deliveries as "address state cause" by the address.
func (r *rig) states() map[string]string {
	r.Helper()
	out := map[string]string{}
	for _, report := range r.reports(outgoing.Filter{}) {
		for _, d := range report.Delivered {
			out[d.To] = strings.TrimSpace(string(d.State) + " " + string(d.Cause))
		}
	}
	return out
}

func (r *rig) wantState(to, want string) {
	r.Helper()
	if got := r.states()[to]; got != want {
		r.Errorf("delivery to %s: %q, want %q\nall: %v", to, got, want, r.states())
	}
}

func (r *rig) suppressed() map[string]outgoing.Suppression {
	r.Helper()
	list, err := r.p.Service().Suppressions(r.Context(), outgoing.SuppressionsRequest{})
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]outgoing.Suppression{}
	for _, s := range list.Suppressions {
		out[s.Target] = s
	}
	return out
}

// until waits for what other goroutines bring about.
func (r *rig) until(what string, done func() bool) {
	r.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-limit.C:
			r.Fatalf("it does not come about: %s", what)
		}
	}
}

// received is a mail that the server took.
type received struct {
	from, to string
	data     string
}

// message reads the mail.
func (m *received) message(t testing.TB) *mail.Message {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(m.data))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// file is the attachment, with its name.
func (m *received) file(t testing.TB) (name string, content []byte) {
	t.Helper()
	msg := m.message(t)
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for parts := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatalf("no file in the mail: %v", err)
		}
		if part.FileName() == "" {
			continue
		}
		content, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		return part.FileName(), content
	}
}

// report reads the attachment.
func (m *received) report(t testing.TB) *report.Report {
	t.Helper()
	_, content := m.file(t)
	return parse(t, unzip(t, content))
}

func unzip(t testing.TB, content []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	xml, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return xml
}

func parse(t testing.TB, xml []byte) *report.Report {
	t.Helper()
	var rows []report.Row
	got, err := report.Parse(bytes.NewReader(xml), report.Limits{}, func(_ *report.Received, r *report.Record) error {
		rows = append(rows, r.Row)
		return nil
	})
	if err != nil || len(got.Notes) > 0 {
		t.Fatalf("our own report: %v, notes %v\n%s", err, got.Notes, xml)
	}
	validate(t, xml)
	return &report.Report{Metadata: got.Metadata, Policy: got.Policy, Rows: rows, Dialect: got.Dialect}
}

// mta is an SMTP server that does what it is told to.
type mta struct {
	addr string

	mu     sync.Mutex
	mails  []received
	answer map[string]error         // by recipient, at RCPT; "MAIL" and "DATA to" likewise
	hang   map[string]chan struct{} // by recipient: after the mail
	taken  func(received)           // after a mail was taken, before the answer
}

func newMTA(t testing.TB) *mta {
	t.Helper()
	m := &mta{answer: map[string]error{}, hang: map[string]chan struct{}{}}
	s := smtp.NewServer(m)
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.MaxMessageBytes = 64 << 20
	s.Domain = "mta.receiver.example"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		m.mu.Lock()
		for _, c := range m.hang {
			close(c)
		}
		m.hang = nil
		m.mu.Unlock()
		_ = s.Close()
		_ = l.Close()
		<-served
	})
	return m
}

func (m *mta) refuse(what string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.answer, what)
		return
	}
	m.answer[what] = err
}

func (m *mta) hangAt(to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hang[to] = make(chan struct{})
}

// got is the mails taken for an address, all of them for "".
func (m *mta) got(to string) []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []received
	for _, r := range m.mails {
		if to == "" || r.to == to {
			out = append(out, r)
		}
	}
	return out
}

// NewSession begins one.
func (m *mta) NewSession(*smtp.Conn) (smtp.Session, error) { return &peer{mta: m}, nil }

type peer struct {
	*mta
	mail received
}

func (p *peer) told(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer[what]
}

func (p *peer) Mail(from string, _ *smtp.MailOptions) error {
	p.mail = received{from: from}
	return p.told("MAIL")
}

func (p *peer) Rcpt(to string, _ *smtp.RcptOptions) error {
	p.mail.to = to
	return p.told(to)
}

func (p *peer) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := p.told("DATA " + p.mail.to); err != nil {
		return err
	}
	p.mu.Lock()
	hang, taken := p.hang[p.mail.to], p.taken
	p.mu.Unlock()
	if hang != nil {
		<-hang
		return errors.New("never")
	}
	p.mail.data = string(data)
	p.mu.Lock()
	p.mails = append(p.mails, p.mail)
	p.mu.Unlock()
	if taken != nil {
		taken(p.mail)
	}
	return nil
}

func (p *peer) Reset()        {}
func (p *peer) Logout() error { return nil }

func reply(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}
