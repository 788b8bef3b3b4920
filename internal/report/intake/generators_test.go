package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// generators is the folder of foreign programs that make reports.
func generators(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "build", "generators"))
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		t.Skip("no makers of reports are in build/generators (scripts/fetch-generators fetches them)")
	}
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("there is no perl to run them")
	}
	return dir
}

// perl runs a program with the libraries of a folder, after our own.
func perl(t *testing.T, dir string, stdin io.Reader, env []string, args ...string) []byte {
	t.Helper()
	ours, err := filepath.Abs("testdata/generators")
	must(t, err)
	libs := []string{ours, filepath.Join(dir, "usr/share/perl5")}
	arch, _ := filepath.Glob(filepath.Join(dir, "usr/lib/*/perl5/*"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "perl", args...)
	cmd.Env = append(append(os.Environ(), "PERL5LIB="+strings.Join(append(libs, arch...), ":")), env...)
	cmd.Dir = t.TempDir()
	cmd.Stdin = stdin
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		if strings.Contains(trouble.String(), "loadable library and perl binaries are mismatched") || strings.Contains(trouble.String(), "cannot open shared object") {
			t.Skipf("this machine's perl does not fit the libraries: %s", trouble.Bytes())
		}
		t.Fatalf("%v: %s", err, trouble.Bytes())
	}
	return out.Bytes()
}

// sums are what readers must agree on.
type sums struct{ records, messages, compliant, spf, dkim, quarantined int64 }

func sumsOf(r *analysis.Report) (s sums) {
	for i := range r.Rows {
		row := &r.Rows[i]
		s.records++
		s.messages += row.Count
		if row.Compliant() {
			s.compliant += row.Count
		}
		if row.SPF == report.DMARCPass {
			s.spf += row.Count
		}
		if row.DKIM == report.DMARCPass {
			s.dkim += row.Count
		}
		if row.Disposition == report.DispositionQuarantine {
			s.quarantined += row.Count
		}
	}
	return s
}

// TestMailDMARC reads a report that Mail::DMARC makes.
func TestMailDMARC(t *testing.T) {
	dir := generators(t)
	script, err := filepath.Abs("testdata/generators/mail-dmarc.pl")
	must(t, err)
	var in strings.Builder
	var want sums
	for i := range 200 {
		dkim, spf, disposition, reason := "fail", "fail", "quarantine", ""
		want.quarantined += int64(i + 1)
		if i%3 == 0 {
			dkim, disposition = "pass", "none"
			want.dkim += int64(i + 1)
		}
		if i%4 == 0 {
			spf, disposition, reason = "pass", "none", "trusted_forwarder"
			want.spf += int64(i + 1)
		}
		if disposition == "none" {
			want.compliant += int64(i + 1)
			want.quarantined -= int64(i + 1)
		}
		want.records++
		want.messages += int64(i + 1)
		fmt.Fprintf(&in, "2001:db8::%x\t%d\t%s\t%s\t%s\texample.com\texample.com\ts1\t%s\tbounce.example.com\t%s\t%s\n", i+1, i+1, disposition, dkim, spf, dkim, spf, reason)
	}
	xml := perl(t, dir, strings.NewReader(in.String()), nil, script)
	item := read(t, string(xml), false)
	if item.Kind != analysis.KindAggregate || len(item.Reports) != 1 {
		t.Fatalf("%s (%s)\n%s", item.Kind, item.Why, xml)
	}
	r := &item.Reports[0]
	if got := sumsOf(r); got != want {
		t.Errorf("read is %+v, want %+v", got, want)
	}
	if r.Metadata.OrgName != "Perl & Co" || r.Metadata.Error != "a record <with> brackets" || r.Policy.ADKIM != report.ModeStrict || r.Rows[4].Auth.Reasons[0].Comment != "because of <trusted_forwarder>" {
		t.Errorf("%+v, %+v, %+v", r.Metadata, r.Policy, r.Rows[4].Auth)
	}
}

// TestOpenDMARC reads the mail that opendmarc-reports sends.
func TestOpenDMARC(t *testing.T) {
	dir := generators(t)
	mails := make(chan []byte, 1)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &catcher{mails}, nil }))
	server.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	var messages strings.Builder
	var want sums
	// What opendmarc writes down: disposition 2 is none, 4 quarantine; alignment 4 is
	// pass, 5 fail; of results 0 is pass, 7 fail, 9 "nxdomain", 12 "discard".
	for i := range 50 {
		dkim, spf, disposition, result, sig := 5, 5, 4, 7, []int{7, 9, 12}[i%3]
		if i%2 == 0 {
			dkim, disposition, sig = 4, 2, 0
			want.dkim++
		}
		if i%5 == 0 {
			spf, disposition, result = 4, 2, 0
			want.spf++
		}
		if disposition == 2 {
			want.compliant++
		} else {
			want.quarantined++
		}
		want.records++
		want.messages++
		fmt.Fprintf(&messages, "%d\t192.0.2.%d\t%d\texample.com\texample.com\t%d\t%d\t%d\texample.com\ts%d\t%d\n", i+1, i+1, disposition, result, spf, dkim, i%3, sig)
	}
	list := filepath.Join(t.TempDir(), "messages.txt")
	must(t, os.WriteFile(list, []byte(messages.String()), 0o644))
	perl(t, dir, nil, []string{"DMARCD_MESSAGES=" + list, "TZ=UTC"}, filepath.Join(dir, "usr/sbin/opendmarc-reports"), "--domain=example.com", "--day", "--noupdate",
		"--report-email=dmarc@opendmarc.example", "--report-org=opendmarc.example", "--smtp-server=127.0.0.1", fmt.Sprintf("--smtp-port=%d", l.Addr().(*net.TCPAddr).Port))
	var mail []byte
	select {
	case mail = <-mails:
	default:
		t.Fatal("it has sent nothing")
	}
	item := read(t, string(mail), true)
	if item.Kind != analysis.KindAggregate || len(item.Reports) != 1 {
		t.Fatalf("%s (%s)\n%s", item.Kind, item.Why, mail)
	}
	r := &item.Reports[0]
	if got := sumsOf(r); got != want {
		t.Errorf("read is %+v, want %+v; %s", got, want, notesOf(item))
	}
	if r.Metadata.OrgName != "opendmarc.example" || r.Policy.P != report.PolicyQuarantine || r.Policy.ASPF != report.ModeStrict || r.Dialect != report.DialectDraft {
		t.Errorf("%+v, %+v, %s", r.Metadata, r.Policy, r.Dialect)
	}
	if notes := notesOf(item); !strings.Contains(notes, `"discard" is read as nothing`) {
		t.Errorf("the notes are %s", notes)
	}
}

// catcher is an SMTP session that keeps the mail.
type catcher struct{ mails chan []byte }

func (c *catcher) Mail(string, *smtp.MailOptions) error { return nil }
func (c *catcher) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (c *catcher) Reset()                               {}
func (c *catcher) Logout() error                        { return nil }
func (c *catcher) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		c.mails <- b
	}
	return err
}
