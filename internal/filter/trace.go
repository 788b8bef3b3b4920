package filter

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/text"
)

// Trace is the DNS questions and answers as text. A name made from the sender's local
// part is shown as the record has it, unless addresses are kept.
func (o *Result) Trace(addresses bool) *memory.Trace {
	out := &memory.Trace{Cut: o.lookupsCut, Answers: make([]memory.Answer, 0, len(o.lookups))}
	left := memory.MaxTraceBytes
	for i := range o.lookups {
		l := &o.lookups[i]
		a := memory.Answer{Name: l.question(), Type: l.kind.String(), Error: l.failure(), Took: l.took.Truncate(time.Microsecond)}
		if spec, is := o.Verdict.SPF.LocalPartSpec(l.name); is && !addresses {
			a.Name = spec
			a.Error, _, _ = strings.Cut(a.Error, ":")
		}
		left -= len(a.Name) + len(a.Error)
		if a.Error == "" {
			var cut bool
			a.Texts, cut = l.presented(&left)
			out.Cut = out.Cut || cut
		}
		if left < 0 {
			out.Cut = true
			break
		}
		out.Answers = append(out.Answers, a)
	}
	return out
}

// String is the type as DNS calls it.
func (t recordType) String() string {
	return [...]string{typeTXT: "TXT", typeA: "A", typeAAAA: "AAAA", typeMX: "MX", typePTR: "PTR"}[t]
}

// question is the name that was queried.
func (l *lookup) question() string {
	if l.kind == typePTR {
		return reverse(l.addr)
	}
	return l.name.String()
}

// maxTrouble bounds the text of one failure.
const maxTrouble = 200

// failure says why there are no records; "" where there are some.
func (l *lookup) failure() string {
	switch {
	case errors.Is(l.err, dns.ErrNXDomain):
		return "nxdomain"
	case l.err == nil && len(l.texts)+len(l.addrs)+len(l.names) == 0, errors.Is(l.err, dns.ErrNoData):
		return "nodata"
	case l.err == nil:
		return ""
	}
	why := l.err
	if e := (*dns.Error)(nil); errors.As(why, &e) { // the answer has its name and type already
		why = e.Err
	}
	words := strings.TrimPrefix(strings.TrimPrefix(why.Error(), dns.ErrTemporary.Error()), ": ")
	if words == "" {
		return "temporary"
	}
	return "temporary: " + text.ASCII(words, maxTrouble)
}

// presented are the records as text, within the octets left; cut reports that there were
// more.
func (l *lookup) presented(left *int) (out []string, cut bool) {
	n := len(l.texts) + len(l.addrs) + len(l.names) // only one of them has any
	cut = n > memory.MaxAnswerTexts
	n = min(n, memory.MaxAnswerTexts)
	out = make([]string, 0, n)
	for i := range n {
		var text string
		switch {
		case l.texts != nil:
			text = escaped(l.texts[i])
		case l.addrs != nil:
			text = l.addrs[i].String()
		default:
			text = l.names[i].String()
		}
		if *left -= len(text); *left < 0 {
			return out, true
		}
		out = append(out, text)
	}
	return out, cut
}

// escaped is the text of a TXT record as it may be shown: octets that are not
// printable ASCII, and the backslash, in the way of master files (RFC 1035 section 5.1).
func escaped(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] <= '~' && s[i] != '\\'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c > '~':
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// reverse is the name of an address's PTR records (RFC 1035 section 3.5 and RFC
// 3596 section 2.5).
func reverse(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return ""
	}
	octets := addr.AsSlice()
	slices.Reverse(octets)
	const hex = "0123456789abcdef"
	var b []byte
	for _, octet := range octets {
		if addr.Is4() {
			b = append(strconv.AppendUint(b, uint64(octet), 10), '.')
		} else {
			b = append(b, hex[octet&15], '.', hex[octet>>4], '.')
		}
	}
	if addr.Is4() {
		return string(b) + "in-addr.arpa"
	}
	return string(b) + "ip6.arpa"
}
