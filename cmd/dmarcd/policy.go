package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dmarcd/internal/settings"
)

func policyCommand(s streams) *cobra.Command {
	return group("policy", "Look at what happens to mail, and try it",
		policyShowCommand(s), policyTestCommand(s), policySimulateCommand(s), policyImportCommand(s), policyExportCommand(s))
}

// lookOrExplain reads the settings for a command that looks at the policy: its own
// tests are not tried. Faults are printed one a line.
func (c configuration) lookOrExplain(w io.Writer) (*settings.Settings, error) {
	if c.path == "" {
		return c.loadOrExplain(w)
	}
	config, _, err := settings.Read(c.path, hostName())
	if err != nil {
		return nil, explainFaults(w, err)
	}
	return config, nil
}

// placed is where something stands, as it is part of JSON objects.
type placed struct {
	File      string `json:"file,omitempty"` // none: built in
	Line      int    `json:"line,omitempty"`
	Inherited bool   `json:"inherited,omitempty"` // stands below default, which the entry inherits
}

func newPlaced(o settings.Origin) placed {
	return placed{File: o.At.File, Line: o.At.Line, Inherited: o.Inherited}
}

// follows says where the rules of a domain stand.
func follows(at settings.Place) string {
	if at.File == "" {
		return "the built-in default"
	}
	return fmt.Sprint(at)
}
