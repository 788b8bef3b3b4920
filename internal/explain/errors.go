package explain

import "strings"

// errorText is an error without the name of the package that made it, "" for none.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	words := err.Error()
	for _, prefix := range []string{"spf: ", "dkim: ", "dmarc: ", "arc: ", "message: "} {
		words = strings.TrimPrefix(words, prefix)
	}
	return words
}
