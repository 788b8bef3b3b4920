package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/settings"
)

func policyCommand(s streams) *cobra.Command {
	return group("policy", "Look at what happens to mail, and try it",
		policyShowCommand(s), policyTestCommand(s), policySimulateCommand(s), policyImportCommand(s), policyExportCommand(s))
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
