package report

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"dmarcd/internal/text"
)

// ErrBadKey is returned for octets that are not a row key.
var ErrBadKey = errors.New("report: not the key of a row")

// keyVersion is the first octet of a key. Keys of other versions are refused, never
// misread.
const keyVersion = 1

// maxKey bounds the keys that are read; written ones are shorter.
const maxKey = 256 << 10

// Format of a key: version, flags, the address, the words as one octet each, then the texts.
// A text is its length times two, or, if the same text occurred before in this key, its
// number times two plus one, as a uvarint.
const (
	flagIPv4 = 1 << iota
	flagIPv6
	flagNullSender
	flagSPF
)

// The words by code, which is their index: append only.
var (
	dispositionCodes = [...]Disposition{"", DispositionNone, DispositionPass, DispositionQuarantine, DispositionReject}
	dmarcResultCodes = [...]DMARCResult{"", DMARCPass, DMARCFail}
	resultCodes      = [...]Result{"", ResultNone, ResultPass, ResultFail, ResultSoftfail, ResultPolicy, ResultNeutral, ResultTemperror, ResultPermerror}
	scopeCodes       = [...]Scope{"", ScopeMFrom, ScopeHelo}
	reasonCodes      = [...]ReasonType{"", ReasonLocalPolicy, ReasonMailingList, ReasonOther, ReasonPolicyTestMode, ReasonTrustedForwarder, ReasonForwarded, ReasonSampledOut}
)

// AppendKey appends to b the key of the row: everything except Count. Two rows have the same
// key exactly if a report would print them the same. It serves to store rows and sum their
// counts; ParseKey reads it back. Texts are tidied and bounded as in a report; signatures
// beyond MaxDKIM and reasons beyond 16 are omitted, and an unknown word counts as absent.
func (r *Row) AppendKey(b []byte) []byte {
	w := keyWriter{b: append(b, keyVersion, 0)}
	flags := len(b) + 1
	switch ip := r.SourceIP.Unmap(); {
	case ip.Is4():
		w.b[flags] |= flagIPv4
		a := ip.As4()
		w.b = append(w.b, a[:]...)
	case ip.Is6():
		w.b[flags] |= flagIPv6
		a := ip.As16()
		w.b = append(w.b, a[:]...)
	}
	w.b = append(w.b, code(dispositionCodes[:], r.Disposition), code(dmarcResultCodes[:], r.DKIM)<<4|code(dmarcResultCodes[:], r.SPF))
	w.text(r.HeaderFrom, maxName)
	w.text(r.EnvelopeFrom, maxName)
	if r.NullSender && text.XML(r.EnvelopeFrom, maxName) == "" {
		w.b[flags] |= flagNullSender
	}
	w.text(r.EnvelopeTo, maxName)
	if s := r.AuthSPF; s != nil {
		w.b[flags] |= flagSPF
		w.b = append(w.b, code(scopeCodes[:], s.Scope)<<4|code(resultCodes[:], s.Result))
		w.text(s.Domain, maxName)
		w.text(s.HumanResult, maxComment)
	}
	dkim := r.AuthDKIM[:min(len(r.AuthDKIM), MaxDKIM)]
	w.b = append(w.b, byte(len(dkim)))
	for i := range dkim {
		w.b = append(w.b, code(resultCodes[:], dkim[i].Result))
		w.text(dkim[i].Domain, maxName)
		w.text(dkim[i].Selector, maxName)
		w.text(dkim[i].HumanResult, maxComment)
	}
	reasons := r.Reasons[:min(len(r.Reasons), maxReasons)]
	w.b = append(w.b, byte(len(reasons)))
	for i := range reasons {
		w.b = append(w.b, code(reasonCodes[:], reasons[i].Type))
		w.text(reasons[i].Comment, maxComment)
	}
	return w.b
}

// code returns the index of word in the list, 0 if it is not there.
func code[W ~string](list []W, word W) byte {
	for i := range list {
		if list[i] == word {
			return byte(i)
		}
	}
	return 0
}

// keyWriter appends texts, each once. It compares the first few without allocating; a row
// rarely has more.
type keyWriter struct {
	b     []byte
	first [8]string
	n     int
	rest  map[string]int
}

