package memory

import (
	"errors"
	"fmt"

	"dmarcd/internal/policy"
)

// Errors of reading. Test with errors.Is.
var (
	// ErrEncoding means that the bytes are not a record that this version can read.
	ErrEncoding = errors.New("memory: not a record")
	// ErrNewer means that a newer dmarcd wrote the bytes. It is an ErrEncoding too.
	ErrNewer = fmt.Errorf("%w of this version", ErrEncoding)
)

// Version is the newest of the encodings that this program writes and reads: each begins
// with the octet of its own version, and all older ones are read too. To add a field, a
// word or a cause, raise the version of the type that holds it and Version with it, and
// let the reader check since(version) before it reads the field.
const Version = 3

// Versions of the encodings. 2 has Host, Policy, LeftOut and ExistenceHidden; 3 has
// Decision.Ended.
const (
	recordVersion    = 3
	aggregateVersion = 1
	traceVersion     = 1
)

// AppendBinary appends the record's encoding to b. Its error is always nil: the
// signature is that of encoding.BinaryAppender.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	w := writer{b: append(b, recordVersion)}
	w.time(r.At)
	w.text(r.QueueID)
	w.text(r.MessageID)
	w.text(r.MTA)
	w.addr(r.ClientIP)
	w.text(r.Helo)
	w.flags(r.NullSender, r.DeferLapsed, r.CarriesReport, r.PSL, r.Trace != nil, r.ForgedKept, r.Dropped)
	w.text(r.Sender)
	w.name(r.EnvelopeFrom)
	w.texts(r.Recipients)
	w.verdict(&r.Verdict)
	w.uint(uint64(r.Forged))
	w.decision(&r.Decision)
	w.int(int64(r.Chosen))
	w.uint(uint64(len(r.Outcomes)))
	for i := range r.Outcomes {
		w.outcome(&r.Outcomes[i])
	}
	w.texts(r.Added)
	w.texts(r.Removed)
	w.text(r.Hold)
	w.text(r.Redirect)
	w.text(r.Tag)
	w.text(r.Mixed)
	w.text(r.Host)
	w.policy(r.Policy)
	w.leftOut(&r.LeftOut)
	if r.Trace != nil {
		w.trace(r.Trace)
	}
	return w.b, nil
}

// DecodeRecord reads the output of AppendBinary, all of b, without retaining b. Its error
// wraps ErrEncoding.
func DecodeRecord(b []byte) (*Record, error) {
	in := newReader(b, "record", recordVersion)
	r := &Record{At: in.time(), QueueID: in.text(), MessageID: in.text(), MTA: in.text(), ClientIP: in.addr(), Helo: in.text()}
	traced := false
	in.flags(&r.NullSender, &r.DeferLapsed, &r.CarriesReport, &r.PSL, &traced, &r.ForgedKept, &r.Dropped)
	r.Sender = in.text()
	r.EnvelopeFrom = in.name()
	r.Recipients = in.texts()
	r.Verdict = in.verdict()
	r.Forged = int(in.uint())
	r.Decision = in.decision()
	r.Chosen = int(in.int())
	r.Outcomes = readList(&in, in.outcome)
	if in.err == nil && (r.Chosen < -1 || r.Chosen >= len(r.Outcomes)) {
		in.fail("outcome %d of %d", r.Chosen, len(r.Outcomes))
	}
	r.Added = in.texts()
	r.Removed = in.texts()
	r.Hold = in.text()
	r.Redirect = in.text()
	r.Tag = in.text()
	r.Mixed = in.text()
	if in.since(2) {
		r.Host, r.Policy, r.LeftOut = in.text(), in.policy(), in.leftOut()
	}
	if traced {
		r.Trace = in.trace()
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	return r, nil
}

func (w *writer) decision(d *policy.Decision) {
	writeWord(w, d.Action)
	writeWord(w, d.Would)
	writeWord(w, d.Reason)
	writeWord(w, d.Rule)
	writeWord(w, d.Status)
	w.uint(uint64(d.Reply.Code))
	if d.Reply.Code != 0 {
		writeWord(w, d.Reply.Enhanced)
		w.text(d.Reply.Text)
	}
	w.text(d.Comment)
	ended := d.Ended != (policy.Ended{})
	w.flags(d.Evaluated, d.Ran.SPF, d.Ran.DKIM, d.Enforced, ended)
	if ended {
		writeWord(w, d.Ended.Rule)
		w.int(int64(d.Ended.Day))
	}
}

func (r *reader) decision() policy.Decision {
	d := policy.Decision{
		Action: readWord[policy.Action](r), Would: readWord[policy.Action](r),
		Reason: readWord[policy.Reason](r), Rule: readWord[string](r),
	}
	readInto(r, &d.Status)
	if d.Reply.Code = int(r.uint()); d.Reply.Code != 0 {
		d.Reply.Enhanced = readWord[string](r)
		d.Reply.Text = r.text()
	}
	d.Comment = r.text()
	ended := false
	r.flags(&d.Evaluated, &d.Ran.SPF, &d.Ran.DKIM, &d.Enforced, &ended)
	if ended && r.since(3) {
		d.Ended = policy.Ended{Rule: readWord[string](r), Day: policy.Day(r.int())}
	}
	return d
}

// readInto reads a word of the type that p points to.
func readInto[T ~string](r *reader, p *T) { *p = readWord[T](r) }

func (w *writer) outcome(o *Outcome) {
	w.names(o.Domains)
	w.decision(&o.Decision)
	writeWord(w, o.Mode)
	writeWord(w, o.Criteria)
	writeWord(w, o.Quarantine)
	w.flags(o.DailyReports)
	w.text(o.File)
	w.uint(uint64(o.Line))
}

func (r *reader) outcome() Outcome {
	o := Outcome{Domains: r.names(), Decision: r.decision()}
	readInto(r, &o.Mode)
	readInto(r, &o.Criteria)
	readInto(r, &o.Quarantine)
	r.flags(&o.DailyReports)
	o.File = r.text()
	o.Line = int(r.uint())
	return o
}

// policy writes the name of a policy's text: its length and octets; none has length 0.
func (w *writer) policy(id policy.SourceID) {
	if id == (policy.SourceID{}) {
		w.byte(0)
		return
	}
	w.byte(byte(len(id)))
	w.b = append(w.b, id[:]...)
}

func (r *reader) policy() policy.SourceID {
	var id policy.SourceID
	if n := r.byte(); n != 0 && int(n) != len(id) {
		r.fail("not the name of a policy")
	} else if n != 0 {
		copy(id[:], r.take(uint64(n)))
	}
	return id
}

func (w *writer) leftOut(l *LeftOut) {
	for _, n := range l.counts() {
		w.uint(uint64(*n))
	}
}

func (r *reader) leftOut() LeftOut {
	var l LeftOut
	for _, n := range l.counts() {
		*n = int(r.uint())
	}
	return l
}

// counts are the fields in the order of the encoding.
func (l *LeftOut) counts() []*int {
	return []*int{&l.Recipients, &l.Domains, &l.Removed, &l.Added, &l.Terms, &l.Hops}
}
