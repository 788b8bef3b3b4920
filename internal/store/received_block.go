package store

import (
	"encoding/binary"
	"slices"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// Rows of received reports are packed: a block holds those of one day, some hundred of
// them. The rows of a report on one day form a segment, whose head has what all rows
// share and their length, so that a reader can skip them. A query reads the blocks of its
// days and adds up what it needs. That takes a few dozen nanoseconds a row, where a table
// row takes microseconds. A row takes some 15 octets, and needs no index.

// blockRows is the least number of rows in a block before another one is begun.
const blockRows = 512

// segmentRows bounds the rows of a segment.
const segmentRows = 2048

// segment is the rows of a report on one day, or part of them.
type segment struct {
	day      int64
	report   int64
	domain   int64 // managed
	reporter int64
	received int64 // Unix microseconds
	middle   int64 // day of the report: that of its period's middle
	messages int64 // of the whole report; set in its home segment only
	trust    int64 // code
	policy   int64 // code
	home     bool  // the one segment by which the report is counted, on its day
	spread   bool  // the report has rows on several days, or may have
	repaired bool  // it needed repair
	rows     []packedRow
}

// counts reports whether the rows count.
func (g *segment) counts() bool { return trustOf(g.trust).Counts() }

// packedRow is the part of a record that falls on one day: all of it, except for spread
// reports.
type packedRow struct {
	number   int64 // of the record in its report
	identity int64
	set      int64
	messages int64
	whole    int64 // messages of the record
	next     int64 // next day of the same record; noDay for none
	code     int64 // of disposition and verdicts
	flags    int64
}

// Codes of words in blocks and rollups.
var (
	dispositions = [...]report.Disposition{"", report.DispositionNone, report.DispositionPass, report.DispositionQuarantine, report.DispositionReject}
	trusts       = [...]analysis.Trust{"", analysis.TrustAuthenticated, analysis.TrustAdmin, analysis.TrustUnknown, analysis.TrustOtherName, analysis.TrustFailed}
	policies     = [...]report.Policy{"", report.PolicyNone, report.PolicyQuarantine, report.PolicyReject}
)

func codeOf[T comparable](list []T, word T) int64 { return int64(max(slices.Index(list, word), 0)) }

func wordOf[T any](list []T, code int64) T { return list[min(max(code, 0), int64(len(list)-1))] }

func trustOf(code int64) analysis.Trust { return wordOf(trusts[:], code) }

// verdictCodes is how many codes of disposition and verdicts there are.
const verdictCodes = 4 * len(dispositions)

// codeOfVerdicts packs disposition and verdicts.
func codeOfVerdicts(d report.Disposition, spf, dkim report.DMARCResult) int64 {
	return codeOf(dispositions[:], d)<<2 | boolInt(spf == report.DMARCPass)<<1 | boolInt(dkim == report.DMARCPass)
}

// verdictsOf is the reverse of codeOfVerdicts.
func verdictsOf(code int64) (d report.Disposition, spf, dkim report.DMARCResult) {
	spf, dkim = report.DMARCFail, report.DMARCFail
	if code&2 != 0 {
		spf = report.DMARCPass
	}
	if code&1 != 0 {
		dkim = report.DMARCPass
	}
	return wordOf(dispositions[:], code>>2), spf, dkim
}

// codeSums are messages by their code.
type codeSums [verdictCodes]int64

// counts are the figures that views show.
func (s *codeSums) counts() (c analysis.Counts) {
	for code, messages := range s {
		if messages != 0 {
			d, spf, dkim := verdictsOf(int64(code))
			c.Add(messages, spf, dkim, d)
		}
	}
	return c
}

// Bits of a segment's head. Trust and policy follow above them.
const (
	headHome = 1 << iota
	headSpread
	headRepaired
	headTrust  = 3 // first bit of the code
	headPolicy = 6
)

// Bits of a row's head, above its code.
const (
	rowFlagged = 1 << (5 + iota)
	rowSpread  // whole and next follow
	rowJump    // its number is not the one after the row before
)

// pack appends the segment with its first n rows, and removes them from it. The rest is
// not a home segment any more.
func (g *segment) pack(b []byte, n int) []byte {
	head := boolInt(g.home)*headHome | boolInt(g.spread)*headSpread | boolInt(g.repaired)*headRepaired | g.trust<<headTrust | g.policy<<headPolicy
	for _, v := range []int64{head, g.report, g.domain, g.reporter} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendVarint(b, g.received-g.day*microsPerDay)
	if g.spread {
		b = binary.AppendVarint(b, g.middle-g.day)
	}
	if g.home {
		b = binary.AppendUvarint(b, uint64(g.messages))
	}
	var rows []byte
	last := int64(0)
	for i := range g.rows[:n] {
		rows = g.rows[i].pack(rows, g.day, last)
		last = g.rows[i].number
	}
	g.rows, g.home = g.rows[n:], false
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(rows)))
	return append(b, rows...)
}

