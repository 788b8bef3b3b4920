package intake

import (
	"errors"

	"dmarcd/internal/report"
)

// Limits bound the cost of one mail or file. They are those of analysis.limits; none is zero.
type Limits struct {
	MailBytes     int64 // of a mail or file as it came
	ExpandedBytes int64 // of all that it unpacks to
	Ratio         int   // of unpacked to packed octets
	Entries       int   // files in one archive
	Records       int   // of one report
}

// Fixed bounds.
const (
	maxDepth    = 8   // MIME parts within each other
	maxMails    = 3   // of them message/rfc822
	maxParts    = 200 // of one mail
	maxNested   = 4   // archives and compressions within each other: tar.gz of zip of gz
	maxReports  = 500 // of one mail or file
	freeExpand  = 1 << 20
	maxHeader   = 256 << 10 // octets of a header that are looked at
	maxFields   = 500
	maxText     = 64 << 10 // octets of a text that are searched
	maxRetained = 96 << 20 // estimate of the memory that the rows of one report take
)

// errRefused is wrapped if something is over a limit or cannot be read, with a text for people.
var errRefused = errors.New("refused")

// refusal is an error whose text is only for people.
type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == errRefused }

func (l Limits) forReport() report.Limits {
	return report.Limits{Bytes: l.ExpandedBytes, Rows: l.Records}
}
