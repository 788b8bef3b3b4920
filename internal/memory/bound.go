package memory

import (
	"errors"
	"slices"
	"strings"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// MaxRecordBytes is the maximal size of an encoded, bounded record without its trace.
// With a trace (MaxTraceBytes), its aggregate row, its index entries, and the record
// itself twice, in journal and store, one message takes at most 64 KiB of disk.
const MaxRecordBytes = 12 << 10

// Bounds of single parts. Mail that is not made to take room stays below them.
const (
	maxDomains    = 100  // of recipients, of one record
	maxOutcomes   = 16   // sets of rules
	maxRemoved    = 100  // forged fields
	maxText       = 1000 // octets of one text
	maxErrorText  = 300  // octets of one error
	maxRecordText = 4096 // octets of the governing DMARC record
	maxWalkText   = 1000 // octets of any other
	maxAddedText  = 4096 // octets of one field of ours
	textOverhead  = 4    // octets that the encoding adds to a text, about
	outcomeRoom   = 300  // octets of an outcome, about
	signatureRoom = 60   // of a signature, without its texts
	minRoom       = 64   // octets for a list or text even if all others are long
)

// Bound truncates what a message made long, and counts in LeftOut what is missing. It
// keeps as many signatures as the configuration allows, in the order of the header. It
// changes the record alone, not data that it shares with others.
func (r *Record) Bound(signatures int) {
	r.boundSignatures(signatures)
	r.boundTexts(maxText)
	r.boundPolicy()
	r.boundOutcomes()
	r.LeftOut.Removed += cutList(&r.Removed, maxRemoved)
	for room := MaxRecordBytes / 4; r.room() > MaxRecordBytes && room >= minRoom; room /= 2 {
		r.boundLists(room)
		r.boundTexts(room)
	}
}

// boundSignatures drops first the signatures that were not checked because of the limit,
// and then the last ones.
func (r *Record) boundSignatures(most int) {
	v := &r.Verdict
	all := len(v.DKIM)
	if all <= most {
		return
	}
	aligned := len(v.DKIMAlignments) == all
	var kept []dkim.Result
	var alignments []dmarc.Alignment
	for i := range v.DKIM {
		if errors.Is(v.DKIM[i].Err, dkim.ErrLimit) || len(kept) == most {
			continue
		}
		kept = append(kept, v.DKIM[i])
		if aligned {
			alignments = append(alignments, v.DKIMAlignments[i])
		}
	}
	v.DKIM, v.DKIMAlignments = kept, alignments
	v.Unchecked += all - len(kept)
	if v.SPFAlignment != "" { // as a record is read
		v.DMARC.Alignments = append([]dmarc.Alignment{v.SPFAlignment}, alignments...)
	}
}

// boundTexts cuts single texts.
func (r *Record) boundTexts(most int) {
	v := &r.Verdict
	for _, p := range []*string{&r.QueueID, &r.MessageID, &r.MTA, &r.Helo, &r.Sender, &r.Hold, &r.Redirect, &r.Tag, &r.Host,
		&v.SPF.Mechanism, &v.SPF.Explanation, &r.Decision.Reply.Text, &r.Decision.Comment} {
		*p = cutText(*p, most)
	}
	cutTexts(&v.SPF.Chain, most)
	cutTexts(&v.SPF.Terms, most)
	cutTexts(&r.Added, min(4*most, maxAddedText))
	long := func(s string) bool { return len(s) > most }
	if slices.ContainsFunc(v.ARC.Hops, func(h arc.Hop) bool { return long(h.Results) }) {
		v.ARC.Hops = slices.Clone(v.ARC.Hops)
		for i := range v.ARC.Hops {
			v.ARC.Hops[i].Results = cutText(v.ARC.Hops[i].Results, most)
		}
	}
	if slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return long(o.Decision.Reply.Text) || long(o.Decision.Comment) }) {
		r.Outcomes = slices.Clone(r.Outcomes)
		for i := range r.Outcomes {
			d := &r.Outcomes[i].Decision
			d.Reply.Text, d.Comment = cutText(d.Reply.Text, most), cutText(d.Comment, most)
		}
	}
}

// boundPolicy leaves DMARC records out that are longer than any that mean something.
// Without its governing record the message counts in no report.
func (r *Record) boundPolicy() {
	d := &r.Verdict.DMARC
	if d.Record != nil && len(d.Record.Text) > maxRecordText {
		d.Record = nil
	}
	if slices.ContainsFunc(d.Walk, func(s dmarc.Step) bool { return len(s.Text) > maxWalkText }) {
		d.Walk = slices.Clone(d.Walk)
		for i := range d.Walk {
			if s := &d.Walk[i]; len(s.Text) > maxWalkText {
				s.Text, s.Record = cutText(s.Text, maxWalkText), nil
			}
		}
	}
}

