package explain

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/filter"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

var update = flag.Bool("update", false, "rewrite the wanted explanations")

// testNow is when all messages of the cases come in.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// TestCases explains each testdata/NN-name.case, as text and as JSON. A
// case is a txtar archive with the files "zone" (as dnstest reads it), "message",
// "policy.yaml" and, if need be, "dmarcd.yaml". Its comment is a line that says what
// it shows, and then a line for each option:
//
//	ip, helo, from, queue, mta VALUE     of the client and the MTA
//	rcpt ADDRESS                         may be repeated
//	key NAME KEY [TAGS]                  publish a key there: rsa512 to rsa4096, or ed25519
//	sign KEY TAGS                        sign the message, with tags such as "d=example.com; s=s1"
//	seal KEY DOMAIN SELECTOR RESULTS     put an ARC set on it
//	footer TEXT                          add a line to the body
//	subject TEXT                         change the subject
//	again DURATION                       the message came that long ago, too
//	notrace                              a message that nobody took a trace of
//	age DURATION                         it is explained so much later, with retention.traces 7d
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.case")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		stem := strings.TrimSuffix(file, ".case")
		t.Run(filepath.Base(stem), func(t *testing.T) {
			c := readCase(t, file)
			r := c.run(t)
			for _, language := range Languages() {
				e := New(r, Options{Language: language, Now: testNow.Add(c.age), Traces: 7 * 24 * time.Hour})
				words, raw := written(t, e)
				if language == English {
					compare(t, stem+".text.want", words)
					compare(t, stem+".json.want", raw)
				} else {
					compare(t, stem+"."+string(language)+".want", words)
				}
				var carried Explanation // as a command gets it from the daemon
				if err := json.Unmarshal([]byte(raw), &carried); err != nil {
					t.Fatal(err)
				}
				if again, _ := written(t, &carried); again != words {
					t.Errorf("read from JSON it says\n%s", again)
				}
				if bad := unprintable(words + raw); bad != "" {
					t.Errorf("the explanation holds %q", bad)
				}
				for _, secret := range append(e.Message.Rcpt, "limits.", "policy.yaml", "dmarc.", "mixed_recipients") {
					if strings.Contains(e.TellSender, secret) && !slices.Contains(e.Message.From, secret) {
						t.Errorf("the sender is told %q: %s", secret, e.TellSender)
					}
				}
			}
		})
	}
}

// written is an explanation as text and as JSON, as a terminal gets them.
func written(t testing.TB, e *Explanation) (words, raw string) {
	t.Helper()
	var asText, asJSON strings.Builder
	if err := e.WriteText(&asText); err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(text.NewJSONWriter(&asJSON))
	out.SetIndent("", " ")
	if err := out.Encode(e); err != nil {
		t.Fatal(err)
	}
	return asText.String(), asJSON.String()
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, b[i], a[i])
		}
	}
	t.Fatalf("%s has %d lines, got %d", file, len(a), len(b))
}

// unprintable is the first character that must not reach a terminal.
func unprintable(s string) string {
	for _, c := range s {
		if c != '\n' && (!strconv.IsPrint(c) || c == '\ufffd') {
			return string(c)
		}
	}
	return ""
}

// testCase is a case as it was read.
type testCase struct {
	dir      string
	env      message.Envelope
	rcpts    []message.Address
	mta      string
	zone     *dnstest.Zone
	settings *settings.Settings
	raw      []byte
	again    time.Duration
	noTrace  bool
	age      time.Duration
}

func readCase(t testing.TB, file string) *testCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &testCase{dir: t.TempDir(), mta: "Postfix 3.7.11"}
	files := map[string]string{"dmarcd.yaml": "authserv_id: mx.example.org\n", "policy.yaml": "{}\n"}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	for _, name := range []string{"dmarcd.yaml", "policy.yaml"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c.settings, _, err = settings.Load(filepath.Join(c.dir, "dmarcd.yaml"), "mx.example.org"); err != nil {
		t.Fatal(err)
	}
	if c.zone, err = dnstest.ParseZone(files["zone"]); err != nil {
		t.Fatal(err)
	}
	c.raw = []byte(strings.ReplaceAll(files["message"], "\n", "\r\n"))
	c.env = message.Envelope{
		ClientIP: netip.MustParseAddr("192.0.2.10"), Helo: "mail.example.com", QueueID: "4XyZ1w5Qk2z1",
		Received: testNow, MailFrom: message.ParseAddress("alice@example.com"),
	}
	for i, line := range strings.Split(strings.TrimSpace(string(archive.Comment)), "\n") {
		if i > 0 {
			if err := c.option(strings.TrimSpace(line)); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
		}
	}
	if len(c.rcpts) == 0 {
		c.rcpts = []message.Address{message.ParseAddress("bob@example.org")}
	}
	return c
}

