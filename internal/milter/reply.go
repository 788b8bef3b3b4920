package milter

import (
	"strconv"
)

// maxReplyLine bounds an SMTP reply as sent to the MTA, with code and doubled percent
// signs: libmilter's MAXREPLYLEN.
const maxReplyLine = 980

// valid reports whether an MTA would take r: only refusals have a code of ours.
func (r Reply) valid() bool { return r.Code >= 400 && r.Code <= 599 }

// appendReply appends r, which must be valid, as one SMTP line. Percent signs
// are doubled: Sendmail formats the line, and Postfix drops a single one. What SMTP
// forbids in a reply (RFC 5321 section 4.2) is replaced.
func appendReply(out []byte, r Reply) []byte {
	out, start := beginPacket(out, respReplyCode)
	line := len(out)
	out = strconv.AppendInt(out, int64(r.Code), 10)
	out = append(out, ' ')
	text := r.Text
	if text == "" {
		text = "Command rejected"
		if r.Code < 500 {
			text = "Try again later"
		}
	}
	if e := r.enhanced(text); e != "" {
		out = append(append(out, e...), ' ')
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		n := 1
		if c == '%' {
			n = 2
		}
		if len(out)+n-line > maxReplyLine {
			break
		}
		if out = append(out, c); n == 2 {
			out = append(out, c)
		}
	}
	return endPacket(append(out, 0), start)
}

// enhanced is the enhanced code to print. One whose class differs from the code's is left out
// (RFC 2034 section 4 wants them equal). A text that begins with a digit gets a generic code,
// because Postfix refuses the whole reply if that digit is not the class.
func (r Reply) enhanced(text string) string {
	class := byte('0' + r.Code/100)
	if wellFormed(r.Enhanced) && r.Enhanced[0] == class {
		return r.Enhanced
	}
	if text[0] >= '0' && text[0] <= '9' {
		return string(class) + ".0.0"
	}
	return ""
}

// wellFormed reports whether s is class.subject.detail (RFC 3463 section 2).
func wellFormed(s string) bool {
	digits, dots := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.' && digits > 0:
			dots++
			digits = 0
		case c >= '0' && c <= '9' && digits < 3:
			digits++
		default:
			return false
		}
	}
	return dots == 2 && digits > 0 && s[1] == '.'
}
