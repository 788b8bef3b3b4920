package message

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// escape begins the escape sequences of ISO-2022-JP, which old software puts into a field
// unencoded.
const escape = 0x1b

// rawReadings returns the ways in which the raw octets of a field may be displayed. The
// address must be in the first.
func rawReadings(text string) ([]string, error) {
	if strings.IndexByte(text, escape) >= 0 {
		decoded, err := japanese.ISO2022JP.NewDecoder().String(text)
		if err != nil || strings.ContainsAny(decoded, "\ufffd\x1b") {
			return nil, fmt.Errorf("%w: control character", ErrBadFrom)
		}
		return []string{decoded, strings.ReplaceAll(text, "\x1b", "")}, nil
	}
	if utf8.ValidString(text) {
		return []string{text}, nil
	}
	readings := []string{strings.ToValidUTF8(text, "\ufffd")}
	for _, e := range []encoding.Encoding{
		japanese.ShiftJIS, japanese.EUCJP, simplifiedchinese.GB18030, traditionalchinese.Big5, korean.EUCKR,
	} {
		if decoded, err := e.NewDecoder().String(text); err == nil {
			readings = append(readings, decoded)
		}
	}
	return readings, nil
}

// decodeCharset returns the text that b is in a charset. Where software may read it in
// two ways the second differs from the first. A charset that we do not know is an error:
// an at sign could be any octet in it.
func decodeCharset(name string, b []byte) (first, second string, err error) {
	switch name {
	case "utf-16", "utf-16be", "utf-16le", "utf16", "ucs-2", "iso-10646-ucs-2", "csunicode", "unicode":
		return decodeWide(b, 2, false), decodeWide(b, 2, true), nil
	case "utf-32", "utf-32be", "utf-32le", "utf32", "ucs-4", "iso-10646-ucs-4", "csucs4":
		return decodeWide(b, 4, false), decodeWide(b, 4, true), nil
	case "utf-7", "utf7", "unicode-1-1-utf-7", "csunicode11utf7", "unicode-2-0-utf-7", "x-unicode-2-0-utf-7":
		return decodeUTF7(string(b), '+'), octets(b), nil
	case "utf-7-imap", "utf7-imap", "imap4-utf-7", "x-imap4-modified-utf7":
		return decodeUTF7(string(b), '&'), octets(b), nil
	case "", "utf-8", "utf8", "utf-8mb4", "utf8mb4", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "unknown", "default":
		return octets(b), overlong(b), nil
	}
	e := encodingOf(name)
	if e == nil {
		return "", "", fmt.Errorf("%w: unknown charset", ErrBadFrom)
	}
	text, err := e.NewDecoder().String(string(b))
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrBadFrom, err)
	}
	if strings.ContainsRune(text, utf8.RuneError) {
		return text, octets(b), nil
	}
	return text, text, nil
}

// encodingOf finds a charset by its IANA, web or Windows name; nil for an unknown one.
func encodingOf(name string) encoding.Encoding {
	switch name {
	case "cp932", "cp943", "ms932", "x-ms-cp932", "windows-932":
		return japanese.ShiftJIS
	case "cp50220", "cp50221", "cp50222", "iso-2022-jp-ms", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3":
		return japanese.ISO2022JP
	case "eucjp-ms", "euc-jp-ms", "cp51932":
		return japanese.EUCJP
	case "cp936", "ms936", "windows-936", "euc-cn":
		return simplifiedchinese.GBK
	case "cp949", "ms949", "uhc":
		return korean.EUCKR
	case "cp950", "ms950", "windows-950":
		return traditionalchinese.Big5
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	return nil
}

// octets is b where it is UTF-8, with all other octets as the letters of Latin-1.
func octets(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, width := utf8.DecodeRune(b)
		if r == utf8.RuneError && width == 1 {
			r = rune(b[0])
		}
		out.WriteRune(r)
		b = b[width:]
	}
	return out.String()
}

// overlong is b as UTF-8 read without the check for the shortest form, which adds two
// encodings each of an at sign and a dot.
func overlong(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, width := utf8.DecodeRune(b)
		if r == utf8.RuneError && width == 1 {
			r, width = lenientRune(b)
		}
		out.WriteRune(r)
		b = b[width:]
	}
	return out.String()
}

// lenientRune reads the lead octet of a sequence and what continues it.
func lenientRune(b []byte) (rune, int) {
	width, r := 1, rune(utf8.RuneError)
	switch lead := b[0]; {
	case lead&0xe0 == 0xc0:
		width, r = 2, rune(lead&0x1f)
	case lead&0xf0 == 0xe0:
		width, r = 3, rune(lead&0x0f)
	case lead&0xf8 == 0xf0:
		width, r = 4, rune(lead&0x07)
	}
	if width > len(b) {
		return utf8.RuneError, 1
	}
	for _, c := range b[1:width] {
		if c&0xc0 != 0x80 {
			return utf8.RuneError, 1
		}
		r = r<<6 | rune(c&0x3f)
	}
	return r, width
}

// decodeWide reads UTF-16 or UTF-32, whatever byte order mark it has.
func decodeWide(b []byte, width int, little bool) string {
	var units []rune
	for ; len(b) >= width; b = b[width:] {
		unit := rune(0)
		for i := range width {
			octet := b[i]
			if little {
				octet = b[width-1-i]
			}
			unit = unit<<8 | rune(octet)
		}
		units = append(units, unit)
	}
	if width == 4 {
		return string(units)
	}
	short := make([]uint16, len(units))
	for i, u := range units {
		short[i] = uint16(u)
	}
	return string(utf16.Decode(short))
}

// decodeUTF7 reads UTF-7 (RFC 2152), or, with an ampersand as shift, the modified form of
// IMAP (RFC 3501 section 5.1.3).
func decodeUTF7(s string, shift byte) string {
	var out strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, string(shift))
		out.WriteString(before)
		if !found {
			break
		}
		slash := byte('/')
		if shift == '&' {
			slash = ','
		}
		n := strings.IndexFunc(rest, func(r rune) bool { return !isBase64(r) && r != rune(slash) || r == '-' || r == '_' })
		if n < 0 {
			n = len(rest)
		}
		shifted := strings.ReplaceAll(rest[:n], string(slash), "/")
		if shifted == "" {
			out.WriteByte(shift)
		}
		if len(shifted)%4 == 1 {
			shifted = shifted[:len(shifted)-1]
		}
		if b, err := base64.RawStdEncoding.DecodeString(shifted); err == nil {
			out.WriteString(decodeWide(b, 2, false))
		}
		s = strings.TrimPrefix(rest[n:], "-")
	}
	return out.String()
}
