package memorytest

import (
	"errors"
	"fmt"
	"strings"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// Signatures makes n signatures; the first unchecked ones are over the limit.
func Signatures(n, unchecked int) (list []dkim.Result, alignments []dmarc.Alignment) {
	for i := range n {
		s := dkim.Result{Status: dkim.Fail, Domain: dns.MustParse(fmt.Sprintf("d%d.example", i)), Selector: "s", Identity: strings.Repeat("i", 300), Err: dkim.ErrSignature}
		if i < unchecked {
			s.Status, s.Err = dkim.Policy, dkim.ErrLimit
		}
		list = append(list, s)
		alignments = append(alignments, dmarc.Unaligned)
	}
	return list, alignments
}

// Hostile is a record of a message that is made to take room in every way.
func Hostile() (*memory.Record, error) {
	r, err := NewFiller(0).Record()
	if err != nil {
		return nil, err
	}
	r.LeftOut, r.Trace, r.Verdict.Unchecked = memory.LeftOut{}, nil, 0
	long := strings.Repeat("x", 60)
	name := func(i int) dns.Name { return dns.MustParse(fmt.Sprintf("%s.%s.%s.d%d.example", long, long, long, i)) }
	texts := func(n, length int) (out []string) {
		for range n {
			out = append(out, strings.Repeat("t", length))
		}
		return out
	}
	huge := strings.Repeat("h", 100_000)
	r.Helo, r.Sender, r.Tag, r.Redirect, r.QueueID, r.MessageID, r.Hold = huge, huge, huge, huge, huge, huge, huge
	r.Recipients, r.Removed, r.Added = texts(1000, 200), texts(27_000, 30), texts(3, 100_000)
	v := &r.Verdict
	v.DKIM, v.DKIMAlignments = Signatures(1900, 1890)
	v.SPF.Walk, v.SPF.Chain, v.SPF.Terms = nil, texts(11, 500), texts(11, 500)
	for i := range 100 {
		v.SPF.Walk = append(v.SPF.Walk, spf.Step{Domain: name(i), Term: strings.Repeat("m", 1000), Target: name(i)})
	}
	v.Authors, v.DMARC.Walk, v.ARC.Hops, r.Outcomes = nil, nil, nil, nil
	for i := range 16 {
		v.Authors = append(v.Authors, name(i))
	}
	if v.DMARC.Record, err = longRecord(30_000); err != nil {
		return nil, err
	}
	for i := range 8 {
		rec, err := longRecord(20_000 + i)
		if err != nil {
			return nil, err
		}
		v.DMARC.Walk = append(v.DMARC.Walk, dmarc.Step{Name: name(i), Record: rec, Text: rec.Text, Err: errors.New(huge)})
	}
	for i := range 50 {
		v.ARC.Hops = append(v.ARC.Hops, arc.Hop{Instance: i, SealDomain: name(i), AMSDomain: name(i), SealSelector: long, AMSSelector: long, Results: huge})
	}
	for i := range 1000 {
		o := memory.Outcome{Domains: []dns.Name{name(i), name(i + 1000)}, File: "policy.yaml", Line: i}
		o.Decision.Reply.Text = strings.Repeat("r", 450)
		r.Outcomes = append(r.Outcomes, o)
	}
	r.Chosen = 999
	return r, nil
}

func longRecord(length int) (*dmarc.Record, error) {
	return dmarc.ParseRecord("v=DMARC1; p=reject; rua=mailto:d@example.com; x=" + strings.Repeat("y", length))
}
