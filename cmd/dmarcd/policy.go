package main

import (
	"github.com/spf13/cobra"

	"dmarcd/internal/present"
)

func policyCommand(s present.Streams) *cobra.Command {
	return group("policy", "Look at what happens to mail, and try it",
		policyShowCommand(s), policyListCommand(s), policyHistoryCommand(s), policyTestCommand(s), policySimulateCommand(s), policyImportCommand(s), policyExportCommand(s))
}
