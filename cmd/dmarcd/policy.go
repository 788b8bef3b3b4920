package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
)

func policyCommand(s streams) *cobra.Command {
	return group("policy", "Look at what happens to mail, and try it",
		policyShowCommand(s), policyListCommand(s), policyHistoryCommand(s), policyTestCommand(s), policySimulateCommand(s), policyImportCommand(s), policyExportCommand(s))
}

// follows says where the rules of a domain stand.
func follows(p api.Placed) string {
	if p.File == "" {
		return "the built-in default"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// origin is where a value comes from, with the file's name alone.
func origin(p api.Placed) string {
	switch {
	case p.File == "":
		return "default"
	case p.Inherited:
		return fmt.Sprintf("%s:%d, inherited from default", filepath.Base(p.File), p.Line)
	case p.Line == 0:
		return filepath.Base(p.File)
	}
	return fmt.Sprintf("%s:%d", filepath.Base(p.File), p.Line)
}