func (c *testCase) option(line string) (err error) {
	name, value, _ := strings.Cut(line, " ")
	value = strings.TrimSpace(value)
	switch name {
	case "":
	case "ip":
		c.env.ClientIP = netip.Addr{}
		if value != "" {
			c.env.ClientIP, err = netip.ParseAddr(value)
		}
	case "helo":
		c.env.Helo, err = strconv.Unquote(`"` + value + `"`)
	case "from":
		c.env.MailFrom = message.ParseAddress(value)
	case "queue":
		c.env.QueueID, err = strconv.Unquote(`"` + value + `"`)
	case "mta":
		c.mta = value
	case "rcpt":
		c.rcpts = append(c.rcpts, message.ParseAddress(value))
	case "key":
		words := strings.SplitN(value, " ", 3)
		c.zone.AddTXT(dns.MustParse(words[0]), chunks(arctest.Record(testKey(words[1]))+tagsOf(words))...)
	case "sign":
		key, tags, _ := strings.Cut(value, " ")
		c.raw = sign(c.raw, testKey(key), tags)
	case "seal":
		words := strings.SplitN(value, " ", 4)
		c.raw = arctest.Seal(c.raw, words[3], words[1], words[2], testKey(words[0]), "")
	case "footer":
		c.raw = append(c.raw, value+"\r\n"...)
	case "subject":
		c.raw = []byte(strings.Replace(string(c.raw), "\r\nSubject: ", "\r\nSubject: "+value+" ", 1))
	case "again":
		c.again, err = time.ParseDuration(value)
	case "notrace":
		c.noTrace = true
	case "age":
		c.age, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown option")
	}
	return err
}

func tagsOf(words []string) string {
	if len(words) < 3 {
		return ""
	}
	return "; " + words[2]
}

// chunks cuts a long record into character-strings.
func chunks(s string) (out []string) {
	const most = 255
	for len(s) > most {
		out, s = append(out, s[:most]), s[most:]
	}
	return append(out, s)
}

// run judges the message and gives what is remembered of it, encoded and decoded.
func (c *testCase) run(t testing.TB) *memory.Record {
	t.Helper()
	now := testNow.Add(-c.again)
	f := filter.New(c.zone, func() time.Time { return now })
	out := c.judge(t, f)
	if c.again > 0 {
		now = testNow
		out = c.judge(t, f)
	}
	r := out.Record(filter.Remember{Settings: c.settings, MTA: c.mta, Sampled: !c.noTrace})
	if c.noTrace {
		r.Trace = nil
	}
	for i := range r.Outcomes {
		if r.Outcomes[i].File != "" {
			r.Outcomes[i].File = filepath.Base(r.Outcomes[i].File)
		}
	}
	if r.Trace != nil { // which of several answers comes first is chance
		slices.SortFunc(r.Trace.Answers, func(a, b memory.Answer) int { return strings.Compare(a.Name+a.Type, b.Name+b.Type) })
		for i := range r.Trace.Answers {
			r.Trace.Answers[i].Took = time.Duration(i) * 1500 * time.Microsecond
		}
	}
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := memory.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func (c *testCase) judge(t testing.TB, f *filter.Filter) *filter.Result {
	t.Helper()
	tx := f.Begin(context.Background(), c.settings, c.env)
	tx.ShowWholeWalk()
	for _, a := range c.rcpts {
		tx.Rcpt(filter.Recipient{Written: a}, false)
	}
	err := message.Stream(strings.NewReader(string(c.raw)), message.Events{Field: tx.Header, EndOfHeader: tx.EndOfHeader, Body: tx.Body})
	if err != nil {
		t.Fatal(err)
	}
	out := tx.EndOfMessage("")
	if out.Bypassed != "" {
		t.Fatalf("the message was bypassed: %s", out.Bypassed)
	}
	return &out
}
