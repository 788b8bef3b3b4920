package report

import (
	"fmt"
	"net/netip"
	"strings"
)

// record reads one record. What is wrong with it costs the record, not the report.
func (p *parser) record() error {
	if p.records++; p.records > p.limits.Rows {
		return fmt.Errorf("%w: more than %d records", ErrTooLarge, p.limits.Rows)
	}
	p.inRecord, p.unclosed = true, false
	r := recordReader{parser: p}
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
	if err != nil {
		return err
	}
	if r.Count == 0 && r.bad == "" {
		r.bad = "no count"
	}
	if !r.SourceIP.IsValid() && r.bad == "" {
		r.bad = "no source_ip"
	}
	if p.unclosed {
		r.bad = "it has no end"
	}
	if r.bad != "" {
		p.warn.add(WarnRecord, "a record was left out: "+r.bad, p.row())
	} else {
		if r.HeaderFrom == "" {
			p.warn.add(WarnMissing, "no header_from; the policy domain stands for it", p.row())
		}
		p.report.Rows = append(p.report.Rows, r.Row)
	}
	p.inRecord = false
	return nil
}

type recordReader struct {
	Row
	*parser
	bad string // why the record cannot be used
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

// source reads an address; brackets and the tag of RFC 5321 section 4.1.3 are
// taken off.
func (r *recordReader) source() error {
	text, err := r.text()
	if err != nil {
		return err
	}
	bare := strings.Trim(text, "[]")
	if len(bare) > 5 && strings.EqualFold(bare[:5], "IPv6:") {
		bare = bare[5:]
	}
	ip, parseErr := netip.ParseAddr(bare)
	if parseErr != nil {
		r.bad = "source_ip is " + shown(text)
		return nil
	}
	r.SourceIP = ip.Unmap().WithZone("")
	return nil
}

func (r *recordReader) count() error {
	text, err := r.text()
	if err != nil {
		return err
	}
	const most = 1 << 50 // sums of such counts stay within 64 bits
	v, exact := number(text)
	if v < 1 || v > most {
		r.bad = "count is " + shown(text)
		return nil
	}
	if !exact {
		r.warn.add(WarnNumber, "count written as "+shown(text), r.row())
	}
	r.Count = int64(v)
	return nil
}

func (r *recordReader) evaluated(name string) error {
	switch name {
	case "disposition":
		return oneWord(r.parser, &r.Disposition, dispositionCodes[:], nil)
	case "dkim":
		return r.verdict(&r.DKIM)
	case "spf":
		return r.verdict(&r.SPF)
	case "reason":
		return r.reason()
	}
	return r.skip()
}

// verdict takes the results of the mechanisms too, which some reporters give
// there: all but pass are no aligned pass.
func (r *recordReader) verdict(to *Verdict) error {
	return oneWord(r.parser, to, verdictCodes[:], func(s string) Verdict {
		if s == "hardfail" || code(resultCodes[:], Result(s)) > 0 {
			return VerdictFail
		}
		return ""
	})
}

func (r *recordReader) reason() error {
	var reason Reason
	var odd string
	err := r.children(func(name string) error {
		switch name {
		case "type":
			text, err := r.text()
			if text == "" || err != nil {
				return err
			}
			reason.Type = ReasonType(strings.ToLower(text))
			if code(reasonCodes[:], reason.Type) == 0 {
				reason.Type, odd = ReasonOther, text
				r.oddWord(text, string(ReasonOther))
			}
			return nil
		case "comment":
			return r.into(&reason.Comment, maxComment)
		}
		return r.skip()
	})
	if err != nil || reason == (Reason{}) {
		return err
	}
	if len(r.Reasons) == maxReasons {
		r.warn.add(WarnCut, fmt.Sprintf("more than %d reasons; the rest was left out", maxReasons), r.row())
		return nil
	}
	if reason.Comment == "" {
		reason.Comment = tidy(odd, maxComment)
	}
	r.Reasons = append(r.Reasons, reason)
	return nil
}

func (r *recordReader) identifier(name string) error {
	switch name {
	case "header_from":
		return r.domain(&r.HeaderFrom)
	case "envelope_from":
		r.EnvelopeFrom = ""
		if err := r.domain(&r.EnvelopeFrom); err != nil {
			return err
		}
		if r.EnvelopeFrom == "<>" {
			r.EnvelopeFrom = ""
		}
		r.NullSender = r.EnvelopeFrom == ""
		return nil
	case "envelope_to":
		return r.domain(&r.EnvelopeTo)
	}
	return r.skip()
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

func (r *recordReader) dkim() error {
	var d DKIMResult
	err := r.children(func(name string) error {
		switch name {
		case "domain":
			return r.domain(&d.Domain)
		case "selector":
			return r.into(&d.Selector, maxName)
		case "result":
			return r.result(&d.Result)
		case "human_result":
			return r.into(&d.HumanResult, maxComment)
		}
		return r.skip()
	})
	if err != nil || d == (DKIMResult{}) {
		return err
	}
	if len(r.AuthDKIM) == MaxDKIM {
		r.warn.add(WarnCut, fmt.Sprintf("more than %d DKIM results; the rest was left out", MaxDKIM), r.row())
		return nil
	}
	if d.Selector == "" && r.space == namespace {
		r.warn.add(WarnMissing, "no selector", r.row())
	}
	if d.Result == ResultSoftfail {
		r.oddWord(string(d.Result), string(ResultFail))
		d.Result = ResultFail
	}
	r.AuthDKIM = append(r.AuthDKIM, d)
	return nil
}

func (r *recordReader) spf() error {
	var s SPFResult
	err := r.children(func(name string) error {
		switch name {
		case "domain":
			return r.domain(&s.Domain)
		case "scope":
			return oneWord(r.parser, &s.Scope, scopeCodes[:], oddScope)
		case "result":
			return r.result(&s.Result)
		case "human_result":
			return r.into(&s.HumanResult, maxComment)
		}
		return r.skip()
	})
	if err != nil || s == (SPFResult{}) {
		return err
	}
	if s.Scope == ScopeHelo {
		r.warn.add(WarnWord, "SPF scope helo is not one of RFC 9990", r.row())
	}
	if r.AuthSPF != nil {
		r.warn.add(WarnExtra, "several SPF results; the one for MAIL FROM is kept", r.row())
		if r.AuthSPF.Scope != ScopeHelo || s.Scope == ScopeHelo {
			return nil
		}
	}
	r.AuthSPF = &s
	return nil
}

// result reads the words of RFC 8601 section 2.7, and those of old software.
func (r *recordReader) result(to *Result) error {
	return oneWord(r.parser, to, resultCodes[:], func(s string) Result {
		switch s {
		case "hardfail":
			return ResultFail
		case "soft_fail":
			return ResultSoftfail
		case "error", "temp_error":
			return ResultTemperror
		case "unknown", "perm_error":
			return ResultPermerror
		}
		return ""
	})
}

func oddScope(s string) Scope {
	switch s {
	case "mailfrom", "mail_from":
		return ScopeMFrom
	case "ehlo":
		return ScopeHelo
	}
	return ""
}
