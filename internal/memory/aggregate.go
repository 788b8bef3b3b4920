package memory

import "dmarcd/internal/dns"

// Aggregate is a count for the report that one policy domain gets for one UTC day:
// how many messages made the same row. Equal aggregates but for Count and Last are
// one row.
type Aggregate struct {
	Day          Day
	PolicyDomain dns.Name // the domain that the report is about
	Record       string   // the governing record as published
	PSL          bool     // it was found by the public suffix list
	Row          string   // the key of a report.Row: all of it except the count
	Failed       bool     // neither SPF nor DKIM gave an aligned pass
	Count        int64    // messages, at least 1
	Last         int64    // Unix seconds of the latest of them
}

// AppendBinary appends the aggregate's encoding to b.
func (t *Aggregate) AppendBinary(b []byte) []byte {
	w := writer{b: append(b, aggregateVersion)}
	w.int(int64(t.Day))
	w.name(t.PolicyDomain)
	w.text(t.Record)
	w.flags(t.PSL, t.Failed)
	w.text(t.Row)
	w.int(t.Count)
	w.int(t.Last)
	return w.b
}

// DecodeAggregate reads what AppendBinary wrote, all of b. Its error wraps ErrEncoding.
func DecodeAggregate(b []byte) (Aggregate, error) {
	r := newReader(b, "aggregate", aggregateVersion)
	t := Aggregate{Day: Day(r.int()), PolicyDomain: r.name(), Record: r.text()}
	r.flags(&t.PSL, &t.Failed)
	t.Row = r.text()
	t.Count = r.int()
	t.Last = r.int()
	if err := r.end(); err != nil {
		return Aggregate{}, err
	}
	return t, nil
}
