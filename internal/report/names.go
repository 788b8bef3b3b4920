package report

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/text"
)

// NewID makes the Report-ID of a report, which is its unique-id too: letters and
// digits only, beginning with the day. The same values give the same ID, so that
// a report that is sent again has the ID it had (RFC 9990 section 3.5.4), and no
// one without the secret can tell an ID beforehand. part tells several reports
// on the same domain and period apart, such as those for two policies; "" for an
// only one.
func NewID(secret []byte, receiver, domain dns.Name, begin, end time.Time, part string) string {
	mac := hmac.New(sha256.New, secret)
	var b []byte
	for _, s := range []string{receiver.String(), domain.String(), part} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendVarint(b, begin.Unix())
	b = binary.AppendVarint(b, end.Unix())
	mac.Write(b)
	const octets = 15 // 24 letters and digits
	tail := base32.StdEncoding.EncodeToString(mac.Sum(nil)[:octets])
	return begin.UTC().Format("20060102") + strings.ToLower(tail)
}

// maxFileName is the longest name of a file, in octets: file systems take 255, and
// those who store reports put something before the name.
const maxFileName = 200

// FileName is the name of a compressed report (RFC 9990 section 3.5.2): receiver,
// policy domain, begin, end and, unless it is "", the unique-id, of which
// anything but letters and digits is left out. Names too long for maxFileName lose
// their first labels; the unique-id still tells files apart.
func FileName(receiver, domain dns.Name, begin, end time.Time, id string) string {
	rest := "!" + strconv.FormatInt(begin.Unix(), 10) + "!" + strconv.FormatInt(end.Unix(), 10)
	if id = strings.Map(alphanumeric, id); id != "" {
		rest += "!" + id[:min(len(id), maxFileName/4)]
	}
	rest += ".xml.gz"
	room := maxFileName - len(rest) - len("!")
	who, what := hostText(receiver), hostText(domain)
	who = lastLabels(who, max(room/2, room-len(what)))
	return who + "!" + lastLabels(what, room-len(who)) + rest
}

// lastLabels is the end of a name in so many octets.
func lastLabels(name string, most int) string {
	for len(name) > most {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return name[len(name)-most:]
		}
		name = rest
	}
	return name
}

// Subject is the Subject of the mail that carries a report (RFC 9990 section
// 3.5.2), on one line; the mail folds it at spaces.
func Subject(domain, receiver dns.Name, id string) string {
	return "Report Domain: " + hostText(domain) + " Submitter: " + hostText(receiver) + " Report-ID: <" + dotAtomText(id) + ">"
}

// hostText is a name with "_" for what no host name has: a DNS label may hold
// any octet, file names and header fields may not.
func hostText(n dns.Name) string {
	return strings.Map(func(r rune) rune {
		if alphanumeric(r) < 0 && r != '.' && r != '-' {
			return '_'
		}
		return r
	}, n.String())
}

// dotAtomText leaves of an id what RFC 9990 section 3.5.1 lets stand in a
// Report-ID, cut to a sane length.
func dotAtomText(id string) string {
	return text.XML(strings.Map(func(r rune) rune {
		if alphanumeric(r) < 0 && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.@", r) {
			return -1
		}
		return r
	}, id), maxContact)
}

// alphanumeric is r, or -1 where r is no ASCII letter or digit.
func alphanumeric(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return r
	}
	return -1
}
