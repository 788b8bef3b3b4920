package intake

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/spool"
)

// Origin is what is known about the origin of a mail or file.
type Origin struct {
	// Admin means that an admin supplied it, whose word counts.
	Admin bool
	// Trust and Author are the milter's verdict on the mail.
	Trust  spool.Trust
	Author string
	// TrustResults means that the mail has passed dmarcd, so that Authentication-Results fields under
	// our id are ours.
	TrustResults bool
	// Addresses are those of our report addresses that received it, as far as known.
	Addresses []string
}

// sender is what is known about the sender of a mail.
type sender struct {
	admin  bool
	failed bool
	domain dns.Name // that DMARC, or a signature that aligns, has authenticated; zero for none
}

// trust returns the trust in reports with that e-mail address in a mail of this sender, and the
// organizational domain that authenticated it. Product: RFC 9990 asks for a DMARC pass of a
// report's mail.
func (s sender) trust(email string, accepted func(auth, email dns.Name) bool) (analysis.Trust, dns.Name) {
	switch {
	case s.admin:
		return analysis.TrustAdmin, dns.Name{}
	case s.failed:
		return analysis.TrustFailed, dns.Name{}
	case s.domain.IsZero():
		return analysis.TrustUnknown, dns.Name{}
	}
	auth := orgName(s.domain.String())
	theirs := orgName(emailDomain(email))
	if !theirs.IsZero() && (theirs == auth || accepted(auth, theirs)) {
		return analysis.TrustAuthenticated, auth
	}
	return analysis.TrustOtherName, auth
}

// emailDomain returns the domain of an address in a report.
func emailDomain(email string) string {
	address := fromAddress(email)
	return address[strings.LastIndexByte(address, '@')+1:]
}

// orgName returns the organizational domain as a name; zero if invalid.
func orgName(domain string) dns.Name {
	name, err := dns.Parse(domain)
	if err != nil {
		return dns.Name{}
	}
	org, err := dns.Parse(OrgDomain(name.String()))
	if err != nil {
		return dns.Name{}
	}
	return org
}

// judgeResults evaluates Authentication-Results under our id (RFC 8601 section 2.2): the first
// with a DMARC result.
func judgeResults(head fields, ours []string) (s sender, told bool) {
	for _, f := range head {
		if !strings.EqualFold(f.name, "Authentication-Results") {
			continue
		}
		field, err := authres.Parse(f.value)
		if err != nil || !isOurs(field.AuthServID, ours) {
			continue
		}
		for i := range field.Items {
			it := &field.Items[i]
			if it.Method != "dmarc" {
				continue
			}
			name, err := dns.Parse(it.Get("header", "from"))
			if it.Result != "pass" || err != nil {
				return sender{failed: true}, true
			}
			return sender{domain: name}, true
		}
	}
	return sender{}, false
}

// isOurs compares ids literally, because dmarcd itself wrote the field.
func isOurs(id string, ours []string) bool {
	return slices.ContainsFunc(ours, func(our string) bool { return our != "" && strings.EqualFold(id, our) })
}

// Limits of the header of a mail for verification of its signatures.
const (
	maxSignedHeader = 512 << 10
	maxSignatures   = 5
)

// verifySignatures verifies DKIM signatures of a mail and looks for one that aligns with its
// author (RFC 9989 section 4.8). A failed signature proves nothing: keys are removed, and
// mailboxes change mails.
func verifySignatures(ctx context.Context, keys dkim.Resolver, mail []byte) sender {
	var h message.Header
	var v *dkim.Verifier
	size := 0
	author := message.Author{}
	err := message.Stream(bytes.NewReader(mail), message.Events{
		Field: func(name string, value []byte) {
			if size += len(name) + len(value); size > maxSignedHeader || len(h.Fields) >= 2*maxFields {
				h.Cut = true
				return
			}
			raw := append(append(append([]byte(name), ':'), value...), '\r', '\n')
			h.Fields = append(h.Fields, message.Field{Name: name, Raw: raw})
		},
		EndOfHeader: func() {
			author = message.ParseAuthor(&h)
			v = dkim.NewVerifier(ctx, keys, &h, dkim.Options{MaxSignatures: maxSignatures, Prefer: author.Domain})
		},
		Body: func(chunk []byte) bool {
			if !v.NeedsBody() {
				return false
			}
			_, err := v.Write(chunk)
			return err == nil
		},
	})
	if v == nil {
		return sender{}
	}
	defer v.Close()
	if err != nil || author.Domain.IsZero() {
		return sender{}
	}
	org := orgName(author.Domain.String())
	for _, r := range v.Results() {
		if r.Status == dkim.Pass && !r.Partial && orgName(r.Domain.String()) == org {
			return sender{domain: author.Domain}
		}
	}
	return sender{}
}
