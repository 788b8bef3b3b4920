package arctest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"dmarcd/internal/message"
)

// Sealer puts ARC sets on messages (RFC 8617 section 5.1). Fields that are ""
// mean what their comment says.
type Sealer struct {
	Domain, Selector string
	Key              crypto.Signer // RSA or Ed25519
	C                string        // c= of the message signature; "relaxed/relaxed"
	NoC              bool          // without c=
	H                string        // its h=; the usual fields of a message, as far as there are any
	MessageTags      string        // more tags of the message signature, such as "t=1; x=2"
	SealTags         string        // more tags of the seal
}

// Seal puts one set on a message with CRLF line ends. results is the payload of
// its ARC-Authentication-Results field: "mx.example; dmarc=pass …". cv is
// that of the seal; "" stands for what a sealer of a good chain says.
func Seal(raw []byte, results, domain, selector string, key crypto.Signer, cv string) []byte {
	return Sealer{Domain: domain, Selector: selector, Key: key}.Seal(raw, results, cv)
}

// Record is the TXT record of the public key.
func Record(key crypto.Signer) string {
	if pub, ok := key.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// Split parts a message with CRLF line ends into its header and its body.
func Split(raw []byte) (*message.Header, []byte) {
	head, body := cutMessage(string(raw))
	h := &message.Header{}
	for _, f := range fields(head) {
		name, _, _ := strings.Cut(f, ":")
		h.Fields = append(h.Fields, message.Field{Name: strings.TrimRight(name, " \t\r\n"), Raw: []byte(f)})
	}
	return h, []byte(body)
}

// Seal puts one set on a message; see the function Seal.
func (s Sealer) Seal(raw []byte, results, cv string) []byte {
	head, body := cutMessage(string(raw))
	sets := chain(fields(head))
	n := len(sets) + 1
	if cv == "" {
		cv = "pass"
		if n == 1 {
			cv = "none"
		}
	}
	aar := fmt.Sprintf("ARC-Authentication-Results: i=%d; %s\r\n", n, results)
	ams := s.messageSignature(n, head, body)
	as := s.seal(n, cv, append(sets, [3]string{aar, ams}))
	return []byte(as + ams + aar + string(raw))
}

// usualNames are the fields that a message signature covers if nothing else is asked for.
var usualNames = []string{"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "dkim-signature"}

func (s Sealer) messageSignature(n int, head, body string) string {
	c, names := s.C, s.H
	if c == "" {
		c = "relaxed/relaxed"
	}
	present := fields(head)
	if names == "" {
		var has []string
		for _, name := range usualNames {
			if len(pick(present, name)) > 0 {
				has = append(has, name)
			}
		}
		names = strings.Join(has, ":")
	}
	headCanon, bodyCanon, both := strings.Cut(c, "/")
	if !both {
		bodyCanon = "simple" // RFC 6376 section 3.5
	}
	sum := sha256.Sum256([]byte(canonicalBody(bodyCanon, body)))
	cTag := " c=" + c + ";"
	if s.NoC {
		cTag = ""
	}
	own := fmt.Sprintf("ARC-Message-Signature: i=%d; a=%s;%s d=%s; s=%s;\r\n\th=%s; bh=%s;%s\r\n\tb=",
		n, s.algorithm(), cTag, s.Domain, s.Selector, names, base64.StdEncoding.EncodeToString(sum[:]), more(s.MessageTags))
	return own + s.sign(canonicalField(headCanon, own), pick(present, names), headCanon) + "\r\n"
}

// seal makes the seal of the last of sets, whose third field is still "".
func (s Sealer) seal(n int, cv string, sets [][3]string) string {
	if cv == "fail" { // RFC 8617 section 5.1.2: its own set alone
		sets = sets[len(sets)-1:]
	}
	var covered []string
	for _, set := range sets {
		covered = append(covered, set[0], set[1])
		if set[2] != "" {
			covered = append(covered, set[2])
		}
	}
	own := fmt.Sprintf("ARC-Seal: i=%d; a=%s; cv=%s; d=%s; s=%s;%s\r\n\tb=", n, s.algorithm(), cv, s.Domain, s.Selector, more(s.SealTags))
	return own + s.sign(canonicalField("relaxed", own), covered, "relaxed") + "\r\n"
}

func more(tags string) string {
	if tags == "" {
		return ""
	}
	return " " + tags + ";"
}

func (s Sealer) algorithm() string {
	if _, ok := s.Key.Public().(ed25519.PublicKey); ok {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

// sign returns b= over the covered fields and then own, which is already canonical.
func (s Sealer) sign(own string, covered []string, canon string) string {
	h := sha256.New()
	for _, f := range covered {
		h.Write([]byte(canonicalField(canon, f)))
	}
	h.Write([]byte(strings.TrimSuffix(own, "\r\n")))
	opts := crypto.SignerOpts(crypto.SHA256)
	if s.algorithm() == "ed25519-sha256" {
		opts = crypto.Hash(0)
	}
	sig, err := s.Key.Sign(rand.Reader, h.Sum(nil), opts)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// chain gives the three fields of each set there is, results first, by instance.
func chain(present []string) [][3]string {
	byInstance := map[string]*[3]string{}
	for _, f := range present {
		name, value, _ := strings.Cut(f, ":")
		at := map[string]int{"arc-authentication-results": 1, "arc-message-signature": 2, "arc-seal": 3}[strings.ToLower(name)]
		i := instance.FindStringSubmatch(value)
		if at == 0 || i == nil {
			continue
		}
		if byInstance[i[1]] == nil {
			byInstance[i[1]] = &[3]string{}
		}
		byInstance[i[1]][at-1] = f
	}
	var out [][3]string
	for n := 1; byInstance[fmt.Sprint(n)] != nil; n++ {
		out = append(out, *byInstance[fmt.Sprint(n)])
	}
	return out
}

var instance = regexp.MustCompile(`(?:^|[;\s])i\s*=\s*(\d+)\s*(?:;|$)`)

func cutMessage(raw string) (head, body string) {
	if rest, ok := strings.CutPrefix(raw, "\r\n"); ok {
		return "", rest
	}
	head, body, found := strings.Cut(raw, "\r\n\r\n")
	if found {
		head += "\r\n"
	}
	return head, body
}

// fields parts a header, each field with its folds and the final CRLF.
func fields(head string) []string {
	var out []string
	for line := range strings.SplitAfterSeq(head, "\r\n") {
		switch {
		case line == "":
		case (line[0] == ' ' || line[0] == '\t') && len(out) > 0:
			out[len(out)-1] += line
		default:
			out = append(out, line)
		}
	}
	return out
}

// pick gives the fields that h= names, repeated names from the bottom up (RFC
// 6376 section 5.4.2).
func pick(present []string, names string) []string {
	var out []string
	taken := map[int]bool{}
	for _, name := range strings.Split(names, ":") {
		for i := len(present) - 1; i >= 0; i-- {
			has, _, _ := strings.Cut(present[i], ":")
			if !taken[i] && strings.EqualFold(strings.TrimSpace(has), strings.TrimSpace(name)) {
				taken[i] = true
				out = append(out, present[i])
				break
			}
		}
	}
	return out
}

var (
	blanks   = regexp.MustCompile(`[ \t]+`)
	lastWSP  = regexp.MustCompile(`[ \t]+\r\n`)
	noLines  = regexp.MustCompile(`(\r\n)*$`)
	lineEnds = strings.NewReplacer("\r\n", "")
)

// canonicalField is a field in the form of RFC 6376 section 3.4.1 or 3.4.2.
func canonicalField(canon, f string) string {
	if canon != "relaxed" {
		return f
	}
	name, value, _ := strings.Cut(f, ":")
	value = strings.Trim(blanks.ReplaceAllString(lineEnds.Replace(value), " "), " ")
	return strings.ToLower(strings.TrimRight(name, " \t")) + ":" + value + "\r\n"
}

// canonicalBody is a body in the form of RFC 6376 section 3.4.3 or 3.4.4.
func canonicalBody(canon, body string) string {
	if canon == "relaxed" {
		body = blanks.ReplaceAllString(lastWSP.ReplaceAllString(body, "\r\n"), " ")
		body = string(bytes.TrimRight([]byte(body), " "))
	}
	body = noLines.ReplaceAllString(body, "")
	if body == "" && canon == "relaxed" {
		return ""
	}
	return body + "\r\n"
}
