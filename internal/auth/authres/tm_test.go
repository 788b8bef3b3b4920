package authres

import (
	"net/netip"
	"strings"
	"testing"
)

func unfold(s string) string { return strings.ReplaceAll(s, "\r\n", "") }

// TestTMResult has the vendor's examples, unfolded, and what we add to them.
func TestTMResult(t *testing.T) {
	ip := netip.MustParseAddr
	tests := map[string]struct {
		r    TMResult
		want string
	}{
		"the seed's example": {
			TMResult{SPF: "fail", ClientIP: ip("10.204.148.40"), MailFrom: "test.com", DKIM: "pass", Reason: NoneProcessed, DMARC: "fail", Action: "reject", HeaderFrom: "test.com"},
			"X-TM-Authentication-Results: spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=test.com; dkim=pass (no processed signatures) header.d=none; dmarc=fail action=reject header.from=test.com;",
		},
		"guide, both pass": {
			TMResult{SPF: "pass", ClientIP: ip("10.210.128.20"), MailFrom: "example.com", DKIM: "pass", Reason: Verified, HeaderD: "example.com", DMARC: "pass", Action: "none", HeaderFrom: "example.com"},
			"X-TM-Authentication-Results: spf=pass (sender IP address: 10.210.128.20) smtp.mailfrom=example.com; dkim=pass (signatures verified) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		"guide, both fail": {
			TMResult{SPF: "fail", ClientIP: ip("10.204.148.40"), MailFrom: "example.com", DKIM: "fail", Reason: NoneVerified, HeaderD: "example.com", DMARC: "fail", Action: "none", HeaderFrom: "example.com"},
			"X-TM-Authentication-Results: spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=example.com; dkim=fail (no verified signatures found) header.d=example.com; dmarc=fail action=none header.from=example.com;",
		},
		"guide, DKIM passes": {
			TMResult{SPF: "fail", ClientIP: ip("10.204.148.40"), MailFrom: "example.com", DKIM: "pass", Reason: Verified, HeaderD: "example.com", DMARC: "pass", Action: "none", HeaderFrom: "example.com"},
			"X-TM-Authentication-Results: spf=fail (sender IP address: 10.204.148.40) smtp.mailfrom=example.com; dkim=pass (signatures verified) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		"guide, SPF passes": {
			TMResult{SPF: "pass", ClientIP: ip("10.204.128.20"), MailFrom: "example.com", DKIM: "fail", Reason: NoneVerified, HeaderD: "example.com", DMARC: "pass", Action: "none", HeaderFrom: "example.com"},
			"X-TM-Authentication-Results: spf=pass (sender IP address: 10.204.128.20) smtp.mailfrom=example.com; dkim=fail (no verified signatures found) header.d=example.com; dmarc=pass action=none header.from=example.com;",
		},
		"null sender, IPv6": {
			TMResult{SPF: "none", ClientIP: ip("2001:DB8::A"), DKIM: "none", DMARC: "none", Action: "quarantine", HeaderFrom: "example.com"},
			"X-TM-Authentication-Results: spf=none (sender IP address: 2001:db8::a) smtp.mailfrom=none; dkim=none (no processed signatures) header.d=none; dmarc=none action=quarantine header.from=example.com;",
		},
		"mapped address": {
			TMResult{ClientIP: ip("::ffff:192.0.2.1")},
			"X-TM-Authentication-Results: spf=none (sender IP address: 192.0.2.1) smtp.mailfrom=none; dkim=none (no processed signatures) header.d=none; dmarc=none action=none header.from=none;",
		},
		"zero": {
			TMResult{},
			"X-TM-Authentication-Results: spf=none (sender IP address: unknown) smtp.mailfrom=none; dkim=none (no processed signatures) header.d=none; dmarc=none action=none header.from=none;",
		},
		"unknown reason": {
			TMResult{Reason: "x); dmarc=pass ("},
			"X-TM-Authentication-Results: spf=none (sender IP address: unknown) smtp.mailfrom=none; dkim=none (no processed signatures) header.d=none; dmarc=none action=none header.from=none;",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := TMFieldName + ":" + tt.r.Value()
			if unfold(got) != tt.want {
				t.Errorf("got\n%s, want\n%s", unfold(got), tt.want)
			}
		})
	}
}

