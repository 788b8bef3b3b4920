package policy

import (
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// sig is one signature of a test message.
type sig struct {
	status  dkim.Status
	aligned bool
}

// build makes the verdict for a message From example.com, with the RFC 9989
// status worked out as plainly as possible: one aligned pass passes; otherwise
// a temporary error that could have aligned leaves it open.
func build(spfStatus spf.Status, spfAligned bool, sigs ...sig) *Verdict {
	author := dns.MustParse("example.com")
	v := &Verdict{
		SPF:          spf.Result{Status: spfStatus, Domain: author},
		SPFAlignment: alignment(spfAligned),
		Authors:      []dns.Name{author},
	}
	pass := spfStatus == spf.Pass && spfAligned
	open := spfStatus == spf.TempError && spfAligned
	for _, s := range sigs {
		processed := s.status == dkim.Pass || s.status == dkim.Fail
		v.DKIM = append(v.DKIM, dkim.Result{Status: s.status, Domain: author, Processed: processed})
		v.DKIMAlignments = append(v.DKIMAlignments, alignment(s.aligned))
		pass = pass || s.status == dkim.Pass && s.aligned
		open = open || s.status == dkim.TempError && s.aligned
	}
	v.DMARC = dmarc.Result{
		Status: dmarc.Fail, Author: author, PolicyDomain: author, Record: &dmarc.Record{},
		Requested: dmarc.PolicyReject, Policy: dmarc.PolicyReject, Source: "p",
	}
	switch {
	case pass:
		v.DMARC.Status = dmarc.Pass
	case open:
		v.DMARC.Status = dmarc.TempError
	}
	return v
}

func alignment(aligned bool) dmarc.Alignment {
	if aligned {
		return dmarc.Aligned
	}
	return dmarc.Unaligned
}

// TestCriteria is the table of criteria: what each makes of the same facts.
func TestCriteria(t *testing.T) {
	const P, F, T = dmarc.Pass, dmarc.Fail, dmarc.TempError
	good, bad := sig{dkim.Pass, true}, sig{dkim.Fail, true}
	foreign, late := sig{dkim.Pass, false}, sig{dkim.TempError, true}
	cases := []struct {
		name               string
		verdict            *Verdict
		rfc, hes, enforced dmarc.Status
	}{
		{"1 SPF pass aligned, unsigned", build(spf.Pass, true), P, P, F},
		{"2 SPF pass aligned, DKIM fails", build(spf.Pass, true, bad), P, F, F},
		{"3 SPF fail aligned, DKIM pass aligned", build(spf.Fail, true, good), P, F, F},
		{"4 SPF softfail aligned, unsigned", build(spf.Softfail, true), F, P, F},
		{"5 SPF none aligned, unsigned", build(spf.None, true), F, P, F},
		{"5 SPF neutral aligned, unsigned", build(spf.Neutral, true), F, P, F},
		{"6 SPF fail aligned, unsigned", build(spf.Fail, true), F, F, F},
		{"7 SPF pass unaligned, DKIM pass aligned", build(spf.Pass, false, good), P, P, P},
		{"8 SPF pass unaligned, unsigned", build(spf.Pass, false), F, F, F},
		{"9 SPF permerror aligned, unsigned", build(spf.PermError, true), F, P, F},
		{"9t SPF temperror aligned, unsigned", build(spf.TempError, true), T, P, T},
		{"10 SPF pass aligned, DKIM pass aligned", build(spf.Pass, true, good), P, P, P},
		{"11 SPF softfail aligned, DKIM pass aligned", build(spf.Softfail, true, good), P, P, F},
		{"12 SPF pass aligned, DKIM pass unaligned only", build(spf.Pass, true, foreign), P, P, P},
		{"13 SPF pass aligned, one good, one bad", build(spf.Pass, true, good, bad), P, P, P},
		{"the only aligned signature's key is not to be had", build(spf.Softfail, false, late), T, T, T},
		{"one bad signature, and a key that is not to be had", build(spf.Pass, true, bad, late), P, T, T},
		{"a key that is not to be had mends no SPF fail", build(spf.Fail, true, late), T, F, T},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := judge(c.verdict, CriteriaRFC); got != c.rfc {
				t.Errorf("rfc: %s, want %s", got, c.rfc)
			}
			if got := judge(c.verdict, CriteriaHES); got != c.hes {
				t.Errorf("hes: %s, want %s", got, c.hes)
			}
			if got := judgePeer(c.verdict, RequireBoth); got != c.enforced {
				t.Errorf("enforced: %s, want %s", got, c.enforced)
			}
		})
	}
}

func TestPeerEdges(t *testing.T) {
	noRecord := build(spf.Pass, true, sig{dkim.Pass, true})
	noRecord.DMARC.Status, noRecord.DMARC.Record, noRecord.DMARC.Policy = dmarc.None, nil, ""
	unfinished := build(spf.Pass, true, sig{dkim.Pass, true})
	unfinished.DMARC.Status, unfinished.DMARC.Record, unfinished.DMARC.Policy = dmarc.TempError, nil, ""
	cases := []struct {
		name    string
		verdict *Verdict
		require Require
		want    dmarc.Status
	}{
		{"either: aligned SPF alone", build(spf.Pass, true), RequireEither, dmarc.Pass},
		{"either: aligned DKIM alone", build(spf.Fail, true, sig{dkim.Pass, true}), RequireEither, dmarc.Pass},
		{"either: only unaligned passes", build(spf.Pass, false, sig{dkim.Pass, false}), RequireEither, dmarc.Fail},
		{"either: SPF unaligned, key temperror", build(spf.Pass, false, sig{dkim.TempError, true}), RequireEither, dmarc.TempError},
		{"both: SPF pass, key temperror", build(spf.Pass, true, sig{dkim.TempError, true}), RequireBoth, dmarc.TempError},
		{"both: a temperror beside a good signature", build(spf.Pass, true, sig{dkim.Pass, true}, sig{dkim.TempError, true}), RequireBoth, dmarc.Pass},
		{"no record is a failure whatever passed", noRecord, RequireEither, dmarc.Fail},
		{"discovery unfinished", unfinished, RequireEither, dmarc.TempError},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := judgePeer(c.verdict, c.require); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestShown(t *testing.T) {
	cases := []struct {
		name string
		sigs []sig
		want int
	}{
		{"unsigned", nil, -1},
		{"aligned verified first of all", []sig{{dkim.Fail, true}, {dkim.Pass, false}, {dkim.Pass, true}}, 2},
		{"else the first verified", []sig{{dkim.Fail, true}, {dkim.Pass, false}, {dkim.Pass, false}}, 1},
		{"else the first failing", []sig{{dkim.TempError, true}, {dkim.Fail, false}, {dkim.Fail, true}}, 1},
		{"only key temperrors", []sig{{dkim.TempError, true}}, -1},
		{"only unreadable", []sig{{dkim.PermError, false}}, -1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := build(spf.None, false, c.sigs...).Shown(); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