// boundOutcomes keeps the outcome that was carried out, wherever it is in the list.
func (r *Record) boundOutcomes() {
	if n := len(r.Outcomes); n > maxOutcomes {
		kept := slices.Clone(r.Outcomes[:maxOutcomes])
		for _, o := range r.Outcomes[maxOutcomes:] {
			r.LeftOut.Domains += len(o.Domains)
		}
		if r.Chosen >= maxOutcomes {
			last := &kept[maxOutcomes-1]
			r.LeftOut.Domains += len(last.Domains) - len(r.Outcomes[r.Chosen].Domains)
			*last, r.Chosen = r.Outcomes[r.Chosen], maxOutcomes-1
		}
		r.Outcomes = kept
	}
	r.boundDomains(maxDomains, MaxRecordBytes)
}

// boundDomains keeps at most most recipient domains in all, within room octets.
func (r *Record) boundDomains(most, room int) {
	for i := range r.Outcomes {
		list := &r.Outcomes[i].Domains
		r.LeftOut.Domains += cutList(list, most) + cutRoom(list, room, nameRoom)
		most -= len(*list)
		room -= listRoom(*list, nameRoom)
	}
}

// boundLists keeps of each list what fits the room.
func (r *Record) boundLists(room int) {
	v := &r.Verdict
	r.LeftOut.Recipients += cutRoom(&r.Recipients, room, textRoom)
	r.LeftOut.Removed += cutRoom(&r.Removed, room, textRoom)
	r.LeftOut.Added += cutRoom(&r.Added, room, textRoom)
	r.LeftOut.Hops += cutRoom(&v.ARC.Hops, room, hopRoom)
	if cut := cutRoom(&v.SPF.Walk, room, stepRoom); cut > 0 {
		r.LeftOut.Terms += cut
		v.SPF.WalkCut = true
	}
	cutRoom(&v.SPF.Chain, room, textRoom)
	cutRoom(&v.SPF.Terms, room, textRoom)
	cutRoom(&v.DMARC.Walk, room, walkRoom)
	if several := v.Authors; len(several) > 2 { // two already show that there are several
		cutRoom(&v.Authors, room, nameRoom)
		v.Authors = several[:max(len(v.Authors), 2)]
	}
	r.boundDomains(maxDomains, room)
}

// room estimates what the encoding takes. It is never too small by much.
func (r *Record) room() int {
	v := &r.Verdict
	n := outcomeRoom + listRoom(r.Recipients, textRoom) + listRoom(r.Removed, textRoom) + listRoom(r.Added, textRoom) +
		listRoom(v.SPF.Chain, textRoom) + listRoom(v.SPF.Terms, textRoom) + listRoom(v.SPF.Walk, stepRoom) +
		listRoom(v.DMARC.Walk, walkRoom) + listRoom(v.ARC.Hops, hopRoom) + listRoom(v.Authors, nameRoom)
	for _, s := range []string{r.QueueID, r.MessageID, r.MTA, r.Helo, r.Sender, r.Hold, r.Redirect, r.Tag, r.Host, r.Decision.Reply.Text, r.Decision.Comment} {
		n += textRoom(s)
	}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		n += signatureRoom + nameRoom(s.Domain) + textRoom(s.Selector) + textRoom(s.Identity) + errorRoom(s.Err)
	}
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		n += outcomeRoom + listRoom(o.Domains, nameRoom) + textRoom(o.Decision.Reply.Text) + textRoom(o.Decision.Comment) + textRoom(o.File)
	}
	if v.DMARC.Record != nil {
		n += len(v.DMARC.Record.Text)
	}
	return n + errorRoom(v.SPF.Err) + errorRoom(v.DMARC.Err) + errorRoom(v.ARC.Err)
}

func textRoom(s string) int   { return len(s) + textOverhead }
func nameRoom(n dns.Name) int { return textRoom(n.String()) }
func stepRoom(s spf.Step) int {
	return 2*textOverhead + nameRoom(s.Domain) + textRoom(s.Term) + nameRoom(s.Target)
}
func walkRoom(s dmarc.Step) int { return nameRoom(s.Name) + textRoom(s.Text) + errorRoom(s.Err) }
func hopRoom(h arc.Hop) int {
	return signatureRoom + nameRoom(h.SealDomain) + nameRoom(h.AMSDomain) + textRoom(h.SealSelector) + textRoom(h.AMSSelector) + textRoom(h.Results)
}

func errorRoom(err error) int {
	if err == nil {
		return 0
	}
	return min(len(err.Error()), maxErrorText) + 2*textOverhead
}

func listRoom[T any](list []T, room func(T) int) int {
	n := 0
	for _, v := range list {
		n += room(v)
	}
	return n
}

// cutList keeps the first items, and returns how many it left out.
func cutList[T any](list *[]T, most int) int {
	cut := len(*list) - max(most, 0)
	if cut <= 0 {
		return 0
	}
	*list = (*list)[:max(most, 0):max(most, 0)]
	return cut
}

// cutRoom keeps the first items that fit the room, and returns how many it left out.
func cutRoom[T any](list *[]T, room int, of func(T) int) int {
	for i, v := range *list {
		if room -= of(v); room < 0 {
			return cutList(list, i)
		}
	}
	return 0
}

func cutTexts(list *[]string, most int) {
	if !slices.ContainsFunc(*list, func(s string) bool { return len(s) > most }) {
		return
	}
	*list = slices.Clone(*list)
	for i, s := range *list {
		(*list)[i] = cutText(s, most)
	}
}

// cutText cuts a text, at the end of a character.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
