//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// explanation is the part of "dmarcd explain --json" that is checked here.
type explanation struct {
	Action  string `json:"action"`
	Reason  string `json:"reason"`
	Message struct {
		QueueID   string `json:"queue_id"`
		MessageID string `json:"message_id"`
		MTA       string `json:"mta"`
		ClientIP  string `json:"client"`
	} `json:"message"`
	SPF       struct{ Result string } `json:"spf"`
	DMARC     struct{ Result string } `json:"dmarc"`
	Decisions []struct {
		Rule string `json:"rule"`
		File string `json:"file"`
		Line int    `json:"line"`
	} `json:"decisions"`
}

func explained(t *testing.T, id string) explanation {
	t.Helper()
	var s explanation
	out := here.dmarcd.run(t, 0, "explain", "--json", id)
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("dmarcd explain --json %s: %v in\n%s", id, err, out)
	}
	return s
}

// mtaWords begin what each MTA calls itself.
var mtaWords = map[string]string{"postfix": "Postfix 3.", "sendmail": "Sendmail 8."}

// TestExplain asks for messages of every disposition, by queue id, where the MTA shows one,
// and by Message-ID.
func TestExplain(t *testing.T) {
	type expected struct {
		scenario
		action, reason, rule, spf, dmarc string
		line                             string // of the rule in policy.yaml; "" for a built-in one
	}
	for name, f := range map[string]expected{
		"accepted": {scenario: good, action: "bypass", reason: "pass", spf: "pass", dmarc: "pass"},
		"rejected": {
			scenario: scenario{client: stranger, from: "ceo@bank.example", letter: letter{from: "bank.example"}, want: refused},
			action:   "reject", reason: "published_policy", rule: "dmarc.actions.reject", spf: "fail", dmarc: "fail",
		},
		"held": {
			scenario: scenario{client: stranger, from: "ceo@silent.example", to: "norecord.example", letter: letter{from: "silent.example"}, want: held},
			action:   "quarantine", reason: "no_record", rule: "dmarc.actions.no_record", line: "no_record: quarantine", spf: "fail", dmarc: "none",
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachMTA(t, func(t *testing.T, m mta) {
				to := rcpt(t, f.to)
				answer := dial(t, m.addr(), f.client, "client.example").send(f.from, f.letter.text(to), to)
				f.check(t, m, to, answer)
				messageID := f.letter.messageID(to)
				got := explained(t, messageID)
				if got.Action != f.action || got.Reason != f.reason || got.SPF.Result != f.spf || got.DMARC.Result != f.dmarc {
					t.Errorf("got %+v, want %s for %s, SPF %s, DMARC %s", got, f.action, f.reason, f.spf, f.dmarc)
				}
				if file, line := place(t, f.line); len(got.Decisions) != 1 || f.rule != "" && got.Decisions[0].Rule != f.rule ||
					got.Decisions[0].File != file || got.Decisions[0].Line != line {
					t.Errorf("decisions: got %+v, want the rule %q at %s:%d", got.Decisions, f.rule, file, line)
				}
				if !strings.HasPrefix(got.Message.MTA, mtaWords[m.name()]) || got.Message.ClientIP != f.client || "<"+got.Message.MessageID+">" != messageID {
					t.Errorf("message: got %+v", got.Message)
				}
				if id := m.queueID(answer.text); id != "" {
					if byQueue := explained(t, id); byQueue.Message != got.Message || byQueue.Message.QueueID != id {
						t.Errorf("by queue id: got %+v", byQueue.Message)
					}
				}
			})
		})
	}
	here.dmarcd.run(t, 1, "explain", "0NOTHING0")
}

// place is the first line of the policy file that has a text; none for "".
func place(t *testing.T, text string) (file string, line int) {
	t.Helper()
	if text == "" {
		return "", 0
	}
	file = here.dmarcd.path("policy.yaml")
	policy, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(policy), text)
	return file, strings.Count(before, "\n") + 1
}

