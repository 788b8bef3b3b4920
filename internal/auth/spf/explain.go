package spf

import (
	"strings"

	"dmarcd/internal/dns"
)

// maxExplanation bounds the owner's text, because SMTP replies and logs carry it.
const maxExplanation = 200 // octets

// explain fetches and expands the owner's text on a Fail (RFC 7208 section 6.2).
// On any error there is no explanation, and the result stands.
func (e *evaluation) explain(modifier string, domain dns.Name) string {
	e.explaining = true
	step := e.walk.enter(domain, modifier, e.depth-1)
	text := e.explanation(modifier[strings.IndexByte(modifier, '=')+1:], domain)
	e.walk.leave(step, outcomeOf(text != ""), nil)
	return text
}

func (e *evaluation) explanation(spec string, domain dns.Name) string {
	name, ok, fault := e.target(&term{kind: kindExp, spec: spec}, domain)
	if !ok || fault != nil || name.IsZero() {
		return ""
	}
	txts, err := e.lookupTXT(name)
	if err != nil || len(txts) != 1 || len(txts[0]) > maxRecordLen {
		return ""
	}
	text := txts[0]
	if checkMacroString(text, inText) != nil {
		return ""
	}
	var out []byte
	for text != "" && len(out) < maxExplanation {
		p, rest, err := nextPiece(text, inText)
		if err != nil {
			return ""
		}
		value := p.literal
		if p.letter != 0 {
			value, ok, fault = e.value(p.letter, &term{kind: kindExp}, domain)
			if !ok || fault != nil {
				return ""
			}
		}
		out = p.append(out, value)
		text = rest
	}
	// A sender's local part may contain octets that the owner's text may not.
	explanation := string(out[:min(len(out), maxExplanation)])
	if !isPrintable(explanation) {
		return ""
	}
	return explanation
}