func TestTMResultFolds(t *testing.T) {
	r := TMResult{SPF: "fail", ClientIP: netip.MustParseAddr("10.204.148.40"), MailFrom: "test.com", DKIM: "pass", DMARC: "fail", Action: "reject", HeaderFrom: "test.com"}
	want := " spf=fail (sender IP address: 10.204.148.40)\r\n" +
		" smtp.mailfrom=test.com; dkim=pass (no processed signatures) header.d=none;\r\n" +
		" dmarc=fail action=reject header.from=test.com;"
	if got := r.Value(); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestTMResultInjection(t *testing.T) {
	for _, text := range hostile {
		if text == "" {
			continue
		}
		r := TMResult{SPF: text, MailFrom: text, DKIM: text, Reason: Reason(text), HeaderD: text, DMARC: text, Action: text, HeaderFrom: text}
		v := r.Value()
		checkLines(t, TMFieldName, v)
		if strings.Count(v, ";") != 3 || strings.Count(v, "(") != 2 || strings.Count(v, ")") != 2 || strings.Count(v, "=") != 7 || strings.ContainsAny(v, `"\<>`) {
			t.Errorf("%q gives\n%s", text, v)
		}
		if want := " header.from=" + sanitizedBare(text, 255, nameChars) + ";"; !strings.HasSuffix(v, want) {
			t.Errorf("%q gives\n%s, want at its end %q", text, v, want)
		}
	}
}

func TestTMDKIM(t *testing.T) {
	tests := map[string]struct {
		d    TMDKIM
		want string
	}{
		"unsigned":              {TMDKIM{}, "X-TM-Authentication-Results:dkim=pass; No signatures and verification is not enforced"},
		"unprocessed":           {TMDKIM{Outcome: Unprocessed}, "X-TM-Authentication-Results:dkim=pass; No processed signatures and verification is not enforced"},
		"unprocessed, enforced": {TMDKIM{Outcome: Unprocessed, Enforced: true}, "X-TM-Authentication-Results:dkim=fail; No processed signatures but verification is enforced"},
		"unsigned, enforced":    {TMDKIM{Enforced: true}, "X-TM-Authentication-Results:dkim=fail; No processed signatures but verification is enforced"},
		"unverified":            {TMDKIM{Outcome: UnverifiedSig}, "X-TM-Authentication-Results:dkim=fail; No verified signatures"},
		"unverified, enforced":  {TMDKIM{Outcome: UnverifiedSig, Enforced: true}, "X-TM-Authentication-Results:dkim=fail; No verified signatures"},
		"verified": {
			TMDKIM{Outcome: VerifiedSig, HeaderD: "test.com", HeaderS: "TM-DKIM_201603291435", HeaderI: "sender@test.com"},
			"X-TM-Authentication-Results:dkim=pass; Contain verified signature, header.d=test.com, header.s=TM-DKIM_201603291435, header.i=sender@test.com",
		},
		"verified, enforced, no identity": {
			TMDKIM{Outcome: VerifiedSig, Enforced: true, HeaderD: "test.com", HeaderS: "s1"},
			"X-TM-Authentication-Results:dkim=pass; Contain verified signature, header.d=test.com, header.s=s1, header.i=@test.com",
		},
		"an identity with everything an atom may hold": {
			TMDKIM{Outcome: VerifiedSig, HeaderD: "test.com", HeaderS: "s1", HeaderI: "a!#$%&'*+-/=?^_`{|}~.b@test.com"},
			"X-TM-Authentication-Results:dkim=pass; Contain verified signature, header.d=test.com, header.s=s1, header.i=a!#$%&'*+-/=?^_`{|}~.b@test.com",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := TMFieldName + ":" + tt.d.Value(); got != tt.want {
				t.Errorf("got\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestTMDKIMInjection(t *testing.T) {
	for _, text := range hostile {
		v := TMDKIM{Outcome: VerifiedSig, HeaderD: text, HeaderS: text, HeaderI: text}.Value()
		checkLines(t, TMFieldName, v)
		if strings.Count(v, ";") != 1 || strings.Count(v, ",") != 3 || strings.ContainsAny(v, `"\<>()`) || strings.Count(v, " ") != 6 {
			t.Errorf("%q gives\n%s", text, v)
		}
	}
}

// TestReceivedSPF has the vendor's example for each result, and its common tail.
func TestReceivedSPF(t *testing.T) {
	const tail = " client-ip=10.64.72.206; envelope-from=example_address@example.com; helo=mailserver.example.com"
	tests := map[string]string{
		"pass":      "X-TM-Received-SPF: Pass (domain of example_address@example.com designates 10.64.72.206 as permitted sender)" + tail,
		"fail":      "X-TM-Received-SPF: Fail (domain of example_address@example.com does not designates 10.64.72.206 as permitted sender)" + tail,
		"softfail":  "X-TM-Received-SPF: SoftFail (domain of transitioning example_address@example.com discourages use of 10.64.72.206 as permitted sender)" + tail,
		"neutral":   "X-TM-Received-SPF: Neutral (10.64.72.206 is neither permitted nor denied by domain of example_address@example.com)" + tail,
		"none":      "X-TM-Received-SPF: None (domain of example_address@example.com does not designate permitted sender hosts)" + tail,
		"permerror": "X-TM-Received-SPF: PermError (domain of example_address@example.com uses mechanism not recognized by this client)" + tail,
		"temperror": "X-TM-Received-SPF: TempError (error in processing during lookup of example_address@example.com)" + tail,
		"":          "X-TM-Received-SPF: InternalError (fail to lookup of or get meaning result of example_address@example.com)" + tail,
		"pass\r\nX": "X-TM-Received-SPF: InternalError (fail to lookup of or get meaning result of example_address@example.com)" + tail,
	}
	for result, want := range tests {
		t.Run("result "+result, func(t *testing.T) {
			r := ReceivedSPF{Result: result, ClientIP: netip.MustParseAddr("10.64.72.206"), EnvelopeFrom: "example_address@example.com", Helo: "mailserver.example.com"}
			if got := ReceivedSPFName + ":" + r.Value(); got != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestReceivedSPFEdges(t *testing.T) {
	ip := netip.MustParseAddr("2001:db8::1")
	tests := map[string]struct {
		r    ReceivedSPF
		want string
	}{
		"null sender": {
			ReceivedSPF{Result: "none", ClientIP: ip, Helo: "mail.example.com"},
			" None (domain of postmaster@mail.example.com does not designate permitted sender hosts) client-ip=2001:db8::1; envelope-from=none; helo=mail.example.com",
		},
		"nothing known": {
			ReceivedSPF{Result: "temperror"},
			" TempError (error in processing during lookup of postmaster@none) client-ip=unknown; envelope-from=none; helo=none",
		},
		"legitimate and strange": {
			ReceivedSPF{Result: "temperror", ClientIP: ip, EnvelopeFrom: "prvs=1234=a+b/c?d@[192.0.2.1]", Helo: "[IPv6:2001:db8::1]"},
			" TempError (error in processing during lookup of prvs=1234=a+b/c?d@[192.0.2.1]) client-ip=2001:db8::1; envelope-from=prvs=1234=a+b/c?d@[192.0.2.1]; helo=[IPv6:2001:db8::1]",
		},
		"the tokens of the templates": {
			ReceivedSPF{Result: "neutral", ClientIP: ip, EnvelopeFrom: "#@#", Helo: "@#"},
			" Neutral (2001:db8::1 is neither permitted nor denied by domain of #@#) client-ip=2001:db8::1; envelope-from=#@#; helo=@#",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.r.Value(); got != tt.want {
				t.Errorf("got\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestReceivedSPFInjection(t *testing.T) {
	for _, text := range hostile {
		v := ReceivedSPF{Result: "pass", EnvelopeFrom: text, Helo: text}.Value()
		checkLines(t, ReceivedSPFName, v)
		from := sanitizedBare(text, 254, addrChars)
		want := " Pass (domain of " + from + " designates unknown as permitted sender) client-ip=unknown; envelope-from=" + from +
			"; helo=" + sanitizedBare(text, 255, nameChars)
		if v != want {
			t.Errorf("got\n%s, want\n%s", v, want)
		}
	}
}

// sanitizedBare is sanitized without quoting.
func sanitizedBare(s string, most int, keep string) string {
	if strings.Trim(s, keep) == "" && len(s) <= most {
		return s
	}
	return sanitized(s, most, keep)
}
