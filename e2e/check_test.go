//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const deliveryLimit = 60 * time.Second // from the answer until the message is in the sink

// eachMTA runs a test with Postfix and with Sendmail, both at once.
func eachMTA(t *testing.T, test func(*testing.T, mta)) {
	for _, m := range here.mtas {
		t.Run(m.name(), func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

var notLocalPart = regexp.MustCompile(`[^a-z0-9]+`)

// rcpt is a recipient address that no other test uses. An empty domain stands
// for example.org.
func rcpt(t *testing.T, domain string) string {
	if domain == "" {
		domain = "example.org"
	}
	local := strings.Trim(notLocalPart.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	local = strings.TrimPrefix(local, "test")
	const limit = 64 // octets, RFC 5321 section 4.5.3.1.1
	return local[max(0, len(local)-limit):] + "@" + domain
}

// check looks at what became of the scenario's message.
func (s scenario) check(t *testing.T, m mta, to string, answer reply) {
	t.Helper()
	if s.reply != "" && !strings.Contains(answer.text, s.reply) {
		t.Errorf("the MTA said %d %s\nwant a text with %q", answer.code, answer.text, s.reply)
	}
	if s.want == refused {
		if answer.code != 550 {
			t.Errorf("the MTA said %d %s; want 550", answer.code, answer.text)
		}
		here.unwanted.add(to)
		return
	}
	if answer.code != 250 {
		t.Fatalf("the MTA said %d %s; want 250", answer.code, answer.text)
	}
	s.checkHeader(t, s.find(t, m, to, answer))
}

// find gives the message from where it ought to be.
func (s scenario) find(t *testing.T, m mta, to string, answer reply) mail {
	t.Helper()
	if s.want == held {
		here.unwanted.add(to)
		got, onHold, err := m.held(m.queueID(answer.text))
		if err != nil {
			t.Fatalf("reading the hold queue: %v", err)
		}
		if !onHold {
			t.Fatalf("the message %s is not in the hold queue", m.queueID(answer.text))
		}
		return got
	}
	got, arrived := here.sink.await(to, deliveryLimit)
	if !arrived {
		_, onHold, _ := m.held(m.queueID(answer.text))
		t.Fatalf("the message %s was not delivered (on hold: %v)", m.queueID(answer.text), onHold)
	}
	return got
}

func (s scenario) checkHeader(t *testing.T, got mail) {
	t.Helper()
	if s.ar != "" {
		checkField(t, got, "Authentication-Results", hostname+"; ", s.ar)
	}
	if s.xtm != "" {
		checkField(t, got, "X-TM-Authentication-Results", "", s.xtm)
	}
}

// checkField wants exactly one field of the name whose value begins with prefix,
// above all Received fields, and goes on as in want, where "*" is any word. If
// want is "none" there must be none.
func checkField(t *testing.T, got mail, name, prefix, want string) {
	t.Helper()
	ours := slices.DeleteFunc(got.unfolded(name), func(f string) bool { return !strings.HasPrefix(f, name+": "+prefix) })
	if want == "none" {
		if len(ours) > 0 {
			t.Errorf("there must be no %s of ours; got:\n%s", name, strings.Join(ours, "\n"))
		}
		return
	}
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(name+": "+prefix+want), `\*`, `\S+`) + "$"
	if len(ours) != 1 || !regexp.MustCompile(pattern).MatchString(ours[0]) {
		t.Errorf("got  %s\nwant %s", strings.Join(ours, "\n     "), name+": "+prefix+want)
		return
	}
	if at, received := got.index(name+":"), got.index("Received:"); at > received {
		t.Errorf("%s is field %d, below the first Received, which is field %d", name, at, received)
	}
}

// unwantedMail lists recipients that nothing may be delivered to.
type unwantedMail struct {
	mu    sync.Mutex
	rcpts []string
}

func (u *unwantedMail) add(rcpt string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rcpts = append(u.rcpts, rcpt)
}

// delivered lists those of them that mail came for all the same.
func (u *unwantedMail) delivered(s *sink) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(u.rcpts), func(rcpt string) bool { return len(s.has(rcpt)) == 0 })
}
