package text

import "strings"

// packages are the names of packages, ours and Go's, with which errors begin.
const packages = " admin analysis arc authres destination dkim dmarc dns explain filter imap intake journal mailer memory message milter net" +
	" notify outgoing report resolver settings smtp spf spool sqldb store textproto tls x509 "

// Error returns the message of an error for a person: without the names of the packages
// that it passed through, each part once. It is "" for nil.
func Error(err error) string {
	if err == nil {
		return ""
	}
	words := err.Error()
	if !strings.Contains(words, ": ") {
		return words
	}
	lines := strings.Split(words, "\n") // of joined errors
	for i, line := range lines {
		lines[i] = withoutPackages(line)
	}
	return strings.Join(lines, "\n")
}

func withoutPackages(words string) string {
	var parts []string
	for part := range strings.SplitSeq(words, ": ") {
		if part != "" && strings.Contains(packages, " "+part+" ") && (len(parts) == 0 || !isPlace(parts[len(parts)-1])) {
			continue
		}
		if len(parts) > 0 && parts[len(parts)-1] == part {
			continue
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return words
	}
	return strings.Join(parts, ": ")
}

// isPlace reports whether a part is a place in a file, FILE:LINE:COLUMN, so that a key,
// not a package, follows it.
func isPlace(part string) bool {
	fields := strings.Split(part, ":")
	if len(fields) < 3 {
		return false
	}
	for _, n := range fields[len(fields)-2:] {
		if n == "" || strings.Trim(n, "0123456789") != "" {
			return false
		}
	}
	return true
}
