package present

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/api"
)

// TestStatusOfManyFiles shows a folder of many files in one line, and faults with what
// is known of their place.
func TestStatusOfManyFiles(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	x := &api.Status{Files: []api.FileInForce{{Path: "/etc/dmarcd/policy.yaml", InForceSince: at}}}
	for i := range 300 {
		x.Files = append(x.Files, api.FileInForce{Path: fmt.Sprintf("/etc/dmarcd/customers/c%d.yaml", i), InForceSince: at.Add(time.Duration(i%250) * time.Minute)})
	}
	x.Faults = []api.Fault{
		{File: "/etc/dmarcd/policy.yaml", Message: "there is no such file"},
		{File: "/etc/dmarcd/customers/c5.yaml", Line: 4, Column: 5, Message: "wrong indentation"},
		{File: "/etc/dmarcd/policy.yaml", Line: 1, Column: 1, Key: "mod", Message: `unknown key; did you mean "mode"?`},
	}
	var out bytes.Buffer
	Status(Streams{Out: &out}, x, at)
	for _, want := range []string{
		"file      /etc/dmarcd/policy.yaml, in force since 2026-11-30T12:00:00Z, sha256",
		"files     300 in /etc/dmarcd/customers, the newest, c249.yaml, in force since 2026-11-30T16:09:00Z\n",
		"FAULT     /etc/dmarcd/policy.yaml: there is no such file\n",
		"FAULT     /etc/dmarcd/customers/c5.yaml:4:5: wrong indentation\n",
		"FAULT     /etc/dmarcd/policy.yaml:1:1: mod: unknown key; did you mean \"mode\"?\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "c7.yaml") {
		t.Errorf("each file is shown:\n%s", out.String())
	}
}
