package memory

// Position is a place in a journal: an octet offset in one of its segments. The zero
// Position is before the first segment.
type Position struct {
	Segment uint64 // from 1
	Offset  int64
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

// Batch is a range of a journal to be loaded into a store, which takes all of it or
// nothing, and remembers To for Journal in the same transaction: so each record is
// counted once, whatever fails.
type Batch struct {
	Journal    string   // the id of the journal, the same for all its life
	From, To   Position // From is the position that the store has for Journal
	Records    []Record
	Aggregates []Aggregate // of records whose detail was dropped for lack of room
	Lost       uint64      // records of the range that cannot be read
}
