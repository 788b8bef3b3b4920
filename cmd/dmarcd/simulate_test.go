package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// rememberedMail is what a daemon remembers, for tests.
type rememberedMail []*memory.Record

func (r rememberedMail) Find(context.Context, string, int) ([]memory.Record, error) { return nil, nil }

func (r rememberedMail) Search(context.Context, memory.Query) (memory.Page, error) {
	return memory.Page{}, nil
}

func (r rememberedMail) Records(_ context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	for _, rec := range r {
		if rec.At.Before(since) || !until.IsZero() && !rec.At.Before(until) {
			continue
		}
		if err := yield(rec); err != nil {
			return err
		}
	}
	return nil
}

func (r rememberedMail) Count(context.Context, time.Time, time.Time) (int64, error) {
	return int64(len(r)), nil
}

// spoofed is a message under p=reject that failed and was let through.
func spoofed(t *testing.T, at time.Time, to string) *memory.Record {
	t.Helper()
	published, err := dmarc.ParseRecord("v=DMARC1; p=reject")
	if err != nil {
		t.Fatal(err)
	}
	from := dns.MustParse("bank.example")
	d := policy.Decision{
		Action: policy.Bypass, Would: policy.Bypass, Reason: policy.ReasonPolicy, Rule: "dmarc.actions.reject", Evaluated: true, Status: dmarc.Fail,
	}
	return &memory.Record{
		At: at.UTC().Truncate(time.Microsecond), QueueID: "4XYZ", ClientIP: netip.MustParseAddr("203.0.113.7"),
		Verdict: policy.Verdict{
			Authors: []dns.Name{from}, SPF: spf.Result{Status: spf.Softfail, Domain: from, Scope: spf.MailFrom}, SPFAlignment: dmarc.Aligned,
			DMARC: dmarc.Result{
				Status: dmarc.Fail, Author: from, OrgDomain: from, PolicyDomain: from, Record: published,
				Source: "p", Requested: dmarc.PolicyReject, Policy: dmarc.PolicyReject,
			},
		},
		Decision: d,
		Outcomes: []memory.Outcome{{
			Domains: []dns.Name{dns.MustParse(to)}, Decision: d, Mode: policy.Enforce, Quarantine: policy.QuarantineHold,
			File: "/etc/dmarcd/policy.yaml", Line: 3,
		}},
	}
}

