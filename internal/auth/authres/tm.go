package authres

import "net/netip"

// Reason is what the DMARC form of X-TM-Authentication-Results states about the
// signatures.
type Reason string

// The vendor's three reasons. The zero Reason prints NoneProcessed.
const (
	Verified      Reason = "signatures verified"
	NoneVerified  Reason = "no verified signatures found"
	NoneProcessed Reason = "no processed signatures" // unsigned, malformed, or only temporary errors
)

// TMResult is the DMARC form of X-TM-Authentication-Results. Words are printed as given,
// an empty name as "none", a zero ClientIP as "unknown".
type TMResult struct {
	SPF        string // result in lower case
	ClientIP   netip.Addr
	MailFrom   string // domain; "" for the null sender
	DKIM       string // result of the signature of HeaderD
	Reason     Reason
	HeaderD    string // d= of that signature; "" if there is none
	DMARC      string // result
	Action     string // none, quarantine or reject: what this filter did
	HeaderFrom string // author domain
}

// Value returns the value of the field, folded by one blank so that it unfolds to the
// vendor's single line. It ends in ";".
func (r TMResult) Value() string {
	var buf [512]byte
	b := append(buf[:0], " spf="...)
	b = appendWord(b, r.SPF)
	b = append(b, " (sender IP address: "...)
	b = appendIP(b, r.ClientIP)
	b = append(b, ")"+fold+"smtp.mailfrom="...)
	b = appendNameOrNone(b, r.MailFrom)
	b = append(b, "; dkim="...)
	b = appendWord(b, r.DKIM)
	b = append(b, " ("...)
	switch r.Reason {
	case Verified, NoneVerified:
		b = append(b, r.Reason...)
	default:
		b = append(b, NoneProcessed...)
	}
	b = append(b, ") header.d="...)
	b = appendNameOrNone(b, r.HeaderD)
	b = append(b, ";"+fold+"dmarc="...)
	b = appendWord(b, r.DMARC)
	b = append(b, " action="...)
	b = appendWord(b, r.Action)
	b = append(b, " header.from="...)
	b = appendNameOrNone(b, r.HeaderFrom)
	return string(append(b, ';'))
}

// DKIMOutcome is the outcome of the standalone DKIM check.
type DKIMOutcome int

// Outcomes of the standalone DKIM check.
const (
	Unsigned      DKIMOutcome = iota // there was no signature
	Unprocessed                      // there were signatures, but none could be processed
	UnverifiedSig                    // some were processed, none verified
	VerifiedSig                      // one verified
)

// TMDKIM is the standalone DKIM form of X-TM-Authentication-Results. The vendor gave it
// the name of the DMARC form but another grammar.
type TMDKIM struct {
	Outcome  DKIMOutcome
	Enforced bool   // the sender is an enforced peer; matters only without a processed signature
	HeaderD  string // d=, s= and i= of the verified signature
	HeaderS  string
	HeaderI  string // "" prints the default "@" and HeaderD (RFC 6376 section 3.5)
}

// Value returns the value of the field. It has no leading blank: the vendor writes none
// after the colon.
func (d TMDKIM) Value() string {
	switch {
	case d.Outcome == VerifiedSig:
		return d.verified()
	case d.Outcome == UnverifiedSig:
		return "dkim=fail; No verified signatures"
	case d.Enforced:
		return "dkim=fail; No processed signatures but verification is enforced"
	case d.Outcome == Unprocessed:
		return "dkim=pass; No processed signatures and verification is not enforced"
	default:
		return "dkim=pass; No signatures and verification is not enforced"
	}
}

func (d TMDKIM) verified() string {
	var buf [512]byte
	b := append(buf[:0], "dkim=pass; Contain verified signature, header.d="...)
	b = appendNameOrNone(b, d.HeaderD)
	b = append(b, ", header.s="...)
	b = appendNameOrNone(b, d.HeaderS)
	b = append(b, ", header.i="...)
	if d.HeaderI == "" {
		b = append(b, '@')
		b = appendNameOrNone(b, d.HeaderD)
	} else {
		b = appendClean(b, d.HeaderI, maxAddress, isAddr)
	}
	return string(b)
}
