package dkim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

const (
	// fieldName is the field of a signature, RFC 6376 section 3.5.
	fieldName = "DKIM-Signature"

	// ClockSkew is how long a signature counts after its x=. The clocks of sender and
	// receiver may differ.
	ClockSkew = 5 * time.Minute

	// maxSignedNames bounds h=. A message has a few dozen fields; each listed name
	// costs a look-up.
	maxSignedNames = 2000

	// maxName bounds how much of d=, s= and i= is read: four octets for each of the 253
	// that a name may have (RFC 1035 section 2.3.4).
	maxName = 1024
)

type algorithm byte

const (
	rsaSHA256 algorithm = iota
	ed25519SHA256
)

// Names of the canonicalizations, RFC 6376 section 3.4.
const (
	simple  = "simple"
	relaxed = "relaxed"
)

// signature is one DKIM-Signature field and its outcome.
type signature struct {
	Result      // Status "" until it is concluded
	field   int // its index in the header
	alg     algorithm
	keyName dns.Name
	agent   dns.Name // domain of i=; that of d= if there is none
	names   []byte   // h=
	data    []byte   // b=, decoded
	bh      []byte   // bh=, decoded
	length  int64    // l=; -1 without one
	// The value of b= in the field's Raw with all white space around it. The
	// signature's own hash treats it as empty.
	blankFrom, blankTo int

	misfit    error // why b= or bh= alone rules out every key; nil if neither does
	key       *keyLookup
	body      *bodyHash
	sealed    []byte     // of an ARC-Seal, the hash that it covers
	compared  bool       // with its key
	afterBody conclusion // the conclusion if the body matches; none without a body
}

// conclude records the conclusion. Processed means that a key was compared with the
// message.
func (s *signature) conclude(o conclusion) {
	s.Status, s.Err, s.Processed = o.status, o.err, o.compared
}

// concluded reports whether the conclusion is known.
func (s *signature) concluded() bool { return s.Status != "" }

// conclusion is the outcome of a signature.
type conclusion struct {
	status   Status
	err      error
	compared bool // the key was compared with the signature
}

// parse parses the field and checks everything that needs no key (RFC 6376 section
// 6.1.1). It continues after an error, so that the result identifies the signature
// as well as possible; it returns the first error.
func (s *signature) parse(f message.Field, now time.Time) error {
	var space [maxTags]tag
	tags, err := fieldTags(space[:0], f)
	if err != nil {
		return err
	}
	s.length = -1
	return firstFault(
		s.parseVersion(tags),
		s.parseAlgorithm(tags),
		s.parseNames(tags),
		s.parseIdentity(tags),
		s.parseCanonicalization(tags),
		s.parseData(tags, f),
		s.parseBodyHash(tags),
		s.parseSigned(tags),
		s.parseLength(tags),
		s.parseTimes(tags, now),
		parseQuery(tags),
	)
}

