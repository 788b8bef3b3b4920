package authres

import (
	"bytes"
	"net/netip"
	"strings"

	"dmarcd/internal/dns"
)

// maxPared bounds the items of a pared field.
const maxPared = 50

// otherWord replaces a method or result that is not a plain word.
const otherWord = "other"

// Pare reduces the value of another host's field to what passed for whom, without
// anything that can identify a person. It keeps the method and result of each item, and
// the properties header.from, header.d, the domain of smtp.mailfrom, and
// smtp.remote-ip. It omits items without any of these, and repeated ones. For this part,
// Parse reads the same from the result as from value. A value that Parse refuses gives "".
func Pare(value string) string {
	f, err := Parse(value)
	if err != nil {
		return ""
	}
	id := f.AuthServID
	if !isPlainName(id) {
		id = otherWord
	}
	out := append(make([]byte, 0, 256), id...)
	start := len(out)
	kept := 0
	for i := range f.Items {
		before := len(out)
		out = f.Items[i].appendPared(out)
		switch {
		case len(out) == before:
		case kept == maxPared || bytes.Contains(append(out[start:before:before], ';'), append(out[before:len(out):len(out)], ';')):
			out = out[:before]
		default:
			kept++
		}
	}
	return string(out)
}

// appendPared appends the reduced item, or nothing if nothing of it remains.
func (it *Item) appendPared(b []byte) []byte {
	domain := func(b []byte, name, value string) []byte {
		n, err := dns.Parse(value)
		if err != nil || !isPlainName(n.String()) {
			return b
		}
		return append(append(append(append(b, ' '), name...), '='), n.String()...)
	}
	start := len(b)
	b = append(b, "; "...)
	b = append(append(append(b, plainWord(it.Method)...), '='), plainWord(it.Result)...)
	bare := len(b)
	b = domain(b, "header.from", it.Get("header", "from"))
	b = domain(b, "header.d", it.Get("header", "d"))
	_, host, ok := strings.Cut(it.Get("smtp", "mailfrom"), "@")
	if !ok {
		host = it.Get("smtp", "mailfrom")
	}
	b = domain(b, "smtp.mailfrom", host)
	if ip, err := netip.ParseAddr(it.Get("smtp", "remote-ip")); err == nil {
		b = append(ip.WithZone("").AppendTo(append(b, ` smtp.remote-ip="`...)), '"')
	}
	if len(b) == bare {
		return b[:start]
	}
	return b
}

func plainWord(s string) string {
	if len(s) > maxShort || !isPlainName(s) {
		return otherWord
	}
	return s
}

// isPlainName reports whether s has only characters of host and method names.
func isPlainName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
