package report

import (
	"fmt"
	"strings"
)

// maxSPF bounds the SPF results of a record; RFC 9990 section 3.1.1.12 has one.
const maxSPF = 16

// reason reads why the disposition differs from the published policy. It keeps an unknown type
// as sent, and a text without a type.
func (r *recordReader) reason() error {
	var reason Reason
	var told []byte
	err := r.mixed(&told, func(name string) error {
		switch name {
		case "type":
			return r.reasonType(&reason)
		case "comment":
			return r.into(&reason.Comment, maxKept)
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(told)); text != "" {
		r.odd(NoteWord, place{outer: "policy_evaluated", name: "reason"}, []byte(text), string(ReasonOther))
		if reason.Comment == "" {
			reason.Comment = text
		}
	}
	if reason == (Reason{}) {
		return nil
	}
	if reason.Type == "" {
		reason.Type = ReasonOther
	}
	if len(r.out.Reasons) == maxReasons {
		r.note(Note{Kind: NoteCut, Where: "list of reasons"})
		return nil
	}
	r.out.Reasons = append(r.out.Reasons, reason)
	return nil
}

func (r *recordReader) reasonType(reason *Reason) error {
	where := place{outer: fmt.Sprintf("reason#%d", len(r.out.Reasons)+1), name: "type"}
	b, err := r.text()
	if err != nil || len(b) == 0 {
		return err
	}
	word := strings.ToLower(string(b))
	i := code(reasonCodes[:], ReasonType(word))
	if i == 0 {
		reason.Type = ReasonOther
	} else {
		reason.Type = reasonCodes[i]
	}
	if string(reason.Type) != string(b) {
		r.odd(NoteWord, where, b, string(reason.Type))
	}
	return nil
}

// mixed is children for an element that sometimes has its own text.
func (r *recordReader) mixed(text *[]byte, each func(name string) error) error {
	for {
		t, err := r.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case endToken:
			return nil
		case textToken, plainToken:
			if *text = r.decode(*text, t.raw); len(*text) > r.limits.Text {
				return fmt.Errorf("%w: a text of over %d octets in line %d", ErrTooLarge, r.limits.Text, r.src.lineNow())
			}
		case startToken:
			if r.top() == nil {
				err = r.skip()
			} else {
				err = each(t.name)
			}
			if err != nil {
				return err
			}
		}
	}
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
			return r.into(&d.HumanResult, maxKept)
		}
		return r.skip()
	})
	if err != nil || d == (DKIMResult{}) {
		return err
	}
	if len(r.out.AuthDKIM) == MaxDKIM {
		r.note(Note{Kind: NoteCut, Where: "list of DKIM results"})
		return nil
	}
	if d.Selector == "" && r.parser.out.Namespace == namespace {
		r.note(Note{Kind: NoteMissing, Where: "selector"})
	}
	if d.Result == ResultSoftfail {
		r.odd(NoteWord, place{outer: "dkim", name: "result"}, []byte(d.Result), string(ResultFail))
		d.Result = ResultFail
	}
	r.out.AuthDKIM = append(r.out.AuthDKIM, d)
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
			return r.into(&s.HumanResult, maxKept)
		}
		return r.skip()
	})
	if err != nil || s == (SPFResult{}) {
		return err
	}
	if len(r.out.AllSPF) == maxSPF {
		r.note(Note{Kind: NoteCut, Where: "list of SPF results"})
		return nil
	}
	if len(r.out.AllSPF) == 1 {
		r.note(Note{Kind: NoteExtra, Where: "SPF results"})
	}
	r.out.AllSPF = append(r.out.AllSPF, s)
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