// fieldTags parses the tag-list of a field and appends its tags to list.
func fieldTags(list tagList, f message.Field) (tagList, error) {
	tags, err := parseTags(list, f.Value())
	switch {
	case errors.Is(err, errTooManyTags):
		return nil, fmt.Errorf("%w: %w", ErrLimit, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return tags, nil
}

func firstFault(faults ...error) error {
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func missing(name string) error { return fmt.Errorf("%w: no %s= tag", ErrSyntax, name) }

func invalid(name string, value []byte) error {
	return fmt.Errorf("%w: %s=%q", ErrSyntax, name, quoted(value))
}

func (s *signature) parseVersion(tags tagList) error {
	v, ok := tags.get("v")
	switch {
	case !ok:
		return missing("v")
	case string(v.value) != "1":
		return fmt.Errorf("%w: v=%q", ErrUnsupported, quoted(v.value))
	}
	return nil
}

func (s *signature) parseAlgorithm(tags tagList) error {
	a, ok := tags.get("a")
	if !ok {
		return missing("a")
	}
	switch string(a.value) {
	case "rsa-sha256":
		s.alg, s.Algorithm = rsaSHA256, "rsa-sha256"
		return nil
	case "ed25519-sha256": // RFC 8463 section 3
		s.alg, s.Algorithm = ed25519SHA256, "ed25519-sha256"
		return nil
	}
	const longest = 32
	if len(a.value) <= longest && isPlain(string(a.value), false) {
		s.Algorithm = string(a.value)
	}
	// This includes rsa-sha1: RFC 8301 section 3.1.
	return fmt.Errorf("%w: a=%q", ErrUnsupported, quoted(a.value))
}

// isPlain reports whether s contains only letters, digits and hyphens and, in a
// name, dots and underscores. Host names have no underscores, but selectors in use do.
func isPlain(s string, name bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case name && (c == '.' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// parseDomain parses a domain-name of RFC 6376 section 3.5. U-labels become
// A-labels, for comparison and for the query (RFC 8616 section 5).
func parseDomain(value []byte) (dns.Name, bool) {
	if len(value) > maxName {
		return dns.Name{}, false
	}
	d, err := dns.Parse(string(value))
	if err != nil || d.Labels() < 2 || !isPlain(d.String(), true) {
		return dns.Name{}, false
	}
	return d, true
}

// parseNames parses d= and s= and builds the key's name (RFC 6376 section 3.6.2.1).
func (s *signature) parseNames(tags tagList) error {
	d, ok := tags.get("d")
	if !ok {
		return missing("d")
	}
	if s.Domain, ok = parseDomain(d.value); !ok {
		return invalid("d", d.value)
	}
	sel, ok := tags.get("s")
	if !ok {
		return missing("s")
	}
	if len(sel.value) > maxName {
		return invalid("s", sel.value)
	}
	const namespace = "._domainkey."
	selector := string(sel.value)
	name, err := dns.Parse(selector + namespace + s.Domain.String())
	if err != nil || !isPlain(name.String(), true) {
		return invalid("s", sel.value)
	}
	s.keyName = name
	if s.Selector = selector; !isPlain(selector, true) {
		s.Selector = strings.TrimSuffix(name.String(), namespace+s.Domain.String())
	}
	return nil
}

// parseIdentity checks that the domain of i= is within d=, ignoring case (RFC 6376
// section 6.1.1).
func (s *signature) parseIdentity(tags tagList) error {
	i, ok := tags.get("i")
	if !ok {
		s.agent = s.Domain
		return nil
	}
	at := bytes.LastIndexByte(i.value, '@')
	if at < 0 {
		return fmt.Errorf("%w: i= has no domain", ErrSyntax)
	}
	domain := i.value[at+1:]
	if len(domain) > maxName {
		return invalid("i", domain)
	}
	var space [64]byte
	if s.agent, ok = parseDomain(squeeze(space[:0], domain)); !ok {
		return invalid("i", domain)
	}
	if s.agent != s.Domain && !s.agent.IsBelow(s.Domain) {
		return fmt.Errorf("%w: %s and %s", ErrIdentity, s.agent, s.Domain)
	}
	const maxIdentity = 320 // octets of an address, RFC 5321 section 4.5.3.1
	if len(i.value) <= maxIdentity {
		s.Identity = string(squeeze(nil, i.value))
	}
	return nil
}

// parseCanonicalization parses c=; an omitted part is "simple" (RFC 6376 section 3.5).
func (s *signature) parseCanonicalization(tags tagList) error {
	s.Header, s.Body = simple, simple
	c, ok := tags.get("c")
	if !ok {
		return nil
	}
	header, body, both := bytes.Cut(c.value, []byte("/"))
	known := true
	s.Header, known = canonicalization(header, known)
	if both {
		s.Body, known = canonicalization(body, known)
	}
	if !known {
		return fmt.Errorf("%w: c=%q", ErrUnsupported, quoted(c.value))
	}
	return nil
}

func canonicalization(name []byte, known bool) (string, bool) {
	switch string(trim(name)) {
	case simple:
		return simple, known
	case relaxed:
		return relaxed, known
	}
	return "", false
}

// parseData parses b= of the field. The comparison rejects a wrong length, here and
// in bh=.
func (s *signature) parseData(tags tagList, f message.Field) error {
	b, ok := tags.get("b")
	if !ok {
		return missing("b")
	}
	offset := len(f.Raw) - len(f.Value())
	s.blankFrom, s.blankTo = offset+b.start, offset+b.end
	data, err := decodeBase64(b.value)
	if err != nil || len(data) == 0 {
		return invalid("b", b.value)
	}
	s.data, s.SigPrefix = data, prefix(b.value)
	return nil
}

// checkFit checks whether b= and bh= have a length that an acceptable key produces. This
// only matters if the key is unknown; otherwise the comparison fails anyway.
func (s *signature) checkFit(o Options) {
	shortest, longest := (o.MinRSABits+7)/8, (o.MaxRSABits+7)/8
	if s.alg == ed25519SHA256 {
		shortest, longest = ed25519.SignatureSize, ed25519.SignatureSize
	}
	switch n := len(s.data); {
	case n < shortest || n > longest:
		s.misfit = fmt.Errorf("%w: no key has signatures of %d octets", ErrSignature, n)
	case s.Body != "" && len(s.bh) != sha256.Size: // a seal covers no body
		s.misfit = fmt.Errorf("%w: of %d octets", ErrBodyHash, len(s.bh))
	}
}

func (s *signature) parseBodyHash(tags tagList) error {
	bh, ok := tags.get("bh")
	if !ok {
		return missing("bh")
	}
	data, err := decodeBase64(bh.value)
	if err != nil || len(data) == 0 {
		return invalid("bh", bh.value)
	}
	s.bh = data
	return nil
}

// prefix is the start of b= that distinguishes signatures: 8 characters suffice
// (RFC 6008 section 4).
func prefix(b []byte) string {
	var space [8]byte
	p := space[:0]
	for _, c := range b {
		if len(p) == cap(p) {
			break
		}
		if !isSpace(c) {
			p = append(p, c)
		}
	}
	return string(p)
}

// parseSigned parses h=, which must name From (RFC 6376 section 5.4).
func (s *signature) parseSigned(tags tagList) error {
	if err := s.parseList(tags); err != nil {
		return err
	}
	if !s.lists("From") {
		return ErrFromUnsigned
	}
	return nil
}

// parseList parses h= without requiring any name.
func (s *signature) parseList(tags tagList) error {
	h, ok := tags.get("h")
	if !ok {
		return missing("h")
	}
	s.names = h.value
	count := 0
	for list, more := h.value, true; more; {
		var name []byte
		name, list, more = cutItem(list)
		if bytes.ContainsAny(name, " \t\r\n") {
			return invalid("h", h.value)
		}
		count++
	}
	if count > maxSignedNames {
		return fmt.Errorf("%w: h= has %d names", ErrLimit, count)
	}
	return nil
}

// lists reports whether h= names a field.
func (s *signature) lists(name string) bool {
	for list, more := s.names, true; more; {
		var item []byte
		if item, list, more = cutItem(list); equalLower(name, item) {
			return true
		}
	}
	return false
}

func (s *signature) parseLength(tags tagList) error {
	l, ok := tags.get("l")
	if !ok {
		return nil
	}
	n, ok := number(l.value)
	if !ok {
		return invalid("l", l.value)
	}
	s.length = n
	return nil
}

// parseTimes parses t= and x=, seconds since 1970 (RFC 6376 section 3.5).
func (s *signature) parseTimes(tags tagList, now time.Time) error {
	created, err := parseCreated(tags)
	if err != nil {
		return err
	}
	x, ok := tags.get("x")
	if !ok {
		return nil
	}
	expires, ok := number(x.value)
	switch {
	case !ok:
		return invalid("x", x.value)
	case expires <= created:
		return fmt.Errorf("%w: x= is not after t=", ErrSyntax)
	case !now.IsZero() && now.Add(-ClockSkew).Unix() > expires:
		return fmt.Errorf("%w at %s", ErrExpired, time.Unix(expires, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// parseCreated parses t=; it returns -1 if there is none.
func parseCreated(tags tagList) (int64, error) {
	t, ok := tags.get("t")
	if !ok {
		return -1, nil
	}
	created, ok := number(t.value)
	if !ok {
		return -1, invalid("t", t.value)
	}
	return created, nil
}

// number parses an unsigned decimal. A value too large for its type counts as
// infinite: RFC 6376 section 3.5 allows l= of 76 digits.
func number(s []byte) (int64, bool) {
	n := int64(0)
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + int64(c-'0')
		}
	}
	return n, len(s) > 0
}

// parseQuery requires q= to include the only defined method (RFC 6376 section 3.5).
func parseQuery(tags tagList) error {
	if q, ok := tags.get("q"); ok && !hasItem(q.value, "dns/txt", "") {
		return fmt.Errorf("%w: q=%q", ErrUnsupported, quoted(q.value))
	}
	return nil
}
