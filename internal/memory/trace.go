package memory

import "time"

// Limits of a Trace: what one message may make us keep.
const (
	MaxAnswers     = 300      // of one trace
	MaxAnswerTexts = 50       // records of one answer
	MaxTraceBytes  = 96 << 10 // of all names and texts of one trace
)

// Trace is the look-ups that one verdict rests on, in the order they ended.
type Trace struct {
	Answers []Answer
	Cut     bool // a limit was met: more was asked than is kept
}

// Answer is one look-up and what DNS said.
type Answer struct {
	Name  string        // what was asked, as a domain name
	Type  string        // TXT, A, AAAA, MX or PTR
	Texts []string      // the records in presentation form; none with an Error
	Error string        // "nxdomain", "nodata" or "temporary: …"; "" where there are records
	Took  time.Duration // 0 for less than a microsecond, as from the cache
}
