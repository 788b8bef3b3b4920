package message

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// maxEncodedWords bounds the encoded words of a field that breaks RFC 5322.
const maxEncodedWords = 200

// encodedWord is an encoded word (RFC 2047 section 2) anywhere: software also decodes
// them in quoted strings and comments, within words and without an end.
type encodedWord struct {
	start, end int // in the text
	charset    string
	base64     bool   // B encoding; otherwise Q
	text       string // encoded
}

// decodings returns the text and what decoders could make of its encoded words: each
// decoded alone, neighbours joined before decoding, and words that the first decoding
// yields decoded once more. An error says that the result is ambiguous.
func decodings(s string) ([]string, error) {
	all := []string{s}
	once, err := decodeWords(s)
	if err != nil {
		return nil, err
	}
	all = append(all, once...)
	for _, text := range once {
		twice, err := decodeWords(text)
		if err != nil {
			return nil, err
		}
		for _, t := range twice {
			if words, err := encodedWords(t); err != nil || len(words) > 0 {
				return nil, fmt.Errorf("%w: encoded words within encoded words", ErrBadFrom)
			}
		}
		all = append(all, twice...)
	}
	return all, nil
}

// joining is how software treats encoded words side by side.
type joining int

const (
	apart     joining = iota // each is decoded by itself
	octetwise                // their octets are joined, then read in the charset
	textwise                 // the encoded text is put together, then decoded
)

// decodeWords returns the distinct readings of the encoded words of s; none if it has
// none.
func decodeWords(s string) ([]string, error) {
	words, err := encodedWords(s)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	var out []string
	for _, how := range []joining{apart, octetwise, textwise} {
		first, second, err := replaceWords(s, words, how)
		if err != nil {
			return nil, err
		}
		for _, t := range []string{first, second} {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out, nil
}

// encodedWords finds the encoded words of s.
func encodedWords(s string) ([]encodedWord, error) {
	var words []encodedWord
	for pos := 0; ; {
		begin := strings.Index(s[pos:], "=?")
		if begin < 0 {
			return words, nil
		}
		begin += pos
		w, ok := encodedWordAt(s, begin)
		if !ok {
			pos = begin + 1
			continue
		}
		if words = append(words, w); len(words) > maxEncodedWords {
			return nil, fmt.Errorf("%w: over %d encoded words", ErrBadFrom, maxEncodedWords)
		}
		pos = w.end
		// A second end before the next begin: decoders differ in which one they use.
		after, _, _ := strings.Cut(s[pos:], "=?")
		if strings.Contains(after, "?=") {
			return nil, fmt.Errorf("%w: encoded word with two ends", ErrBadFrom)
		}
	}
}

// encodedWordAt reads the encoded word that begins at s[begin]. One without an end takes
// the rest of the text.
func encodedWordAt(s string, begin int) (encodedWord, bool) {
	charset, rest, ok := strings.Cut(s[begin+len("=?"):], "?")
	if !ok {
		return encodedWord{}, false
	}
	encoding, rest, ok := strings.Cut(rest, "?")
	w := encodedWord{start: begin, end: len(s)}
	switch strings.ToUpper(strings.TrimSpace(encoding)) {
	case "B":
		w.base64 = true
	case "Q":
	default:
		ok = false
	}
	if !ok {
		return encodedWord{}, false
	}
	charset, _, _ = strings.Cut(charset, "*") // a language, RFC 2231 section 5
	w.charset = strings.ToLower(strings.TrimSpace(charset))
	text, after, ended := strings.Cut(rest, "?=")
	switch {
	case ended:
		w.end -= len(after)
	case w.base64:
		n := strings.IndexFunc(rest, func(r rune) bool { return !isBase64(r) && r != '=' })
		if n >= 0 {
			text = rest[:n]
			w.end -= len(rest) - n
		}
	}
	w.text = text
	return w, true
}

// replaceWords puts what words encode in their place, without the white space between
// two of them (RFC 2047 section 6.2). Where a charset has two readings, the second text
// has the other one.
func replaceWords(s string, words []encodedWord, how joining) (first, second string, err error) {
	var one, two strings.Builder
	pos := 0
	for i := 0; i < len(words); {
		if between := s[pos:words[i].start]; i == 0 || strings.TrimSpace(between) != "" {
			one.WriteString(between)
			two.WriteString(between)
		}
		n := 1
		for how != apart && i+n < len(words) && words[i+n-1].continues(&words[i+n], s) {
			n++
		}
		octets, err := decodeRun(words[i:i+n], how)
		if err != nil {
			return "", "", err
		}
		a, b, err := decodeCharset(words[i].charset, octets)
		if err != nil {
			return "", "", err
		}
		one.WriteString(a)
		two.WriteString(b)
		i += n
		pos = words[i-1].end
	}
	one.WriteString(s[pos:])
	two.WriteString(s[pos:])
	return one.String(), two.String(), nil
}

// continues reports whether next is adjacent to w and has the same charset and encoding.
func (w *encodedWord) continues(next *encodedWord, s string) bool {
	return w.charset == next.charset && w.base64 == next.base64 && strings.TrimSpace(s[w.end:next.start]) == ""
}

// decodeRun returns the octets that words side by side encode together.
func decodeRun(words []encodedWord, how joining) ([]byte, error) {
	if how == textwise {
		text := ""
		for i := range words {
			if words[i].base64 {
				text = strings.TrimRight(text, "=")
			}
			text += words[i].text
		}
		joined := words[0]
		joined.text = text
		words = []encodedWord{joined}
	}
	var out []byte
	for i := range words {
		if !words[i].base64 {
			out = append(out, decodeQ(words[i].text)...)
			continue
		}
		b, err := decodeBase64(words[i].text)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// decodeBase64 takes any padding at the end, or none. Decoders differ on other octets
// outside base64.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.Join(strings.Fields(s), ""), "=")
	if strings.ContainsFunc(s, func(r rune) bool { return !isBase64(r) }) {
		return nil, fmt.Errorf("%w: broken base64", ErrBadFrom)
	}
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	if len(s)%4 == 1 { // six bits of nothing
		s = s[:len(s)-1]
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: broken base64", ErrBadFrom)
	}
	return b, nil
}

func isBase64(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("+/-_", r)
}

// decodeQ leaves an equals sign without two hexadecimal digits as it is.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
