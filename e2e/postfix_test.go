//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// postfix is a Postfix in a jail: configured by testdata/postfix and the lines
// of deploy/postfix.
type postfix struct {
	jail *jail
}

func newPostfix() (*postfix, error) {
	jail, err := newJail("postfix")
	if err != nil {
		return nil, err
	}
	p := &postfix{jail: jail}
	if err := p.configure(); err != nil {
		return nil, err
	}
	return p, p.makeQueue()
}

func (p *postfix) configure() error {
	ours, err := os.ReadFile("testdata/postfix/main.cf")
	if err != nil {
		return err
	}
	dmarcd, err := os.ReadFile("../deploy/postfix/main.cf.snippet")
	if err != nil {
		return err
	}
	services, err := os.ReadFile("testdata/postfix/master.cf")
	if err != nil {
		return err
	}
	if err := p.jail.write("etc/postfix/main.cf", string(ours)+string(dmarcd)); err != nil {
		return err
	}
	return p.jail.write("etc/postfix/master.cf", string(services))
}

// makeQueue does what the package's installation would: it makes the folders of
// the queue with their owners.
func (p *postfix) makeQueue() error {
	if err := p.jail.mkdir("var/lib/postfix", 0o755, uidPostfix, gidPostfix); err != nil {
		return err
	}
	for _, d := range []struct {
		names string
		mode  os.FileMode
		uid   int
		gid   int
	}{
		{"pid", 0o755, 0, 0},
		{"active bounce corrupt defer deferred flush hold incoming private saved trace", 0o700, uidPostfix, 0},
		{"maildrop", 0o730, uidPostfix, gidPostdrop},
		{"public", 0o710, uidPostfix, gidPostdrop},
		{"dmarcd", 0o755, 0, 0}, // for dmarcd's unix socket
	} {
		for _, name := range strings.Fields(d.names) {
			if err := p.jail.mkdir("var/spool/postfix/"+name, d.mode, d.uid, d.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *postfix) name() string                      { return "postfix" }
func (p *postfix) addr() string                      { return "192.0.2.25:25" }
func (p *postfix) addrV6() string                    { return "[2001:db8::25]:25" }
func (p *postfix) addrUnix() string                  { return "192.0.2.25:2525" }
func (p *postfix) socket() string                    { return p.jail.path("var/spool/postfix/dmarcd/milter.sock") }
func (p *postfix) log() *logbook                     { return p.jail.log }
func (p *postfix) shell(line string) (string, error) { return p.jail.shell(line) }
func (p *postfix) program() *process {
	return &process{name: "postfix", cmd: p.jail.command("/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d")}
}

var postfixQueued = regexp.MustCompile(`queued as ([0-9A-Za-z]+)`)

func (p *postfix) queueID(reply string) string {
	if m := postfixQueued.FindStringSubmatch(reply); m != nil {
		return m[1]
	}
	return ""
}

// held reads a message in the hold queue, as "postqueue -p" and "postcat -qh" show it.
func (p *postfix) held(id string) (mail, bool, error) {
	queue, err := p.jail.output("/usr/sbin/postqueue", "-j")
	if err != nil {
		return mail{}, false, err
	}
	for line := range strings.Lines(queue) {
		var entry struct {
			Queue string `json:"queue_name"`
			ID    string `json:"queue_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return mail{}, false, fmt.Errorf("postqueue -j printed %q: %w", line, err)
		}
		if entry.ID == id && entry.Queue == "hold" {
			text, err := p.jail.output("/usr/sbin/postcat", "-q", "-h", id)
			return parseMail(strings.ReplaceAll(text, "\n", "\r\n")), true, err
		}
	}
	return mail{}, false, nil
}

// release does what deploy/README.md says.
func (p *postfix) release(id string) error {
	if _, err := p.jail.output("/usr/sbin/postsuper", "-H", id); err != nil {
		return err
	}
	_, err := p.jail.output("/usr/sbin/postqueue", "-i", id)
	return err
}
