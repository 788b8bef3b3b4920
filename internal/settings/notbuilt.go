package settings

// notBuilt names the keys that are read and checked but change nothing yet; a
// file that sets one to something else than its default is warned. A key stands
// for all keys below it. Keys of `default` and of the entries of `domains` begin
// with "rules".
func notBuilt() map[string]bool {
	keys := []string{
		// dmarcd.yaml
		"client_ip_from",
		"store",
		"store_password_file",
		"http.tls_cert",
		"http.tls_key",
		"http.proxy",
		"retention",
		"reports.enabled",
		"analysis",
		"notify",

		// policy.yaml
		"defer_limit",
		"tests",
		"rules.mode",
		"rules.dmarc.no_record_when",
		"rules.dmarc.arc",
		"rules.dmarc.trusted_forwarders",
		"rules.dmarc.tag_subject",
		"rules.dmarc.tag_signed",
		"rules.dmarc.notify",
		"rules.sender_ip_match",
		"rules.spf",
		"rules.dkim",
		"rules.quarantine",
	}
	m := make(map[string]bool, len(keys))
	for _, k := range keys {
		m[k] = true
	}
	return m
}
