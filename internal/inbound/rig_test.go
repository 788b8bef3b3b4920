package inbound_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/filter"
	"dmarcd/internal/inbound"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
)

// rig is the whole filter behind a milter socket, with a DNS server of its own:
// real packets on both sides.
type rig struct {
	t        testing.TB
	dns      *dnstest.Server
	addr     string
	filter   *filter.Filter
	settings atomic.Pointer[settings.Settings]
	log      *lockedBuffer

	split    atomic.Int64
	mu       sync.Mutex
	outcomes []*filter.Result
	records  []*memory.Record
	bounces  []string
	broken   bool             // whatever takes records and bounces panics
	journal  *journal.Journal // takes the records instead, where there is one
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Message makes the rig an observer.
func (r *rig) Message(o *filter.Result, _ time.Duration) {
	if _, bench := r.t.(*testing.B); !bench && o.Bypassed == "" {
		r.replay(o)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

// replay holds what is remembered of every message of these tests, written and
// read, to what was decided.
func (r *rig) replay(o *filter.Result) {
	rec := o.Record(filter.Remember{Settings: r.settings.Load(), Sampled: true})
	b, err := rec.AppendBinary(nil)
	if err != nil {
		r.t.Errorf("record: %v", err)
		return
	}
	read, err := memory.DecodeRecord(b)
	if err != nil {
		r.t.Errorf("record: %v\n%+v", err, rec)
		return
	}
	for i, d := range o.Domains {
		if d.Decision.Reason == policy.ReasonForged {
			continue
		}
		want := d.Decision
		want.Reply = rec.Outcomes[i].Decision.Reply // may quote what is left out
		if got := policy.Decide(&read.Verdict, read.Facts(), d.Rules); got != want || read.Outcomes[i].Decision != want {
			r.t.Errorf("replayed %+v\nremembered %+v\ndecided %+v", got, read.Outcomes[i].Decision, d.Decision)
		}
	}
}

// Record makes the rig a recorder.
func (r *rig) Record(rec *memory.Record, _ *filter.Result) {
	if r.journal != nil {
		payload, err := rec.AppendBinary(nil)
		if err == nil {
			err = r.journal.Append(payload)
		}
		if err != nil {
			r.t.Errorf("journal: %v", err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		panic("broken on purpose")
	}
	r.records = append(r.records, rec)
}

// bounce takes what is mailed to where reports come from.
func (r *rig) bounce(raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		panic("broken on purpose")
	}
	r.bounces = append(r.bounces, string(raw))
}

// taken returns the records and bounces so far, and forgets them.
func (r *rig) taken() (records []*memory.Record, bounces []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	records, bounces = r.records, r.bounces
	r.records, r.bounces = nil, nil
	return records, bounces
}

// Split counts a recipient that was sent away.
func (r *rig) Split() { r.split.Add(1) }

// last is the outcome of the message answered last.
func (r *rig) last() *filter.Result {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.outcomes) == 0 {
		r.t.Fatal("no message was answered")
	}
	return r.outcomes[len(r.outcomes)-1]
}

// daemonYAML is the rest of the daemon's file: no client is trusted, since the
// tests' clients have any address. Extra lines with trusted_networks take the place of
// trustNobody; the extra line impatientDNS is for tests that wait for answers of DNS
// that do not come.
const daemonYAML = `
authserv_id: mx.example.org
` + trustNobody + `
resolver: {servers: [%q], ` + patience + `}
`

const (
	trustNobody  = "trusted_networks: []"
	patience     = "timeout: 1s, budget: 4s"
	impatience   = "timeout: 250ms, budget: 1s"
	impatientDNS = "# DNS is impatient"
)

// newRig starts the filter with zone text and a policy file. Extra lines go into
// dmarcd.yaml.
func newRig(t testing.TB, zone, policyYAML string, extra ...string) *rig {
	t.Helper()
	return newRigAt(t, time.Now, zone, policyYAML, extra...)
}

// newRigAt is newRig with a clock of the test's own.
func newRigAt(t testing.TB, now func() time.Time, zone, policyYAML string, extra ...string) *rig {
	t.Helper()
	return newTappedRig(t, now, nil, zone, policyYAML, extra...)
}

// newTappedRig is newRigAt with taps beside the one for bounces.
func newTappedRig(t testing.TB, now func() time.Time, taps []inbound.Tap, zone, policyYAML string, extra ...string) *rig {
	t.Helper()
	r := &rig{t: t, dns: dnstest.New(t, zone), log: &lockedBuffer{}}
	r.configure(policyYAML, extra...)
	s := r.settings.Load()
	client, err := resolver.New(resolver.Config{
		Servers: s.Resolver.Servers, Timeout: s.Resolver.Timeout, CacheEntries: s.Resolver.CacheEntries,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	r.filter = filter.New(client, now)
	config := &inbound.Config{
		Filter: r.filter, Settings: r.settings.Load, Observer: r, Recorder: r, Taps: append(taps, inbound.BounceTap{Take: r.bounce}),
		Log: log, Now: time.Now,
	}
	server := milter.NewServer(milter.Config{
		NewSession: config.NewSession, RcptReplies: config.RcptReplies, Log: log,
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

// configure writes both files and loads them; it is also a reload.
func (r *rig) configure(policyYAML string, extra ...string) {
	r.t.Helper()
	dir := r.t.TempDir()
	more := strings.Join(extra, "\n")
	daemon := fmt.Sprintf(daemonYAML, r.dns.Addr) + more
	if strings.Contains(more, trustNobody[:strings.IndexByte(trustNobody, ' ')]) {
		daemon = strings.Replace(daemon, trustNobody, "", 1)
	}
	if strings.Contains(more, impatientDNS) {
		daemon = strings.Replace(daemon, patience, impatience, 1)
	}
	for name, text := range map[string]string{"dmarcd.yaml": daemon, "policy.yaml": policyYAML} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	s, _, err := settings.Load(filepath.Join(dir, "dmarcd.yaml"), "host.example")
	if err != nil {
		r.t.Fatal(err)
	}
	r.settings.Store(s)
}

// open connects as an MTA and greets for a client.
func (r *rig) open(peer miltertest.Peer, offer miltertest.Offer) *miltertest.MTA {
	r.t.Helper()
	m, err := miltertest.Open("tcp", r.addr, offer)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = m.Quit() })
	if a, err := m.Greet(peer); err != nil || a.Action != miltertest.RespContinue {
		r.t.Fatalf("greeting: %+v, %v", a, err)
	}
	return m
}

// mail is one message of a test.
type mail struct {
	client   string // "" means 192.0.2.1
	helo     string // "" means client.example
	mailFrom string // without brackets; "" is the null sender
	rcpts    []string
	raw      string // lines end in LF
	macros   map[byte][]string
}

func (m mail) message() *miltertest.Message {
	rcpts := m.rcpts
	if rcpts == nil {
		rcpts = []string{"user@example.org"}
	}
	out := &miltertest.Message{From: "<" + m.mailFrom + ">", Macros: m.macros, Raw: []byte(crlf(m.raw))}
	for _, r := range rcpts {
		out.Rcpts = append(out.Rcpts, "<"+r+">")
	}
	return out
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// send runs one message on a connection of its own.
func (r *rig) send(m mail) *miltertest.Result {
	r.t.Helper()
	mta := r.open(miltertest.Peer{Addr: m.client, Helo: m.helo}, miltertest.Postfix())
	return r.sendOn(mta, m)
}

func (r *rig) sendOn(mta *miltertest.MTA, m mail) *miltertest.Result {
	r.t.Helper()
	res, err := mta.Send(m.message())
	if err != nil {
		r.t.Fatalf("send: %v\n%s", err, r.log)
	}
	return &res
}

// field is the unfolded value of the topmost field of that name after the answer is
// carried out, with the text after the colon as it is.
func field(t testing.TB, m mail, res *miltertest.Result, name string) string {
	t.Helper()
	all := fields(m, res, name)
	if len(all) == 0 {
		t.Fatalf("no %s; modifications %+v", name, res.Mods)
	}
	return all[0]
}

// fields are the unfolded values of all fields of that name in the delivered message.
func fields(m mail, res *miltertest.Result, name string) []string {
	var out []string
	raw := string(res.Apply([]byte(crlf(m.raw)), true))
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	head = strings.NewReplacer("\r\n ", " ", "\r\n\t", "\t").Replace(head)
	for _, line := range strings.Split(head, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			out = append(out, v)
		}
	}
	return out
}

// signer signs mail with an Ed25519 key whose record it can print.
type signer struct {
	domain, selector string
	identity         string // i=; "" for none
	key              ed25519.PrivateKey
}

func newSigner(domain, selector string) signer {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, domain+selector)
	return signer{domain: domain, selector: selector, key: ed25519.NewKeyFromSeed(seed)}
}

// record is the key record as zone text.
func (s signer) record() string {
	return fmt.Sprintf("%s._domainkey.%s. TXT \"v=DKIM1; k=ed25519; p=%s\"\n", s.selector, s.domain, base64Key(s.key))
}

// sign puts a signature on top of raw.
func (s signer) sign(t testing.TB, raw string) string {
	t.Helper()
	var b strings.Builder
	err := msgauth.Sign(&b, strings.NewReader(crlf(raw)), &msgauth.SignOptions{
		Domain: s.domain, Selector: s.selector, Identifier: s.identity, Signer: s.key,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "Subject"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}