// heldCommand is a row of what is told of held mail.
var heldCommand = regexp.MustCompile(`(?m)^  (list|read|release|delete) +(.+)$`)

// heldCommands are the commands that "dmarcd explain" prints for a held message.
func heldCommands(t *testing.T, id string) map[string]string {
	t.Helper()
	_, text, found := strings.Cut(here.dmarcd.run(t, 0, "explain", id), "\nHeld")
	commands := map[string]string{}
	for _, m := range heldCommand.FindAllStringSubmatch(text, -1) {
		commands[m[1]] = m[2]
	}
	if !found || len(commands) != 4 {
		t.Fatalf("dmarcd explain %s: got the commands %q", id, commands)
	}
	return commands
}

// TestHeldCommands does with held mail what "dmarcd explain" says, letter for letter.
func TestHeldCommands(t *testing.T) {
	const body = "this is what was held\r\n"
	eachMTA(t, func(t *testing.T, m mta) {
		hold := func(t *testing.T) (to, id string, commands map[string]string) {
			to = rcpt(t, "")
			answer := dial(t, m.addr(), stranger, "client.example").send("ceo@shop.example", letter{from: "shop.example", body: body}.text(to), to)
			id = m.queueID(answer.text)
			if _, onHold, err := m.held(id); err != nil || !onHold {
				t.Fatalf("the message %s is not on hold (%v): %d %s", id, err, answer.code, answer.text)
			}
			return to, id, heldCommands(t, id)
		}
		shell := func(t *testing.T, line string) string {
			out, err := m.shell(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return out
		}
		t.Run("release", func(t *testing.T) {
			to, id, commands := hold(t)
			if out := shell(t, commands["list"]); !strings.Contains(out, id) {
				t.Errorf("%s does not list %s:\n%s", commands["list"], id, out)
			}
			if out := shell(t, commands["read"]); !strings.Contains(out, strings.TrimSpace(body)) || !strings.Contains(out, "X-TM-Authentication-Results") {
				t.Errorf("%s does not show the message:\n%s", commands["read"], out)
			}
			shell(t, commands["release"])
			if got, arrived := here.sink.await(to, deliveryLimit); !arrived || got.body != body {
				t.Errorf("%s: arrived %v, with the body %q", commands["release"], arrived, got.body)
			}
		})
		t.Run("delete", func(t *testing.T) {
			to, id, commands := hold(t)
			here.unwanted.add(to)
			shell(t, commands["delete"])
			if _, onHold, err := m.held(id); err != nil || onHold {
				t.Errorf("%s: still held (%v)", commands["delete"], err)
			}
			if out := shell(t, commands["list"]); strings.Contains(out, id) {
				t.Errorf("it is gone, but %s lists it still:\n%s", commands["list"], out)
			}
		})
	})
}

// TestWhoMayAsk has a user ask the running daemon: in the group of its socket, and not.
func TestWhoMayAsk(t *testing.T) {
	const nobody, nogroup = 65534, 65534
	// Where the program was built others may have no access.
	program := filepath.Join(scratch, "bin", "dmarcd")
	if err := errors.Join(os.MkdirAll(filepath.Dir(program), 0o755), os.WriteFile(program, nil, 0o755), bind(os.Getenv(envDaemon), program)); err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]struct {
		gid  uint32
		code int
		says string
	}{
		"in the group": {gid: uint32(os.Getgid()), code: 1, says: "is remembered"},
		"stranger":     {gid: nogroup, code: 2, says: "admin.sock is for the user root, the group root and root"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, "explain", "0NOTHING0", "-c", here.dmarcd.config())
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: who.gid}}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != who.code || !strings.Contains(string(out), who.says) {
				t.Errorf("ended with status %d, want %d and %q:\n%s", code, who.code, who.says, out)
			}
		})
	}
}
