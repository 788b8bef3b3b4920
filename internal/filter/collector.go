package filter

import (
	"strings"

	"dmarcd/internal/message"
)

// chunkSize is the step in which memory for a header is taken: most headers fit one.
const chunkSize = 8 << 10

// collector gathers the header of one message within its limits. What is beyond
// them is counted, not kept, so that padding costs no memory; a From field that
// is cut off makes the author ambiguous instead of going unseen.
type collector struct {
	header    message.Header
	maxFields int
	maxBytes  int
	size      int
	chunk     []byte
}

func (c *collector) limits(fields, bytes int) { c.maxFields, c.maxBytes = fields, bytes }

// add takes one field; value is the text after the colon, without the last CRLF.
func (c *collector) add(name string, value []byte) {
	n := len(name) + 1 + len(value) + 2
	if len(c.header.Fields) >= c.maxFields || c.size+n > c.maxBytes {
		c.cut(name)
		return
	}
	c.size += n
	raw := c.room(n)
	raw = append(raw, name...)
	raw = append(raw, ':')
	raw = append(raw, value...)
	raw = append(raw, '\r', '\n')
	if c.header.Fields == nil {
		const usual = 32
		c.header.Fields = make([]message.Field, 0, usual)
	}
	c.header.Fields = append(c.header.Fields, message.Field{Name: strings.TrimRight(name, " \t"), Raw: raw})
}

// room returns an empty slice with capacity for n octets that nobody else writes to.
func (c *collector) room(n int) []byte {
	if n > chunkSize/4 {
		return make([]byte, 0, n)
	}
	if len(c.chunk)+n > cap(c.chunk) {
		c.chunk = make([]byte, 0, chunkSize)
	}
	at := len(c.chunk)
	c.chunk = c.chunk[:at+n]
	return c.chunk[at : at : at+n]
}

// cutSignature is the name under which signatures beyond the limits are counted.
const cutSignature = "dkim-signature"

func (c *collector) cut(name string) {
	c.header.Cut = true
	key := strings.ToLower(strings.TrimRight(name, " \t"))
	if key != "from" && key != cutSignature {
		return
	}
	if c.header.CutNames == nil {
		c.header.CutNames = map[string]int{}
	}
	c.header.CutNames[key]++
}
