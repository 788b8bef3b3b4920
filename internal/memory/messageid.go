package memory

import (
	"strings"

	"dmarcd/internal/text"
)

// maxMessageID bounds a Message-ID that is kept, in octets.
const maxMessageID = 200

// MessageID normalizes a Message-ID for storage and lookup: no surrounding spaces and
// brackets, printable, truncated. A longer one is found by its full and by its truncated
// text.
func MessageID(id string) string {
	id = strings.TrimSpace(id)
	return text.ASCII(strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">"), maxMessageID)
}
