package dkim

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns"
)

// The corpus: messages made at random, signed, often changed afterwards, and
// verified by us and by go-msgauth. Both must agree but where go-msgauth is
// known to be wrong; each such case is a quirk below.

// quirk is a known fault of go-msgauth, and what the two then say. "" stands
// for any.
type quirk struct {
	name         string
	ours, theirs Status
}

var (
	blanksZ      = &quirk{"b= within z= is cut out of the signature", "", Fail}
	caseOfI      = &quirk{"i= is compared with d= by letter case", "", PermError}
	iWithoutAt   = &quirk{"i= without an at sign is taken", PermError, ""}
	strictKey    = &quirk{"t=s of the key is not enforced", PermError, ""}
	lengthTag    = &quirk{"any l= fails", "", Fail}
	expiryBefore = &quirk{"x= before t= is taken", PermError, ""}
	secondTXT    = &quirk{"a second TXT record is an error", "", PermError}
	tabInKey     = &quirk{"a tab within p= is an error", "", PermError}
	wrappedTemp  = &quirk{"a wrapped temporary error is a permanent one", TempError, PermError}
	uLabel       = &quirk{"d= is looked up without conversion to A-labels", "", PermError}
	keyFirst     = &quirk{"a body that does not match waits for a key that is not to be had", Fail, ""}
)

var quirks = []*quirk{blanksZ, caseOfI, iWithoutAt, strictKey, lengthTag, expiryBefore, secondTXT, tabInKey, wrappedTemp, uLabel, keyFirst}

// keyKind is one way to publish a key; name is its selector.
type keyKind struct {
	name    string
	publish func(key crypto.Signer) []string // nil: no such name
	temp    error                            // what go-msgauth's look-up says
	quirk   *quirk
	weight  int
	good    bool // signatures verify with it
}

func plainRecord(key crypto.Signer) []string { return []string{record(key)} }

func with(tags string) func(crypto.Signer) []string {
	return func(key crypto.Signer) []string { return []string{record(key) + tags} }
}

var keyKinds = []keyKind{
	{name: "good", publish: plainRecord, weight: 60, good: true},
	{name: "testing", publish: with("; t=y"), weight: 2, good: true},
	{name: "flags", publish: with("; t=y:x; s=email:other; h=sha1:sha256; n=note"), weight: 2, good: true},
	{name: "strict", publish: with("; t=s"), weight: 3},
	{name: "blanks", publish: func(key crypto.Signer) []string {
		return []string{strings.Replace(record(key), "p=", "p= ", 1)[:60] + "  " + record(key)[59:] + " ;"}
	}, weight: 2, good: true},
	{name: "tab", publish: func(key crypto.Signer) []string {
		at := len(record(key)) - 20
		return []string{record(key)[:at] + "\t" + record(key)[at:]}
	}, quirk: tabInKey, weight: 2, good: true},
	{name: "two", publish: func(key crypto.Signer) []string { return []string{"v=spf1 -all", record(key)} }, quirk: secondTXT, weight: 2, good: true},
	{name: "sha1", publish: with("; h=sha1"), weight: 1},
	{name: "service", publish: with("; s=tlsrpt"), weight: 1},
	{name: "revoked", publish: func(crypto.Signer) []string { return []string{"v=DKIM1; p="} }, weight: 2},
	{name: "keyless", publish: func(crypto.Signer) []string { return []string{"v=DKIM1; k=rsa"} }, weight: 1},
	{name: "version", publish: func(key crypto.Signer) []string { return []string{strings.Replace(record(key), "DKIM1", "DKIM2", 1)} }, weight: 1},
	{name: "twice", publish: with("; v=DKIM1"), weight: 1},
	{name: "foreign", publish: func(crypto.Signer) []string {
		return []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
	}, weight: 2},
	{name: "kind", publish: func(key crypto.Signer) []string { return []string{strings.Replace(record(key), "k=", "k=x", 1)} }, weight: 1},
	{name: "missing", weight: 2},
	{name: "slow", temp: &net.DNSError{Err: "time-out", IsTemporary: true, IsTimeout: true}, weight: 2},
	{name: "wrapped", temp: fmt.Errorf("look-up: %w", &net.DNSError{Err: "time-out", IsTemporary: true}), quirk: wrappedTemp, weight: 1},
}

