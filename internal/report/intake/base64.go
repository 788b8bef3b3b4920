package intake

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
)

// decodeBase64 decodes base64 leniently: it skips other characters, ends at the first padding,
// and decodes the octets of an incomplete last group. odd reports that there was something
// between the digits or after the padding.
func decodeBase64(b []byte) (out []byte, odd bool) {
	out = make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	if n, err := base64.StdEncoding.Decode(out, b); err == nil {
		return out[:n], false
	}
	digits := make([]byte, 0, len(b))
	end := len(b)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/':
			digits = append(digits, c)
			continue
		case c == '-':
			digits = append(digits, '+') // RFC 4648 section 5
		case c == '_':
			digits = append(digits, '/')
		case c == '\r', c == '\n', c == ' ', c == '\t':
			continue
		}
		if c == '=' {
			end = i
			break
		}
		odd = true
	}
	for _, c := range b[end:] {
		odd = odd || c != '=' && c != '\r' && c != '\n' && c != ' ' && c != '\t'
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
		odd = true
	}
	n, err := base64.RawStdEncoding.Decode(out, digits)
	return out[:n], odd || err != nil
}

// hiddenRE matches base64 of gzip, zip, zlib or XML that nothing declares.
var hiddenRE = regexp.MustCompile(`^\s*(H4sI|UEsD|PD94|PGZl|77u/|eNo|eJ[wx]|eAE)[A-Za-z0-9+/\r\n=]{20}`)

// decodeQuoted decodes quoted-printable (RFC 2045 section 6.7) leniently: a "=" that begins no
// code stays unchanged.
func decodeQuoted(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '=' {
			out = append(out, b[i])
			continue
		}
		rest := b[i+1:]
		if end := softEnd(rest); end > 0 {
			i += end
			continue
		}
		var c [1]byte
		if len(rest) > 1 {
			if _, err := hex.Decode(c[:], rest[:2]); err == nil {
				out = append(out, c[0])
				i += 2
				continue
			}
		}
		out = append(out, '=')
	}
	return out
}

// softEnd returns the length of blanks and a line end at the beginning of b; 0 for none.
func softEnd(b []byte) int {
	const most = 80
	for i := 0; i < len(b) && i < most; i++ {
		switch b[i] {
		case '\n':
			return i + 1
		case ' ', '\t', '\r':
		default:
			return 0
		}
	}
	return 0
}
