package message

import (
	"bytes"
	"net/netip"
	"strings"
)

// maxReceivedLen bounds the part of a Received field that is read, in octets.
const maxReceivedLen = 8 << 10

// Received is what one Received field says about the client (RFC 5321 section 4.4),
// limited to what the server that wrote the field observed itself.
type Received struct {
	// From reports that the field names a client. False for a field without a from clause
	// ("by host with SMTP", qmail's "invoked from network") and for mail that a program
	// on the server handed over ("from root by host with local").
	From bool
	// Client is the address that the server saw; zero where the field has none, in an
	// unknown form, or an ambiguous one.
	Client netip.Addr
	// Helo is the HELO argument, which is the client's own text; "" if Client is zero.
	Helo string
	// With is the first word after "with" in upper case, "ESMTPSA", and "MICROSOFT" for
	// "Microsoft SMTP Server"; "" if there is none or the field has no readable structure.
	With string
}

// Login reports whether the server wrote that the client logged in (RFC 3848, RFC 6531
// section 4.3). Exim writes ESMTP after UTF8, the RFC has SMTP.
func (r Received) Login() bool {
	with := strings.TrimPrefix(r.With, "UTF8")
	utf8 := len(with) < len(r.With)
	return with == "ESMTPA" || with == "ESMTPSA" || utf8 && (with == "SMTPA" || with == "SMTPSA")
}

// ParseReceived reads the value of a Received field. It knows the formats of Postfix,
// Sendmail, Exim, qmail and its successors, Exchange and Microsoft 365, Zimbra, Google,
// Haraka, Mimecast, IronPort, SES and the many servers that write like one of them.
//
// The client chooses the HELO argument, the answer of its ident service and, unless the
// server checks it, the name that its address has in DNS. An address in one of these is
// never used. A field that such text could have distorted, by an extra bracket or a
// second address, is not read at all.
func ParseReceived(value []byte) Received {
	tokens, ok := splitReceived(value)
	if len(tokens) == 0 || !tokens[0].is("from") {
		return Received{}
	}
	r := Received{From: true}
	if !ok {
		return r
	}
	from, rest, ok := cutBy(tokens[1:])
	if !ok {
		return r
	}
	clause, ok := readFrom(from)
	if !ok {
		return r
	}
	by := readBy(rest)
	r.With = by.with
	if clause.isLocal(by) {
		r.From = false
		return r
	}
	if r.Client = clause.client(by); r.Client.IsValid() {
		r.Helo = clause.helo
	}
	return r
}

// receivedToken is a word of a Received field, or a comment without its outer parentheses.
type receivedToken struct {
	text    []byte
	comment bool
}

func (t receivedToken) is(word string) bool {
	return !t.comment && len(t.text) == len(word) && strings.EqualFold(string(t.text), word)
}

// splitReceived cuts the field into words and comments, up to the semicolon before the
// date. It is not ok if parentheses do not match or there is a control character; the
// tokens before are returned all the same.
//
// The word after "from" ends at white space only: servers put the HELO argument there as
// received, and a parenthesis in it must not begin a comment. Servers do not escape what
// they put into a comment either, so a backslash is an ordinary character, but one before
// a parenthesis could be read in two ways.
func splitReceived(value []byte) (tokens []receivedToken, ok bool) {
	ok = len(value) <= maxReceivedLen
	value = value[:min(len(value), maxReceivedLen)]
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case isBlank(c):
			i++
		case c == ';' && !(len(tokens) == 1 && tokens[0].is("from")):
			return tokens, ok
		case len(tokens) == 1 && tokens[0].is("from"):
			n := bytes.IndexAny(value[i:], " \t\r\n")
			if n < 0 {
				n = len(value) - i
			}
			tokens = append(tokens, receivedToken{text: value[i : i+n]})
			i += n
		case c == '(':
			n := receivedCommentLen(value[i:])
			if n == 0 {
				return tokens, false
			}
			tokens = append(tokens, receivedToken{text: value[i+1 : i+n-1], comment: true})
			i += n
		default:
			n := bytes.IndexAny(value[i:], " \t\r\n(;")
			if n < 0 {
				n = len(value) - i
			}
			tokens = append(tokens, receivedToken{text: value[i : i+n]})
			i += n
		}
		if n := len(tokens); n > 0 && !printable(tokens[n-1].text) {
			return tokens, false
		}
	}
	return tokens, ok
}

// receivedCommentLen is the length of the comment at the start of b with its
// parentheses; 0 if it has no end.
func receivedCommentLen(b []byte) int {
	depth := 0
	for i, c := range b {
		switch {
		case c != '(' && c != ')':
			continue
		case i > 0 && b[i-1] == '\\':
			return 0
		case c == '(':
			if depth++; depth > maxCommentDepth {
				return 0
			}
		default:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && !isBlank(c) || c == 0x7f {
			return false
		}
	}
	return true
}

// cutBy splits the tokens after "from" at the word "by". It is not ok unless the from
// clause is one word with comments after it, and there is no second "by" or "from": a
// client that got blanks into its HELO argument could have written the first.
func cutBy(tokens []receivedToken) (from, by []receivedToken, ok bool) {
	at := 0
	for i, t := range tokens {
		switch {
		case i == 0 || t.comment:
			continue
		case at == 0 && t.is("by"):
			at = i
		case at == 0 || t.is("by") || t.is("from"):
			return nil, nil, false
		}
	}
	if at == 0 {
		return nil, nil, false
	}
	return tokens[:at], tokens[at+1:], true
}

// byClause is what a Received field says about the server that wrote it.
type byClause struct {
	with     string // in upper case, without the text after a slash: IronPort's "ESMTP/TLS/…"
	exim     bool   // written by Exim
	chasquid bool   // written by chasquid
}

// readBy reads "HOST (comments) via LINK with PROTOCOL (comments)". It looks no further
// than the clauses that hold an address of the envelope, which the client chose.
func readBy(tokens []receivedToken) byClause {
	var by byClause
	words := make([]string, 0, 8)
	for _, t := range tokens {
		if t.is("id") || t.is("for") || t.is("envelope-from") {
			break
		}
		switch {
		case !t.comment:
			words = append(words, string(t.text))
		case bytes.HasPrefix(t.text, []byte("Exim ")):
			by.exim = true
		case string(t.text) == "chasquid":
			by.chasquid = true
		}
	}
	if len(words) > 0 {
		words = words[1:]
	}
	if len(words) > 2 && strings.EqualFold(words[0], "via") {
		words = words[2:]
	}
	if len(words) > 1 && strings.EqualFold(words[0], "with") {
		with, _, _ := strings.Cut(words[1], "/")
		by.with = strings.ToUpper(with)
	}
	return by
}