func (w *keyWriter) text(s string, most int) {
	s = text.XML(s, most)
	if i := w.find(s); i >= 0 {
		w.b = binary.AppendUvarint(w.b, uint64(i)<<1|1)
		return
	}
	w.b = binary.AppendUvarint(w.b, uint64(len(s))<<1)
	w.b = append(w.b, s...)
	if s == "" { // writing it out is as short
		return
	}
	if w.n < len(w.first) {
		w.first[w.n] = s
	} else {
		if w.rest == nil {
			w.rest = make(map[string]int)
		}
		w.rest[s] = w.n
	}
	w.n++
}

// find returns the number of an earlier text, or -1.
func (w *keyWriter) find(s string) int {
	if s == "" {
		return -1
	}
	for i := range min(w.n, len(w.first)) {
		if w.first[i] == s {
			return i
		}
	}
	if i, ok := w.rest[s]; ok {
		return i
	}
	return -1
}

// ParseKey parses a key of AppendKey; Count is 0. Any other octets are an error that wraps
// ErrBadKey: a parsed key encodes to the same octets again.
func ParseKey(b []byte) (Row, error) {
	if len(b) > maxKey || len(b) < 2 || b[0] != keyVersion {
		return Row{}, ErrBadKey
	}
	k := keyReader{b: b[2:]}
	r := k.row(b[1])
	if k.bad || len(k.b) > 0 {
		return Row{}, ErrBadKey
	}
	var room [512]byte
	if !bytes.Equal(r.AppendKey(room[:0]), b) {
		return Row{}, ErrBadKey
	}
	return r, nil
}

// keyReader parses a key; after a fault it returns zero values.
type keyReader struct {
	b     []byte
	texts []string
	bad   bool
}

func (k *keyReader) row(flags byte) Row {
	var r Row
	switch {
	case flags&flagIPv4 != 0:
		r.SourceIP, _ = netip.AddrFromSlice(k.take(4))
	case flags&flagIPv6 != 0:
		r.SourceIP, _ = netip.AddrFromSlice(k.take(16))
	}
	r.Disposition = word(k, dispositionCodes[:], k.octet())
	verdicts := k.octet()
	r.DKIM = word(k, dmarcResultCodes[:], verdicts>>4)
	r.SPF = word(k, dmarcResultCodes[:], verdicts&15)
	r.HeaderFrom = k.text()
	r.EnvelopeFrom = k.text()
	r.NullSender = flags&flagNullSender != 0
	r.EnvelopeTo = k.text()
	if flags&flagSPF != 0 {
		words := k.octet()
		r.AuthSPF = &SPFResult{Scope: word(k, scopeCodes[:], words>>4), Result: word(k, resultCodes[:], words&15), Domain: k.text(), HumanResult: k.text()}
	}
	if n := k.count(MaxDKIM); n > 0 {
		r.AuthDKIM = make([]DKIMResult, n)
	}
	for i := range r.AuthDKIM {
		r.AuthDKIM[i] = DKIMResult{Result: word(k, resultCodes[:], k.octet()), Domain: k.text(), Selector: k.text(), HumanResult: k.text()}
	}
	if n := k.count(maxReasons); n > 0 {
		r.Reasons = make([]Reason, n)
	}
	for i := range r.Reasons {
		r.Reasons[i] = Reason{Type: word(k, reasonCodes[:], k.octet()), Comment: k.text()}
	}
	return r
}

func (k *keyReader) take(n int) []byte {
	if k.bad || n > len(k.b) {
		k.bad = true
		return nil
	}
	out := k.b[:n]
	k.b = k.b[n:]
	return out
}

func (k *keyReader) octet() byte {
	if b := k.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (k *keyReader) count(most int) int {
	n := int(k.octet())
	if n > most {
		k.bad = true
		return 0
	}
	return n
}

func (k *keyReader) text() string {
	v, n := binary.Uvarint(k.b)
	if k.bad || n <= 0 || v>>1 > maxComment {
		k.bad = true
		return ""
	}
	k.b = k.b[n:]
	if v&1 == 0 {
		s := string(k.take(int(v >> 1)))
		if s != "" {
			k.texts = append(k.texts, s)
		}
		return s
	}
	if i := int(v >> 1); i < len(k.texts) {
		return k.texts[i]
	}
	k.bad = true
	return ""
}

func word[W ~string](k *keyReader, list []W, c byte) W {
	if int(c) >= len(list) {
		k.bad = true
		return ""
	}
	return list[c]
}