// corpus makes messages from one source of chance.
type corpus struct {
	*rand.Rand
	now   time.Time
	keys  map[string]crypto.Signer // by the second label of their domain
	kinds []keyKind                // each as often as its weight
	zone  *zone
	temps map[string]error // go-msgauth's errors
}

func newCorpus(t *testing.T, seed uint64) *corpus {
	c := &corpus{
		Rand:  rand.New(rand.NewPCG(seed, 42)),
		now:   time.Now(), // go-msgauth reads the clock by itself
		keys:  map[string]crypto.Signer{"ed": edKey(), "small": rsaKey(t, 1024), "large": rsaKey(t, 2048)},
		zone:  &zone{txt: map[string][]string{}, err: map[string]error{}},
		temps: map[string]error{},
	}
	for _, k := range keyKinds {
		for range k.weight {
			c.kinds = append(c.kinds, k)
		}
		for label, key := range c.keys {
			for _, domain := range []string{label + ".example", label + ".xn--bcher-kva.example"} {
				name := k.name + "._domainkey." + domain
				switch {
				case k.temp != nil:
					c.zone.err[name], c.temps[name] = dns.ErrTemporary, k.temp
				case k.publish != nil:
					c.zone.txt[name] = k.publish(key)
				}
			}
		}
	}
	return c
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// one in n.
func (c *corpus) one(n int) bool { return c.IntN(n) == 0 }

// header makes a header of fields in all the forms that canonicalization knows.
func (c *corpus) header() string {
	var b strings.Builder
	for range c.IntN(3) {
		b.WriteString("Received: from a.example\r\n\tby b.example;  " + pick(c.Rand, "Sun", "Mon") + "\r\n")
	}
	b.WriteString(pick(c.Rand, "From", "FROM", "from", "From ") + ":" + c.blank() + "Joe <joe@" + pick(c.Rand, "ed.example", "other.example") + ">" + c.tail() + "\r\n")
	for range c.IntN(8) {
		name := pick(c.Rand, "To", "Subject", "Date", "Message-ID", "X-Mixed-Case", "x-lower", "Received", "List-Id", "To\t")
		b.WriteString(name + ":" + c.blank())
		for range c.IntN(6) {
			b.WriteString(pick(c.Rand, "word", "Gr\xfc\xdfe", "gr\u00fc\u00dfe", "a:b", "\xff", "=?utf-8?q?x?=", "b=c;", "\x01") + c.blank())
		}
		b.WriteString(c.tail() + "\r\n")
	}
	return b.String()
}

func (c *corpus) blank() string {
	return pick(c.Rand, " ", " ", " ", "", "  ", "\t", "\r\n ", "\r\n\t ", " \r\n  ")
}

func (c *corpus) tail() string { return pick(c.Rand, "", "", "", " ", "\t ", "\r\n ") }

// body makes a body; it has no bare CR, which go-msgauth takes for white space.
func (c *corpus) body() string {
	if c.one(12) {
		return pick(c.Rand, "", "\r\n", "\r\n\r\n", " \r\n", "\n", " ", "\t\r\n\r\n", "x")
	}
	var b strings.Builder
	for range c.IntN(30) {
		for range c.IntN(8) {
			b.WriteString(pick(c.Rand, "word", "lorem ipsum dolor", "Gr\xfc\xdfe", "=3D", "\x00", ".", "\u00a0"))
			b.WriteString(pick(c.Rand, " ", " ", "", "  ", "\t", " \t "))
		}
		b.WriteString(pick(c.Rand, "\r\n", "\r\n", "\r\n", "\r\n\r\n", " \r\n", "\n"))
	}
	b.WriteString(pick(c.Rand, "", "", "no line end", "\r\n\r\n\r\n", " \r\n\t\r\n", "x "))
	return b.String()
}

// signed is a signature of the corpus.
type signed struct {
	field  string
	quirks []*quirk
	good   bool // must verify unless the message is changed
}

// sign makes one signature, by go-msgauth's signer or, for what that cannot
// make, by ours.
func (c *corpus) sign(head, body string) signed {
	label := pick(c.Rand, "ed", "ed", "ed", "ed", "ed", "small", "small", "large")
	kind := pick(c.Rand, c.kinds...)
	s := signed{good: kind.good}
	if kind.quirk != nil {
		s.quirks = append(s.quirks, kind.quirk)
	}
	domain := label + ".example"
	identity := ""
	switch c.IntN(24) {
	case 0, 1:
		identity = "joe@" + domain
	case 2, 3:
		identity = "@sub." + domain
		if kind.name == "strict" {
			s.quirks = append(s.quirks, strictKey)
		}
	case 4:
		identity, s.quirks = "joe@"+strings.ToUpper(domain), append(s.quirks, caseOfI)
	case 5:
		identity, s.good = "joe@elsewhere.example.net", false
	case 6:
		if c.one(3) {
			identity, s.good, s.quirks = "sub."+domain, false, append(s.quirks, iWithoutAt)
		}
	}
	head1, body1 := pick(c.Rand, simple, relaxed), pick(c.Rand, simple, relaxed)
	names := []string{"From"}
	for range c.IntN(10) {
		names = append(names, pick(c.Rand, "to", "Subject", "FROM", "X-Mixed-Case", "x-lower", "received", "absent", "List-Id", "Date"))
	}
	c.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })

	if c.one(6) {
		return c.signOwn(s, kind, label, identity, head1, body1, names, head, body)
	}
	o := &msgauth.SignOptions{
		Domain: domain, Selector: kind.name, Identifier: identity, Signer: c.keys[label], HeaderKeys: names,
		HeaderCanonicalization: msgauth.Canonicalization(head1), BodyCanonicalization: msgauth.Canonicalization(body1),
	}
	if c.one(8) {
		o.HeaderKeys = nil
	}
	if c.one(6) {
		o.Expiration = c.now.Add(time.Duration(1+c.IntN(100)) * time.Hour)
	} else if c.one(20) {
		o.Expiration = c.now.Add(-time.Duration(1+c.IntN(100)) * time.Hour)
		s.good = false
	}
	w, err := msgauth.NewSigner(o)
	if err != nil {
		panic(err)
	}
	if _, err := io.WriteString(w, head+"\r\n"+body); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	s.field = w.Signature()
	return s
}

