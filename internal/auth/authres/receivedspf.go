package authres

import "net/netip"

// ReceivedSPF is the vendor's X-TM-Received-SPF field.
type ReceivedSPF struct {
	Result       string     // of RFC 8601 section 2.7.2, such as "softfail"; any other prints InternalError
	ClientIP     netip.Addr // zero prints "unknown"
	EnvelopeFrom string     // the whole address; "" for the null reverse-path
	Helo         string     // as sent; "" prints "none"
}

// Value returns the value of the field on one line, in the vendor's words. For a null
// sender it names the identity that SPF checks instead, postmaster at the HELO name (RFC
// 7208 section 2.4), and prints "envelope-from=none".
func (r ReceivedSPF) Value() string {
	var buf [1024]byte
	b := append(buf[:0], ' ')
	tmpl := receivedSPFTemplate(r.Result)
	for i := 0; i < len(tmpl); i++ {
		switch tmpl[i] {
		case '@':
			b = r.appendSender(b)
		case '#':
			b = appendIP(b, r.ClientIP)
		default:
			b = append(b, tmpl[i])
		}
	}
	b = append(b, " client-ip="...)
	b = appendIP(b, r.ClientIP)
	b = append(b, "; envelope-from="...)
	if r.EnvelopeFrom == "" {
		b = append(b, nothing...)
	} else {
		b = appendClean(b, r.EnvelopeFrom, maxAddress, isAddr)
	}
	b = append(b, "; helo="...)
	return string(appendNameOrNone(b, r.Helo))
}

func (r ReceivedSPF) appendSender(b []byte) []byte {
	if r.EnvelopeFrom != "" {
		return appendClean(b, r.EnvelopeFrom, maxAddress, isAddr)
	}
	b = append(b, "postmaster@"...)
	return appendNameOrNone(b, r.Helo)
}

// receivedSPFTemplate is the vendor's text for a result, verbatim: "@" is replaced by the
// sender, "#" by the client's address.
func receivedSPFTemplate(result string) string {
	switch result {
	case "pass":
		return "Pass (domain of @ designates # as permitted sender)"
	case "fail":
		return "Fail (domain of @ does not designates # as permitted sender)"
	case "softfail":
		return "SoftFail (domain of transitioning @ discourages use of # as permitted sender)"
	case "neutral":
		return "Neutral (# is neither permitted nor denied by domain of @)"
	case "none":
		return "None (domain of @ does not designate permitted sender hosts)"
	case "permerror":
		return "PermError (domain of @ uses mechanism not recognized by this client)"
	case "temperror":
		return "TempError (error in processing during lookup of @)"
	default:
		return "InternalError (fail to lookup of or get meaning result of @)"
	}
}