func (r *packedRow) pack(b []byte, day, last int64) []byte {
	head := r.code
	spread := r.whole != r.messages || r.next != noDay
	if r.flags != 0 {
		head |= rowFlagged
	}
	if spread {
		head |= rowSpread
	}
	if r.number != last+1 {
		head |= rowJump
	}
	b = append(b, byte(head))
	if head&rowJump != 0 {
		b = binary.AppendVarint(b, r.number-last)
	}
	b = binary.AppendUvarint(b, uint64(r.identity))
	b = binary.AppendUvarint(b, uint64(r.set))
	b = binary.AppendUvarint(b, uint64(r.messages))
	if head&rowFlagged != 0 {
		b = binary.AppendUvarint(b, uint64(r.flags))
	}
	if spread {
		b = binary.AppendUvarint(b, uint64(r.whole))
		next := int64(0)
		if r.next != noDay {
			next = r.next - day
		}
		b = binary.AppendUvarint(b, uint64(next))
	}
	return b
}

// unpacker reads the output of pack. After a premature end it returns zeros, and bad is
// true. Its changing fields are not pointers, which would cost more than the reading.
type unpacker struct {
	b   []byte
	at  int
	bad bool
}

func (u *unpacker) more() bool { return u.at < len(u.b) }

// fail has it read no more.
func (u *unpacker) fail() int64 {
	u.bad, u.at = true, len(u.b)
	return 0
}

func (u *unpacker) uvarint() int64 {
	if u.at < len(u.b) && u.b[u.at] < 0x80 {
		u.at++
		return int64(u.b[u.at-1])
	}
	return u.longUvarint()
}

func (u *unpacker) longUvarint() int64 {
	var v uint64
	for n, c := range u.b[u.at:min(u.at+binary.MaxVarintLen64, len(u.b))] {
		v |= uint64(c&0x7f) << (7 * n)
		if c < 0x80 {
			u.at += n + 1
			return int64(v)
		}
	}
	return u.fail()
}

func (u *unpacker) varint() int64 {
	v := uint64(u.uvarint())
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) octets(n int64) []byte {
	if n < 0 || n > int64(len(u.b)-u.at) {
		u.fail()
		return nil
	}
	u.at += int(n)
	return u.b[u.at-int(n) : u.at]
}

// head reads the head of a segment of a day, and returns its packed rows.
func (u *unpacker) head(g *segment, day int64) (rows unpacker, n int64) {
	head := u.uvarint()
	*g = segment{
		day: day, report: u.uvarint(), domain: u.uvarint(), reporter: u.uvarint(), received: u.varint() + day*microsPerDay, middle: day,
		trust: head >> headTrust & 7, policy: head >> headPolicy & 3, home: head&headHome != 0, spread: head&headSpread != 0,
		repaired: head&headRepaired != 0, rows: g.rows[:0],
	}
	if g.spread {
		g.middle += u.varint()
	}
	if g.home {
		g.messages = u.uvarint()
	}
	n = u.uvarint()
	rows.b = u.octets(u.uvarint())
	return rows, n
}

// row reads the row after the one with the number last.
func (u *unpacker) row(r *packedRow, day, last int64) {
	if !u.more() {
		u.fail()
		return
	}
	head := int64(u.b[u.at])
	u.at++
	r.code, r.number, r.flags, r.next = min(head&31, int64(verdictCodes-1)), last+1, 0, noDay
	if head&rowJump != 0 {
		r.number = last + u.varint()
	}
	r.identity, r.set, r.messages = u.uvarint(), u.uvarint(), u.uvarint()
	r.whole = r.messages
	if head&rowFlagged != 0 {
		r.flags = u.uvarint()
	}
	if head&rowSpread != 0 {
		r.whole = u.uvarint()
		if next := u.uvarint(); next != 0 {
			r.next = day + next
		}
	}
}

// unpackAll returns the segments of a block with all their rows; ok is false where it
// cannot be read to its end.
func unpackAll(body []byte, day int64) (all []segment, ok bool) {
	u := unpacker{b: body}
	for u.more() {
		var g segment
		rows, n := u.head(&g, day)
		if u.bad || n > int64(len(rows.b)) {
			return all, false
		}
		g.rows = make([]packedRow, n)
		last := int64(0)
		for i := range g.rows {
			rows.row(&g.rows[i], day, last)
			last = g.rows[i].number
		}
		if rows.bad {
			return all, false
		}
		all = append(all, g)
	}
	return all, true
}