// daemonRemembering is a folder with a configuration whose daemon remembers mail.
func daemonRemembering(t *testing.T, mail rememberedMail) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dmarcd") // the name of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	writeFiles(t, dir, map[string]string{
		"dmarcd.yaml": "state_dir: " + dir + "\n",
		"policy.yaml": "default: {dmarc: {actions: {reject: bypass}}}\n",
	})
	listener, err := admin.Listen(admin.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := settings.Read(filepath.Join(dir, "dmarcd.yaml"), "mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(admin.Config{Version: version, Service: &api.Service{
		Memory: mail, Settings: func() *settings.Settings { return config }, Now: time.Now,
	}})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPolicySimulate(t *testing.T) {
	now := time.Now()
	dir := daemonRemembering(t, rememberedMail{
		spoofed(t, now.Add(-20*24*time.Hour), "example.org"),
		spoofed(t, now.Add(-3*24*time.Hour), "example.org"),
		spoofed(t, now.Add(-2*time.Hour), "example.org"),
		spoofed(t, now.Add(-time.Hour), "example.net"),
	})
	writeFiles(t, dir, map[string]string{
		"new.yaml":     "domains:\n  example.org:\n    dmarc:\n      exceptions: [\"file:except.txt\"]\n      actions:\n        reject: reject\n  example.net: {inherit: default}\ndefault: {dmarc: {actions: {reject: bypass}}}\n",
		"except.txt":   "192.0.2.0/24\n",
		"broken.yaml":  "mode: maybe\nmood: good\n",
		"failing.yaml": "tests: [{rcpt: a@example.org, from: b@bank.example, spf: fail, dkim: none, policy: reject, expect: bypass}]\n",
	})
	for name, c := range map[string]struct {
		args        []string
		code        int
		out, stderr string // what must be there
	}{
		"a week":      {args: []string{"new.yaml"}, out: "Replayed 3 messages of the last 7 days against new.yaml: 2 would be treated otherwise.\n\nexample.org\n  bypass → reject  2  (published_policy by dmarc.actions.reject, new.yaml:6)\n"},
		"an example":  {args: []string{"new.yaml", "--examples", "1"}, out: "was bypass: published_policy by dmarc.actions.reject, policy.yaml:3; would be reject: published_policy by dmarc.actions.reject, new.yaml:6\n"},
		"a day":       {args: []string{"new.yaml", "--since", "1d"}, out: "Replayed 2 messages of the last day against new.yaml: 1 would be"},
		"hours":       {args: []string{"new.yaml", "--since", "90m"}, out: "Replayed 1 message of the last 90m against new.yaml: none would be treated otherwise.\n"},
		"until":       {args: []string{"new.yaml", "--since", "30d", "--until", "7d"}, out: "Replayed 1 message from "},
		"retention":   {args: []string{"new.yaml", "--since", "90d"}, out: "messages are remembered for 30 days (retention.messages)"},
		"a domain":    {args: []string{"new.yaml", "--domain", "example.net"}, out: "Replayed 1 message of the last 7 days against new.yaml: none would be"},
		"nothing":     {args: []string{"new.yaml", "--since", "1m"}, out: "There are no messages of the last 1m to replay.\n"},
		"the same":    {args: []string{"policy.yaml"}, out: "against policy.yaml: none would be treated otherwise.\n"},
		"faults":      {args: []string{"broken.yaml"}, code: exitUsage, stderr: "broken.yaml:1:7: mode: expected enforce or monitor"},
		"all of them": {args: []string{"broken.yaml"}, code: exitUsage, stderr: "broken.yaml:2:1: mood: "},
		"tests fail":  {args: []string{"failing.yaml"}, code: exitUsage, stderr: "tests[0]: expected bypass, got reject"},
		"no file":     {args: []string{"none.yaml"}, code: exitUsage, stderr: "there is no such file"},
		"no time":     {args: []string{"new.yaml", "--since", "7"}, code: exitUsage, stderr: `did you mean "7d"?`},
		"backwards":   {args: []string{"new.yaml", "--since", "1h", "--until", "2h"}, code: exitUsage, stderr: "is not before until"},
		"no domain":   {args: []string{"new.yaml", "--domain", "a b"}, code: exitUsage, stderr: "domain: "},
		"no examples": {args: []string{"new.yaml", "--examples", "-1"}, code: exitUsage, stderr: "examples: expected 0 to 100"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"policy", "simulate", "-c", filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, c.args[0])}, c.args[1:]...)
			var out, stderr bytes.Buffer
			code := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &stderr})
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, out.String(), stderr.String())
			}
			for line := range strings.Lines(stderr.String()) {
				if c.code == exitFine && !strings.HasPrefix(line, "warning: ") {
					t.Errorf("stderr: %s", line)
				}
			}
		})
	}
}

func TestPolicySimulateJSON(t *testing.T) {
	dir := daemonRemembering(t, rememberedMail{spoofed(t, time.Now().Add(-time.Hour), "example.org")})
	writeFiles(t, dir, map[string]string{"new.yaml": "mode: monitor\n"})
	var out, stderr bytes.Buffer
	args := []string{"policy", "simulate", "-c", filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "new.yaml"), "--json"}
	if code := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &stderr}); code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var got struct {
		Messages, Changed, Watched int
		Domains                    struct {
			Entries []struct {
				Domain  string
				Changes []struct {
					After struct{ Action, Would string }
				}
			}
			Exact bool
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Messages != 1 || got.Changed != 0 || got.Watched != 1 || !got.Domains.Exact ||
		got.Domains.Entries[0].Changes[0].After.Would != "reject" || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %s", out.String())
	}
}

func TestPolicySimulateWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"dmarcd.yaml": "state_dir: " + dir + "\nstore: postgres://nobody@127.0.0.1:1/none\n", "policy.yaml": ""})
	var out, stderr bytes.Buffer
	args := []string{"policy", "simulate", "-c", filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "policy.yaml")}
	if code := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &stderr}); code != exitTrouble {
		t.Errorf("exit code %d: %s%s", code, out.String(), stderr.String())
	}
}
