package memory

import "time"

// Limits of a Trace: what one message may make us keep.
const (
	MaxAnswers     = 300      // of one trace
	MaxAnswerTexts = 50       // records of one answer
	MaxTraceBytes  = 16 << 10 // of all names and texts of one trace
)

// Trace is the lookups that one verdict rests on, in the order they ended.
type Trace struct {
	Answers []Answer
	Cut     bool // a limit was reached: more was asked than is kept
}

// Answer is one lookup and its answer.
type Answer struct {
	Name  string        // the name looked up
	Type  string        // TXT, A, AAAA, MX or PTR
	Texts []string      // the records in presentation form; none with an Error
	Error string        // "nxdomain", "nodata" or "temporary: …"; "" where there are records
	Took  time.Duration // in whole microseconds; 0 for less than one, as from the cache
}

// AppendBinary appends the trace's encoding to b. Its error is always nil.
func (t *Trace) AppendBinary(b []byte) ([]byte, error) {
	w := writer{b: append(b, traceVersion)}
	w.trace(t)
	return w.b, nil
}

// DecodeTrace reads what AppendBinary wrote, all of b. Its error wraps ErrEncoding.
func DecodeTrace(b []byte) (*Trace, error) {
	r := newReader(b, "trace", traceVersion)
	t := r.trace()
	if err := r.end(); err != nil {
		return nil, err
	}
	return t, nil
}

func (w *writer) trace(t *Trace) {
	w.flags(t.Cut)
	w.uint(uint64(len(t.Answers)))
	for i := range t.Answers {
		a := &t.Answers[i]
		w.text(a.Name)
		writeWord(w, a.Type)
		w.texts(a.Texts)
		writeWord(w, a.Error)
		w.uint(uint64(a.Took.Microseconds()))
	}
}

func (r *reader) trace() *Trace {
	t := &Trace{}
	r.flags(&t.Cut)
	t.Answers = readList(r, func() Answer {
		a := Answer{Name: r.text(), Type: readWord[string](r), Texts: r.texts(), Error: readWord[string](r)}
		const most = 1 << 40 // microseconds: more than a Duration can hold
		a.Took = time.Duration(min(r.uint(), most)) * time.Microsecond
		return a
	})
	return t
}
