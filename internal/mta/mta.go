// Package mta runs the commands of this host's MTA that release or delete held mail.
package mta

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"dmarcd/internal/api"
)

// systemPath is where the programs of an MTA are, beside what PATH names.
const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin"

// runCommand runs a command of the MTA; what it prints goes to w.
func runCommand(ctx context.Context, command string, w io.Writer) error {
	shell := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	shell.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+systemPath)
	shell.Stdout, shell.Stderr = w, w
	if err := shell.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// hasPostfix tells whether this host has Postfix's program for its queue.
func hasPostfix() bool {
	for _, name := range []string{"postsuper", "/usr/sbin/postsuper"} {
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}

// commandFor is the command that releases or deletes a message. Where it is not known
// which MTA holds it, that is the one that this host has.
func commandFor(m *api.HeldMessage, does string) (string, error) {
	for _, one := range m.Commands {
		if len(m.Commands) > 1 && hasPostfix() != (one.MTA == "postfix") {
			continue
		}
		for _, c := range one.Commands {
			if c.Does == does && strings.Contains(c.Command, m.QueueID) { // an id that is none has a stand-in
				return c.Command, nil
			}
		}
	}
	return "", fmt.Errorf("no command of an MTA is known to %s it", does)
}