// signOwn makes a signature with tags that go-msgauth's signer does not write.
func (c *corpus) signOwn(s signed, kind keyKind, label, identity, head1, body1 string, names []string, head, body string) signed {
	tags := fmt.Sprintf("v=1; c=%s/%s; s=%s; h=%s", head1, body1, kind.name, strings.Join(names, pick(c.Rand, ":", " : ", ":\r\n\t")))
	own := signer{key: c.keys[label]}
	domain := label + ".example"
	switch c.IntN(7) {
	case 0:
		tags += "; z=From:Bob=20Smith|Subject:ab=3Dc"
		s.quirks = append(s.quirks, blanksZ)
	case 1:
		own.length = 1 + c.IntN(20)
		tags += fmt.Sprintf("; l=%d", own.length)
		s.quirks = append(s.quirks, lengthTag)
	case 2:
		tags += fmt.Sprintf("; t=%d; x=%d", c.now.Unix()+7200, c.now.Unix()+3600)
		s.good = false
		s.quirks = append(s.quirks, expiryBefore)
	case 3:
		domain = label + ".bücher.example"
		identity, s.good = "", kind.good
		s.quirks = append(s.quirks, uLabel)
	case 4:
		tags = strings.ReplaceAll(tags, "; ", ";\r\n ")
		own.after = pick(c.Rand, ";", " ; ", "; x-other=1", ";\r\n q=dns/txt")
	case 5:
		tags += fmt.Sprintf("; t=%d; x=%d; q=dns/txt", c.now.Unix()-3600, c.now.Unix()+3600)
	case 6:
		tags = strings.Replace(tags, fmt.Sprintf("c=%s/%s; ", head1, body1), "", 1)
	}
	tags += "; d=" + domain
	if identity != "" {
		tags += "; i=" + identity
	}
	own.tags = tags
	s.field = own.field(head, body)
	return s
}

