package memory

import (
	"strings"

	"dmarcd/internal/text"
)

// maxMessageID bounds a Message-ID that is kept, in octets.
const maxMessageID = 200

// MessageID is a Message-ID in the form in which it is kept and looked up: without
// spaces and brackets around it, printable, cut. A longer one is found by its whole
// text and by what was kept of it.
func MessageID(id string) string {
	id = strings.TrimSpace(id)
	return text.ASCII(strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">"), maxMessageID)
}
