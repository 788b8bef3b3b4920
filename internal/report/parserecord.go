package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// record reads one record, which begins on that line. A fault costs only the record, not the
// report.
func (p *parser) record(line int) error {
	if p.records++; p.records > p.limits.Rows {
		return fmt.Errorf("%w: more than %d records", ErrTooLarge, p.limits.Rows)
	}
	r := recordReader{parser: p, out: &Record{Number: p.records}}
	p.inRecord, p.unclosed, p.recordSent = true, false, &r.out.Sent
	err := p.children(func(name string) error {
		switch name {
		case "row":
			return p.children(r.rowElement)
		case "identifiers", "identities":
			return p.children(r.identifier)
		case "auth_results":
			return p.children(r.authResult)
		}
		return p.skip()
	})
	if err == nil {
		err = r.done(line)
	}
	if err != nil {
		return err
	}
	p.inRecord = false
	return nil
}

type recordReader struct {
	*parser
	out       *Record
	bad       string // why the record is unusable
	noAddress bool   // source_ip is present and empty
	noCount   bool   // count is present and empty
	zero      bool   // count is present and zero
}

// done yields the record, or quarantines it.
func (r *recordReader) done(line int) error {
	rec, out := r.out, &r.parser.out
	none := rec.Count == 0 && r.bad == ""
	switch {
	case r.unclosed:
		r.bad = "it has no end"
	case none && (r.zero || r.noAddress && r.noCount):
		out.Nothing++
		r.note(Note{Kind: NoteNothing})
		return nil
	case none:
		r.bad = "no count"
	case r.bad == "" && !rec.SourceIP.IsValid():
		r.bad = "no source_ip"
	}
	if r.bad != "" {
		r.quarantine(line)
		return nil
	}
	if rec.HeaderFrom == "" {
		r.note(Note{Kind: NoteMissing, Where: "header_from"})
		rec.HeaderFrom = out.Policy.Domain
	}
	for i := range rec.AllSPF {
		if i == 0 || rec.AuthSPF.Scope == ScopeHelo && rec.AllSPF[i].Scope != ScopeHelo {
			rec.AuthSPF = &rec.AllSPF[i]
		}
	}
	out.Records++
	out.Messages += rec.Count
	if r.yield != nil {
		return r.yield(out, rec)
	}
	return nil
}

func (r *recordReader) quarantine(line int) {
	const most = 100
	out := &r.parser.out
	out.Quarantined++
	r.note(Note{Kind: NoteRecord, Value: r.bad})
	if len(out.Faults) < most {
		out.Faults = append(out.Faults, RecordFault{Record: r.records, Line: line, Why: r.bad})
	}
}

func (r *recordReader) rowElement(name string) error {
	switch name {
	case "source_ip":
		return r.source()
	case "count":
		return r.count()
	case "policy_evaluated":
		return r.children(r.evaluated)
	}
	return r.skip()
}

// source reads an address. It removes brackets, the tag of RFC 5321 section 4.1.3 and a name
// after the address.
func (r *recordReader) source() error {
	where := r.where()
	b, err := r.text()
	if err != nil || len(b) == 0 {
		r.noAddress = true
		return err
	}
	bare, _, _ := bytes.Cut(b, []byte(" "))
	bare = bytes.Trim(bare, "[]")
	if len(bare) > 5 && bytes.EqualFold(bare[:5], []byte("IPv6:")) {
		bare = bare[5:]
	}
	ip, parseErr := netip.ParseAddr(string(bare))
	if parseErr != nil {
		r.bad = "source_ip is " + shown(string(b))
		return nil
	}
	r.out.SourceIP = ip.Unmap().WithZone("")
	if len(bare) != len(b) || ip.Is4In6() || ip.Zone() != "" {
		r.odd(NoteAddress, where, b, r.out.SourceIP.String())
	}
	return nil
}

func (r *recordReader) count() error {
	where := r.where()
	b, err := r.text()
	if err != nil || len(b) == 0 {
		r.noCount = true
		return err
	}
	const most = 1 << 40 // sums of millions of such counts stay within 64 bits
	v, exact := number(string(b))
	switch {
	case v < 0 || v > most:
		r.bad = "count is " + shown(string(b))
		return nil
	case v < 1:
		r.zero = true
		return nil
	case !exact:
		r.odd(NoteNumber, where, b, "")
	}
	r.out.Count = int64(v)
	return nil
}

func (r *recordReader) evaluated(name string) error {
	switch name {
	case "disposition":
		return oneWord(r.parser, &r.out.Disposition, dispositionCodes[:], nil)
	case "dkim":
		return r.dmarcResult(&r.out.DKIM)
	case "spf":
		return r.dmarcResult(&r.out.SPF)
	case "reason":
		return r.reason()
	}
	return r.skip()
}

// dmarcResult also accepts the results of the mechanisms, which some reporters put there:
// all but pass are no aligned pass.
func (r *recordReader) dmarcResult(to *DMARCResult) error {
	return oneWord(r.parser, to, dmarcResultCodes[:], func(s string) DMARCResult {
		switch s {
		case "hardfail", "unknown", "error", "soft_fail", "temp_error", "perm_error":
			return DMARCFail
		}
		if code(resultCodes[:], Result(s)) > 0 {
			return DMARCFail
		}
		return ""
	})
}

func (r *recordReader) identifier(name string) error {
	out := r.out
	switch name {
	case "header_from":
		return r.domain(&out.HeaderFrom)
	case "envelope_from":
		return r.envelopeFrom()
	case "envelope_to":
		return r.domain(&out.EnvelopeTo)
	}
	return r.skip()
}

// envelopeFrom reads the domain of MAIL FROM; an empty element means the null reverse-path.
func (r *recordReader) envelopeFrom() error {
	out := r.out
	out.EnvelopeFrom = ""
	b, err := r.text()
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(b)); text != "" && text != "<>" {
		r.named(&out.EnvelopeFrom, place{outer: "identifiers", name: "envelope_from"}, b)
	}
	out.NullSender = out.EnvelopeFrom == ""
	return nil
}

func (r *recordReader) authResult(name string) error {
	switch name {
	case "dkim":
		return r.dkim()
	case "spf":
		return r.spf()
	}
	return r.skip()
}
