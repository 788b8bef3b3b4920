package authres

import (
	"net/netip"
	"strconv"
)

// Results is the content of one Authentication-Results field. A zero part, except
// AuthServID, was not checked and is not mentioned.
type Results struct {
	AuthServID string // from the configuration (RFC 8601 section 2.5)
	SPF        *SPF
	DKIM       []DKIM // one for each signature, in the order to print
	Unsigned   bool   // DKIM was checked and found no signature: "dkim=none". Ignored if DKIM is set
	ARC        *ARC
	DMARC      *DMARC
}

// SPF is an spf item, RFC 8601 section 2.7.2.
type SPF struct {
	Result   string // such as "pass"; "" prints "none"
	MailFrom string // domain of MAIL FROM; "" for the null reverse-path or if it is no domain
	Helo     string // printed only without MailFrom; "" if it was no domain
	Reason   string // our own words, never from the network; "" for none
}

// DKIM is the dkim item of one signature (RFC 8601 section 2.7.1). An empty property is
// not printed.
type DKIM struct {
	Result    string // such as "pass"; "" prints "none"
	Domain    string // header.d
	Selector  string // header.s
	Algorithm string // header.a
	B         string // header.b, the start of b= (RFC 6008)
	Reason    string // our own words, never from the network; "" for none
}

// ARC is an arc item, RFC 8617 section 6.
type ARC struct {
	Result     string     // pass, fail or none; "" prints "none"
	RemoteIP   netip.Addr // the client; not printed if zero
	OldestPass int        // RFC 8617 section 5.2; 0 if all passed. Printed with pass only
	Reason     string     // our own words, never from the network; "" for none
}

// DMARC is a dmarc item, RFC 9989 sections 9.1 and 9.2.
type DMARC struct {
	Result string // none, pass, fail, temperror or permerror; "" prints "none"
	From   string // author domain; "" if there is no single one
	Policy string // the policy that applies, after sp, np and t; "" without a record
	Reason string // our own words, never from the network; "" for none
}

// Value returns the value of the field, one item per line. A field without items prints
// "none" after the authserv-id (RFC 8601 section 2.2).
func (r Results) Value() string {
	var buf [1024]byte // on the stack: enough for ten signatures of normal length
	b := append(buf[:0], ' ')
	b = appendID(b, r.AuthServID)
	if r.SPF == nil && len(r.DKIM) == 0 && !r.Unsigned && r.ARC == nil && r.DMARC == nil {
		return string(append(b, "; none"...))
	}
	if r.SPF != nil {
		b = r.SPF.append(b)
	}
	for i := range r.DKIM {
		b = r.DKIM[i].append(b)
	}
	if len(r.DKIM) == 0 && r.Unsigned {
		b = appendItem(b, "dkim", nothing, "")
	}
	if r.ARC != nil {
		b = r.ARC.append(b)
	}
	if r.DMARC != nil {
		b = r.DMARC.append(b)
	}
	return string(b)
}

func (s *SPF) append(b []byte) []byte {
	b = appendItem(b, "spf", s.Result, s.Reason)
	if s.MailFrom != "" {
		return appendProp(b, "smtp.mailfrom", s.MailFrom, maxName)
	}
	return appendProp(b, "smtp.helo", s.Helo, maxName)
}

func (d *DKIM) append(b []byte) []byte {
	b = appendItem(b, "dkim", d.Result, d.Reason)
	b = appendProp(b, "header.d", d.Domain, maxName)
	b = appendProp(b, "header.s", d.Selector, maxName)
	b = appendProp(b, "header.a", d.Algorithm, maxShort)
	return appendProp(b, "header.b", d.B, maxShort)
}

func (a *ARC) append(b []byte) []byte {
	b = appendItem(b, "arc", a.Result, a.Reason)
	switch ip := a.RemoteIP.Unmap().WithZone(""); {
	case ip.Is4():
		b = ip.AppendTo(append(b, " smtp.remote-ip="...))
	case ip.Is6(): // the colons require quotes
		b = append(ip.AppendTo(append(b, ` smtp.remote-ip="`...)), '"')
	}
	if a.Result == "pass" && a.OldestPass >= 0 {
		b = append(b, " header.oldest-pass="...)
		b = strconv.AppendInt(b, int64(a.OldestPass), 10)
	}
	return b
}

func (d *DMARC) append(b []byte) []byte {
	b = appendItem(b, "dmarc", d.Result, d.Reason)
	b = appendProp(b, "header.from", d.From, maxName)
	if d.Policy != "" {
		b = append(b, " policy.dmarc="...)
		b = appendWord(b, d.Policy)
	}
	return b
}

// appendItem starts a resinfo on its own line.
func appendItem(b []byte, method, result, reason string) []byte {
	b = append(b, ";"+fold...)
	b = append(b, method...)
	b = append(b, '=')
	b = appendWord(b, result)
	if reason == "" {
		return b
	}
	b = append(b, ` reason="`...)
	b = appendClean(b, reason, maxText, isText)
	return append(b, '"')
}

// appendProp appends a propspec, or nothing if the value is empty.
func appendProp(b []byte, name, value string, most int) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, '=')
	return appendPvalue(b, value, most)
}
