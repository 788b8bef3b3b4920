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

// NewID returns the Report-ID of a report, which is also its unique-id: letters and digits
// only, beginning with the day. The same values give the same ID, so that a report sent again
// keeps its ID (RFC 9990 section 3.5.4), and nobody without the secret can predict it. part
// distinguishes several reports on the same domain and period, such as those for two
// policies; "" for an only one.
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

// maxFileName is the longest file name, in octets: file systems allow 255, and receivers may
// add a prefix.
const maxFileName = 200

// FileName returns the name of a compressed report (RFC 9990 section 3.5.2): receiver, policy
// domain, begin, end and, unless it is "", the letters and digits of the unique-id. Names too
// long for maxFileName lose their first labels; the unique-id still distinguishes files.
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

// lastLabels returns the end of a name that fits in so many octets.
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

// Subject returns the Subject of the mail that carries a report (RFC 9990 section 3.5.2), on
// one line; the mail folds it at spaces.
func Subject(domain, receiver dns.Name, id string) string {
	return "Report Domain: " + hostText(domain) + " Submitter: " + hostText(receiver) + " Report-ID: <" + dotAtomText(id) + ">"
}

// hostText returns a name with "_" for octets outside host names: a DNS label may contain any
// octet, file names and header fields may not.
func hostText(n dns.Name) string {
	return strings.Map(func(r rune) rune {
		if alphanumeric(r) < 0 && r != '.' && r != '-' {
			return '_'
		}
		return r
	}, n.String())
}

// dotAtomText returns the characters of an id that RFC 9990 section 3.5.1 allows in a
// Report-ID, bounded in length.
func dotAtomText(id string) string {
	return text.XML(strings.Map(func(r rune) rune {
		if alphanumeric(r) < 0 && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.@", r) {
			return -1
		}
		return r
	}, id), maxContact)
}

// alphanumeric returns r, or -1 if r is not an ASCII letter or digit.
func alphanumeric(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return r
	}
	return -1
}
