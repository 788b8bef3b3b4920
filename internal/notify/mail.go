package notify

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"
)

// Kinds of mail, the values of Marker.
const (
	kindMessage = "message"
	kindDigest  = "digest"
)

// fallbackFrom is for where no sender is configured and the host's name makes none.
const fallbackFrom = "dmarcd@localhost"

// draft is a mail before it is written out.
type draft struct {
	from, to string // addresses that pass isAddress
	kind     string
	id       string // left part of the Message-ID
	at       time.Time
	subject  string // one line of printable text
	body     string // printable text of lines
}

// bytes writes the mail out: 7-bit, lines of CRLF. Only the subject in the header comes
// from the network, and is encoded unless it is plain words.
func (d *draft) bytes() []byte {
	_, domain, _ := strings.Cut(d.from, "@")
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: dmarcd <%s>\r\n", d.from)
	fmt.Fprintf(&b, "To: <%s>\r\n", d.to)
	fmt.Fprintf(&b, "Subject: %s\r\n", encode(d.subject))
	fmt.Fprintf(&b, "Date: %s\r\n", d.at.UTC().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", d.id, domain)
	fmt.Fprintf(&b, "%s: auto-generated\r\n", autoSubmitted) // RFC 3834 section 5
	fmt.Fprintf(&b, "%s: %s\r\n", Marker, d.kind)
	b.WriteString("MIME-Version: 1.0\r\n")
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\n")
	b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.TrimRight(d.body, "\n") + "\n")) // a Buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// encode makes the value of an unstructured field of one line of text: encoded words of
// RFC 2047, folded, unless it is short plain words that cannot be mistaken for one.
func encode(s string) string {
	const (
		longest = 60 // with the field's name below the 76 of RFC 2047 section 2
		piece   = 39 // 52 octets of base64
	)
	plain := len(s) <= longest && !strings.Contains(s, "=?")
	for i := 0; i < len(s); i++ {
		plain = plain && ' ' <= s[i] && s[i] <= '~'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n := min(piece, len(s))
		for n < len(s) && n > 0 && !utf8.RuneStart(s[n]) { // whole characters, RFC 2047 section 5
			n--
		}
		if b.Len() > 0 {
			b.WriteString("\r\n ")
		}
		b.WriteString("=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		s = s[n:]
	}
	return b.String()
}

// isAddress reports whether s is local@domain that needs no quoting anywhere.
func isAddress(s string) bool {
	const longest = 254 // RFC 5321 section 4.5.3.1.3, without the brackets
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || domain == "" || len(s) > longest {
		return false
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return false
	}
	for i := 0; i < len(local); i++ {
		if c := local[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" {
			return false
		}
		for i := 0; i < len(label); i++ {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}
