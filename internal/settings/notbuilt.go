package settings

// notBuilt names the keys that are read and checked but change nothing yet; a file that
// sets one to another value than its default gets a warning. A key includes all keys
// below it. Keys of `default` and of the entries of `domains` begin with "rules".
func notBuilt() map[string]bool {
	keys := []string{
		"analysis.failure_reports",
		"analysis.alerts",
		"retention.received",
		"retention.received_rollups",
	}
	m := make(map[string]bool, len(keys))
	for _, k := range keys {
		m[k] = true
	}
	return m
}
