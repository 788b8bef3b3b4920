//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

const sendmailProgram = "/usr/libexec/sendmail/sendmail" // Debian's alternative of /usr/sbin/sendmail

// sendmail is a Sendmail in a jail: configured by testdata/sendmail and the line
// of deploy/sendmail.
type sendmail struct {
	jail *jail
}

func newSendmail() (*sendmail, error) {
	jail, err := newJail("sendmail")
	if err != nil {
		return nil, err
	}
	s := &sendmail{jail: jail}
	for _, name := range []string{"var/spool/mqueue", "var/lib/sendmail", "run/sendmail", "run/dmarcd"} {
		if err := jail.mkdir(name, 0o755, 0, 0); err != nil {
			return nil, err
		}
	}
	// Debian's installation makes such links in /usr, which is read-only here.
	for _, name := range []string{"sendmail", "mailq"} {
		if err := os.Symlink(sendmailProgram, jail.path("opt/bin/"+name)); err != nil {
			return nil, err
		}
	}
	return s, s.configure()
}

// configure makes sendmail.cf with m4, as Debian's sendmailconfig does. (m4
// complains that there is no shell to write a comment with the date; no matter.)
func (s *sendmail) configure() error {
	ours, err := os.ReadFile("testdata/sendmail/sendmail.mc")
	if err != nil {
		return err
	}
	dmarcd, err := os.ReadFile("../deploy/sendmail/dmarcd.mc.snippet")
	if err != nil {
		return err
	}
	mc := strings.Replace(string(ours), "@DMARCD@\n", string(dmarcd), 1)
	if err := s.jail.write("etc/mail/sendmail.mc", mc); err != nil {
		return err
	}
	cf, err := s.jail.output("/usr/bin/m4", "-D_CF_DIR_=/usr/share/sendmail/cf/",
		"/usr/share/sendmail/cf/m4/cf.m4", "/etc/mail/sendmail.mc")
	if err != nil {
		return err
	}
	return s.jail.write("etc/mail/sendmail.cf", cf)
}

func (s *sendmail) name() string                      { return "sendmail" }
func (s *sendmail) addr() string                      { return "192.0.2.26:25" }
func (s *sendmail) addrV6() string                    { return "[2001:db8::26]:25" }
func (s *sendmail) addrUnix() string                  { return "192.0.2.26:2525" }
func (s *sendmail) socket() string                    { return s.jail.path("run/dmarcd/milter.sock") }
func (s *sendmail) log() *logbook                     { return s.jail.log }
func (s *sendmail) shell(line string) (string, error) { return s.jail.shell(line) }
func (s *sendmail) program() *process {
	return &process{name: "sendmail", cmd: s.jail.command(sendmailProgram, "-bD")}
}

var sendmailQueued = regexp.MustCompile(`([0-9A-Za-z]+) Message accepted for delivery`)

func (s *sendmail) queueID(reply string) string {
	if m := sendmailQueued.FindStringSubmatch(reply); m != nil {
		return m[1]
	}
	return ""
}

// held reads a quarantined message. Its control file is named hf instead of qf
// and has the header in lines that begin with "H", flags between question marks
// before the name; "mailq -qQ" lists those files.
func (s *sendmail) held(id string) (mail, bool, error) {
	control, err := os.ReadFile(s.jail.path("var/spool/mqueue/hf" + id))
	if errors.Is(err, fs.ErrNotExist) {
		return mail{}, false, nil
	}
	var header strings.Builder
	inHeader := false
	for line := range strings.Lines(string(control)) {
		if strings.HasPrefix(line, "H?") {
			flags := strings.SplitN(line, "?", 3)
			line, inHeader = flags[len(flags)-1], true
		} else if line[0] != ' ' && line[0] != '\t' {
			inHeader = false
		}
		if inHeader {
			header.WriteString(strings.TrimRight(line, "\n") + "\r\n")
		}
	}
	return parseMail(header.String() + "\r\n"), true, err
}

// release does what deploy/README.md says.
func (s *sendmail) release(id string) error {
	if _, err := s.jail.output(sendmailProgram, "-qQ", "-qI"+id, "-Q"); err != nil {
		return err
	}
	_, err := s.jail.output(sendmailProgram, "-qI"+id)
	return err
}
