package memory

import (
	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

func (w *writer) verdict(v *policy.Verdict) {
	w.names(v.Authors)
	w.spf(&v.SPF)
	w.uint(uint64(len(v.DKIM)))
	for i := range v.DKIM {
		w.dkim(&v.DKIM[i])
	}
	w.dmarc(&v.DMARC)
	writeWord(w, v.SPFAlignment)
	writeList(w, v.DKIMAlignments, func(a dmarc.Alignment) { writeWord(w, a) })
	w.arc(&v.ARC)
	w.uint(uint64(v.Unchecked))
}

func (r *reader) verdict() policy.Verdict {
	v := policy.Verdict{Authors: r.names(), SPF: r.spf(), DKIM: readList(r, r.dkim), DMARC: r.dmarc()}
	readInto(r, &v.SPFAlignment)
	v.DKIMAlignments = readList(r, func() dmarc.Alignment { return readWord[dmarc.Alignment](r) })
	v.ARC = r.arc()
	if r.since(2) {
		v.Unchecked = int(r.uint())
	}
	if v.SPFAlignment != "" {
		// The record has only once what filter fills the three from.
		v.DMARC.Alignments = append([]dmarc.Alignment{v.SPFAlignment}, v.DKIMAlignments...)
	}
	return v
}

func (w *writer) spf(s *spf.Result) {
	writeWord(w, s.Status)
	w.name(s.Domain)
	writeWord(w, s.Scope)
	w.text(s.Mechanism)
	w.texts(s.Chain)
	w.texts(s.Terms)
	w.uint(uint64(s.Lookups))
	w.uint(uint64(s.Voids))
	w.text(s.Explanation)
	w.error(s.Err)
	w.addr(s.ClientIP)
	w.walk(s.Walk)
	w.flags(s.WalkCut)
}

// walk writes the terms that were evaluated. Most are in the same record as the one
// before, which one bit encodes.
func (w *writer) walk(steps []spf.Step) {
	w.uint(uint64(len(steps)))
	var domain dns.Name
	for i := range steps {
		s := &steps[i]
		w.flags(s.Domain != domain, s.LocalPart, s.Result != "", !s.Target.IsZero())
		if s.Domain != domain {
			domain = s.Domain
			w.name(domain)
		}
		w.text(s.Term)
		w.uint(uint64(s.Depth))
		writeWord(w, s.Outcome)
		if s.Result != "" {
			writeWord(w, s.Result)
		}
		if !s.Target.IsZero() {
			w.name(s.Target)
		}
	}
}

func (r *reader) walk() []spf.Step {
	var domain dns.Name
	return readList(r, func() spf.Step {
		var s spf.Step
		var other, led, aimed bool
		r.flags(&other, &s.LocalPart, &led, &aimed)
		if other {
			domain = r.name()
		}
		s.Domain, s.Term, s.Depth = domain, r.text(), int(r.uint())
		readInto(r, &s.Outcome)
		if led {
			readInto(r, &s.Result)
		}
		if aimed {
			s.Target = r.name()
		}
		return s
	})
}

func (r *reader) spf() spf.Result {
	s := spf.Result{Status: readWord[spf.Status](r), Domain: r.name(), Scope: readWord[spf.Scope](r)}
	s.Mechanism = r.text()
	s.Chain = r.texts()
	s.Terms = r.texts()
	s.Lookups = int(r.uint())
	s.Voids = int(r.uint())
	s.Explanation = r.text()
	s.Err = r.error()
	s.ClientIP = r.addr()
	s.Walk = r.walk()
	r.flags(&s.WalkCut)
	return s
}

func (w *writer) dkim(d *dkim.Result) {
	writeWord(w, d.Status)
	w.name(d.Domain)
	w.text(d.Selector)
	w.text(d.Identity)
	writeWord(w, d.Algorithm)
	writeWord(w, d.Header)
	writeWord(w, d.Body)
	w.uint(uint64(d.KeyBits))
	w.flags(d.Partial, d.Testing, d.Processed)
	w.text(d.SigPrefix)
	w.error(d.Err)
}

func (r *reader) dkim() dkim.Result {
	d := dkim.Result{Status: readWord[dkim.Status](r), Domain: r.name(), Selector: r.text(), Identity: r.text()}
	readInto(r, &d.Algorithm)
	readInto(r, &d.Header)
	readInto(r, &d.Body)
	d.KeyBits = int(r.uint())
	r.flags(&d.Partial, &d.Testing, &d.Processed)
	d.SigPrefix = r.text()
	d.Err = r.error()
	return d
}

func (w *writer) dmarc(d *dmarc.Result) {
	writeWord(w, d.Status)
	w.name(d.Author)
	w.name(d.OrgDomain)
	w.name(d.PolicyDomain)
	w.record(d.Record)
	writeWord(w, d.Source)
	writeWord(w, d.Requested)
	writeWord(w, d.Policy)
	w.flags(d.NonExistent, d.SPFAligned, d.DKIMAligned, d.ExistenceHidden)
	w.uint(uint64(len(d.Walk)))
	for i := range d.Walk {
		s := &d.Walk[i]
		w.name(s.Name)
		w.flags(s.Record != nil)
		w.text(s.Text)
		w.error(s.Err)
	}
	w.error(d.Err)
}

func (r *reader) dmarc() dmarc.Result {
	d := dmarc.Result{Status: readWord[dmarc.Status](r), Author: r.name(), OrgDomain: r.name(), PolicyDomain: r.name(), Record: r.record()}
	readInto(r, &d.Source)
	readInto(r, &d.Requested)
	readInto(r, &d.Policy)
	r.flags(&d.NonExistent, &d.SPFAligned, &d.DKIMAligned, &d.ExistenceHidden)
	d.Walk = readList(r, r.step)
	d.Err = r.error()
	return d
}

func (r *reader) step() dmarc.Step {
	s := dmarc.Step{Name: r.name()}
	has := false
	r.flags(&has)
	if s.Text = r.text(); has {
		s.Record = r.parse(s.Text)
	}
	s.Err = r.error()
	return s
}

// record writes a DMARC record as it was published, from which all of it follows.
func (w *writer) record(rec *dmarc.Record) {
	w.flags(rec != nil)
	if rec != nil {
		w.text(rec.Text)
	}
}

func (r *reader) record() *dmarc.Record {
	has := false
	if r.flags(&has); !has {
		return nil
	}
	return r.parse(r.text())
}

func (r *reader) parse(text string) *dmarc.Record {
	if r.err != nil {
		return nil
	}
	rec, err := dmarc.ParseRecord(text)
	if err != nil {
		r.fail("%v", err)
		return nil
	}
	return rec
}

func (w *writer) arc(a *arc.Result) {
	writeWord(w, a.Status)
	if a.Status == "" {
		return
	}
	w.uint(uint64(len(a.Hops)))
	for i := range a.Hops {
		h := &a.Hops[i]
		w.uint(uint64(h.Instance))
		w.name(h.SealDomain)
		w.text(h.SealSelector)
		w.name(h.AMSDomain)
		w.text(h.AMSSelector)
		w.flags(h.AMSPass, h.FromSigned)
		w.text(h.Results)
	}
	w.uint(uint64(a.OldestPass))
	w.flags(a.Temporary)
	w.error(a.Err)
}

func (r *reader) arc() arc.Result {
	a := arc.Result{Status: readWord[arc.Status](r)}
	if a.Status == "" {
		return a
	}
	a.Hops = readList(r, r.hop)
	a.OldestPass = int(r.uint())
	r.flags(&a.Temporary)
	a.Err = r.error()
	return a
}

func (r *reader) hop() arc.Hop {
	h := arc.Hop{Instance: int(r.uint()), SealDomain: r.name(), SealSelector: r.text(), AMSDomain: r.name(), AMSSelector: r.text()}
	r.flags(&h.AMSPass, &h.FromSigned)
	h.Results = r.text()
	return h
}