// change alters a signed message, as relays and forgers do.
func (c *corpus) change(fields []string, body string) ([]string, string, bool) {
	i := c.IntN(len(fields))
	isSignature := strings.HasPrefix(fields[i], "DKIM-Signature")
	f := fields[i]
	switch c.IntN(14) {
	case 0: // an octet of the body
		if at := strings.Index(body, "word"); at >= 0 {
			body = body[:at] + "Word" + body[at+4:]
		}
	case 1:
		body += pick(c.Rand, "\r\n", "\r\n\r\n", " ", "\t\r\n", "--\r\nlist\r\n", "\n")
	case 2:
		body = strings.Replace(body, " ", pick(c.Rand, "  ", "\t", ""), 1)
	case 3:
		body = strings.ReplaceAll(body, "\r\n", "\n")
	case 4:
		body = strings.Replace(body, "\r\n", pick(c.Rand, " \r\n", "\r\n\r\n", "\n", "\t\r\n"), 1)
	case 5:
		if len(body) > 0 && c.one(2) {
			body = strings.TrimRight(body[:c.IntN(len(body))], "\r")
		}
	case 6: // a field more
		extra := pick(c.Rand, "X-Added: by relay\r\n", "Subject: other\r\n", "to: eve@example.org\r\n", "Received: from z\r\n", "Absent: no more\r\n")
		fields = slices.Insert(fields, pick(c.Rand, 0, len(fields), i), extra)
	case 7: // a field less
		if !isSignature {
			fields = slices.Delete(fields, i, i+1)
		}
	case 8: // another order
		j := c.IntN(len(fields))
		if !isSignature && !strings.HasPrefix(fields[j], "DKIM-Signature") {
			fields[i], fields[j] = fields[j], fields[i]
		}
	case 9: // folded anew
		name, value, _ := strings.Cut(f, ":")
		value = strings.Replace(value, " ", pick(c.Rand, "\r\n ", "  ", "\t", "\r\n\t"), 1)
		if !isSignature && !strings.Contains(value, "\r\n\r\n") { // which would end the header
			fields[i] = name + ":" + value
		}
	case 10: // the name in other letters
		name, value, _ := strings.Cut(f, ":")
		fields[i] = pick(c.Rand, strings.ToUpper(name), strings.ToLower(name), name+" ") + ":" + value
	case 11, 12: // a letter
		at := strings.IndexByte(f, ':') + 1 + c.IntN(len(f)-strings.IndexByte(f, ':')-2)
		if f[at] > ' ' && f[at] != ';' && f[at] != '=' {
			fields[i] = f[:at] + string(rune('a'+c.IntN(26))) + f[at+1:]
			return fields, body, isSignature
		}
	case 13: // blanks within the signature
		if isSignature {
			fields[i] = strings.Replace(f, "; ", pick(c.Rand, ";", ";\r\n\t", " ;  "), 1)
		}
	}
	return fields, body, false
}

// statusOf reads go-msgauth's error.
func statusOf(err error) Status {
	switch {
	case err == nil:
		return Pass
	case msgauth.IsTempFail(err):
		return TempError
	case msgauth.IsPermFail(err):
		return PermError
	}
	return Fail
}

