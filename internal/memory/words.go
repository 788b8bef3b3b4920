package memory

import (
	"errors"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// otherWord precedes a word that has no code.
const otherWord = 0xff

// words are the common words of records; a word's index is its code. Append only: stored
// records contain the codes.
func words() []string {
	return []string{
		"", "pass", "fail", "none", "neutral", "softfail", "temperror", "permerror", "policy",
		"mailfrom", "helo", "aligned", "unaligned", "unknown",
		"quarantine", "reject", "bypass", "defer", "discard",
		"p", "sp", "np", "r", "s", "y", "n", "u",
		"simple", "relaxed", "rsa-sha256", "ed25519-sha256", "rsa-sha1",
		"sender_ip_match", "spf", "dkim", "trusted_forwarder", "arc", "published_policy", "no_record",
		"enforced_peer", "multiple_from", "disabled", "exception", "sender_not_listed", "null_sender",
		"mixed_recipients", "forged_fields",
		policy.RuleActionNone, policy.RuleActionQuarantine, policy.RuleActionReject, policy.RuleActionNoRecord,
		policy.RuleActionTemperror, policy.RuleEnforcedPeers, policy.RuleEnforcedPeerAction, policy.RuleMultipleFrom,
		policy.RuleEnabled, policy.RuleExceptions, policy.RuleSenders, policy.RuleSkipNullSender,
		policy.RuleTrustedForwarders, policy.RuleTrustedSealers, policy.RuleNoRecordWhen, policy.RuleDeferLimit,
		"enforce", "monitor", "hold", "header", "redirect",
		"TXT", "A", "AAAA", "MX", "PTR", "nxdomain", "nodata", "temporary",
		"5.7.1", "5.7.23", "5.7.20", "4.5.3", "4.7.0",
		"match", "no match", "error", "rfc", "hes",
	}
}

// wordTable looks words up both ways.
type wordTable struct {
	list  []string
	codes map[string]byte
}

var wordsKnown = newWordTable() // never changed

func newWordTable() wordTable {
	t := wordTable{list: words(), codes: map[string]byte{}}
	for i, w := range t.list {
		t.codes[w] = byte(i)
	}
	return t
}

func wordCode(s string) (byte, bool) {
	c, ok := wordsKnown.codes[s]
	return c, ok
}

func wordOf(code byte) (string, bool) {
	if int(code) >= len(wordsKnown.list) {
		return "", false
	}
	return wordsKnown.list[code], true
}

// causes are the errors that a stored error still matches by errors.Is; an error's index
// is its code. Append only, up to 64.
func causes() []error {
	return []error{
		dns.ErrNXDomain, dns.ErrNoData, dns.ErrTemporary,
		dkim.ErrSyntax, dkim.ErrUnsupported, dkim.ErrFromUnsigned, dkim.ErrIdentity, dkim.ErrExpired,
		dkim.ErrNoKey, dkim.ErrKeySyntax, dkim.ErrKeyRevoked, dkim.ErrKeyUnfit, dkim.ErrKeyLookup, dkim.ErrKeySize,
		dkim.ErrSignature, dkim.ErrBodyHash, dkim.ErrBodyLength, dkim.ErrPartial, dkim.ErrLimit, dkim.ErrHeaderCut,
		spf.ErrSyntax, spf.ErrRecordSize, spf.ErrMultipleRecords, spf.ErrNoRecord, spf.ErrTarget,
		spf.ErrLookupLimit, spf.ErrVoidLimit, spf.ErrMXLimit,
		arc.ErrStructure, arc.ErrBroken, arc.ErrMessageSignature, arc.ErrSeal, arc.ErrLimit, arc.ErrHeaderCut, arc.ErrGivenUp,
		dmarc.ErrNoAuthor, dmarc.ErrUnusable, dmarc.ErrUndecided, dmarc.ErrNotDMARC, dmarc.ErrSeveralRecords,
		message.ErrNoFrom, message.ErrNoAddress, message.ErrSeveralFields, message.ErrSeveralAddresses, message.ErrBadFrom,
		dns.ErrQueryLimit, spf.ErrQueryLimit,
	}
}

var causesKnown = causes() // never changed

// Reported is an error as it was when the message was judged: its text, and what it
// matches by errors.Is. It wraps nothing.
type Reported struct {
	Text   string
	causes uint64 // a bit for each of causes()
}

// Error is the text.
func (e *Reported) Error() string { return e.Text }

// Is reports whether the error was target.
func (e *Reported) Is(target error) bool {
	for i, c := range causesKnown {
		if c == target {
			return e.causes&(1<<i) != 0
		}
	}
	return false
}

func (w *writer) error(err error) {
	if err == nil {
		w.uint(0)
		return
	}
	var set uint64
	if r := (*Reported)(nil); errors.As(err, &r) {
		set = r.causes
	} else {
		for i, c := range causesKnown {
			if errors.Is(err, c) {
				set |= 1 << i
			}
		}
	}
	text := err.Error()
	w.uint(uint64(len(text[:min(len(text), maxErrorText)])) + 1)
	w.b = append(w.b, text[:min(len(text), maxErrorText)]...)
	w.uint(set)
}

func (r *reader) error() error {
	n := r.uint()
	if n == 0 || r.err != nil {
		return nil
	}
	text := r.take(n - 1)
	e := &Reported{Text: text, causes: r.uint()}
	if r.err != nil {
		return nil
	}
	return e
}