func TestAgreesWithMsgauth(t *testing.T) {
	messages := 10000
	if testing.Short() {
		messages = 1000
	}
	c := newCorpus(t, 20261122)
	seen := map[Status]int{}
	excepted := map[*quirk]int{}
	for n := range messages {
		head, body := c.header(), c.body()
		fields := splitFields(head)
		bySignature := map[string]signed{}
		for range 1 + c.IntN(20)/13 + c.IntN(20)/17 {
			s := c.sign(strings.Join(fields, ""), body)
			bySignature[s.field] = s
			fields = append([]string{s.field}, fields...)
		}
		altered := map[int]bool{}
		changed := c.one(2)
		if changed {
			before := len(fields)
			var touched bool
			if fields, body, touched = c.change(fields, body); touched && len(fields) == before {
				for i, f := range fields {
					if _, known := bySignature[f]; !known && strings.HasPrefix(f, "DKIM-Signature") {
						altered[i] = true
					}
				}
			}
		}
		head = strings.Join(fields, "")
		theirs, err := msgauth.VerifyWithOptions(strings.NewReader(head+"\r\n"+body), &msgauth.VerifyOptions{LookupTXT: c.lookup})
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		ours := c.verify(head, body)
		if len(ours) != len(theirs) {
			t.Fatalf("message %d: %d results, go-msgauth has %d", n, len(ours), len(theirs))
		}
		k := 0
		for i, f := range fields {
			if !header(f).Fields[0].Is(fieldName) {
				continue
			}
			our, their := ours[k], statusOf(theirs[k].Err)
			seen[our.Status]++
			if good := noted(f, bySignature).good; good && !changed && our.Status != Pass && !errors.Is(our.Err, ErrPartial) && !errors.Is(our.Err, ErrBodyLength) {
				t.Errorf("message %d, signature %d: %s (%v), but it is good\n%q\n%q", n, k, our.Status, our.Err, head, body)
			}
			if our.Status != their {
				q := excuse(noted(f, bySignature).quirks, our.Status, their)
				if q == nil && !our.Processed && (errors.Is(our.Err, ErrBodyHash) || errors.Is(our.Err, ErrBodyLength) || errors.Is(our.Err, ErrPartial)) {
					q = keyFirst
				}
				switch {
				case q != nil:
					excepted[q]++
				case altered[i] && our.Status != Pass && their != Pass: // a letter of the signature changed: refused for one reason or the other
				default:
					t.Errorf("message %d, signature %d: %s (%v), go-msgauth says %s (%v)\n%q\n%q", n, k, our.Status, our.Err, their, theirs[k].Err, head, body)
				}
			}
			k++
		}
		if t.Failed() && n > 100 {
			break
		}
	}
	for _, s := range []Status{Pass, Fail, PermError, TempError, Policy} {
		if seen[s] == 0 {
			t.Errorf("no signature was %s", s)
		}
	}
	for _, q := range quirks {
		if excepted[q] == 0 {
			t.Errorf("never met: %s", q.name)
		}
		t.Logf("%5d excepted: %s", excepted[q], q.name)
	}
	t.Log(seen)
}

// noted finds what was noted of a signature; a field that was refolded or
// renamed since is found by its b=.
func noted(field string, known map[string]signed) signed {
	if s, ok := known[field]; ok {
		return s
	}
	var is signature
	is.parse(header(field).Fields[0], time.Time{})
	for f, s := range known {
		var was signature
		was.parse(header(f).Fields[0], time.Time{})
		if bytes.Equal(is.data, was.data) {
			return s
		}
	}
	return signed{}
}

// excuse returns the quirk that explains a disagreement.
func excuse(quirks []*quirk, ours, theirs Status) *quirk {
	for _, q := range quirks {
		if (q.ours == "" || q.ours == ours) && (q.theirs == "" || q.theirs == theirs) {
			return q
		}
	}
	return nil
}

func splitFields(head string) []string {
	var out []string
	for _, f := range header(head).Fields {
		out = append(out, string(f.Raw))
	}
	return out
}

// lookup is the zone as go-msgauth asks for it.
func (c *corpus) lookup(name string) ([]string, error) {
	if err := c.temps[name]; err != nil {
		return nil, err
	}
	if txt, ok := c.zone.txt[name]; ok {
		return txt, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// verify is our verifier, fed in chunks of any size.
func (c *corpus) verify(head, body string) []Result {
	v := NewVerifier(context.Background(), c.zone, header(head), Options{Now: c.now})
	for len(body) > 0 {
		n := 1 + c.IntN(len(body))
		v.Write([]byte(body[:n]))
		body = body[n:]
	}
	return v.Results()
}
