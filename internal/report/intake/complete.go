package intake

import (
	"fmt"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
)

// completer adds the owner and the sender's trust to what was read.
type completer struct {
	settings *settings.Settings
	managed  analysis.Managed
	ours     []string // authserv-ids of ours
	accepted func(auth, email dns.Name) bool
	keys     dkim.Resolver // nil: no signature is verified
}

func newCompleter(s *settings.Settings, keys dkim.Resolver) *completer {
	return &completer{
		settings: s, managed: analysis.ManagedBy(s), keys: keys,
		ours: append([]string{s.AuthServID}, s.RemoveAuthServIDs...),
	}
}

// known returns the sender of a mail, if it is known without its signatures.
func (c *completer) known(o *Origin, mail []byte) (from sender, known bool) {
	switch {
	case o.Admin:
		return sender{admin: true}, true
	case o.Trust == spool.Failed:
		return sender{failed: true}, true
	case o.Trust == spool.Authenticated:
		name, _ := dns.Parse(o.Author)
		return sender{domain: name}, true
	case o.TrustResults:
		head, _ := readHeader(mail)
		return judgeResults(head, c.ours)
	}
	return sender{}, c.keys == nil
}

// complete completes each report of an item.
func (c *completer) complete(item *analysis.Item, o *Origin, from sender) {
	customers, recipient := c.customers(o.Addresses)
	for i := range item.Reports {
		r := &item.Reports[i]
		r.Recipient = recipient
		r.Trust, r.AuthDomain = from.trust(r.Metadata.Email, c.accepted)
		name, err := dns.Parse(r.Policy.Domain)
		if err == nil {
			r.Domain = c.managed.Owner(name)
		}
		if r.Metadata.End.After(item.TakenAt) && !r.Metadata.End.IsZero() {
			r.Flags |= analysis.FlagFuture
			r.Notes = append(r.Notes, report.Note{Kind: report.NotePeriod, Value: "the period ends in the future", Count: 1})
		}
		switch {
		case r.Status == analysis.StatusRefused:
		case r.Domain.IsZero():
			r.Status, r.Why = analysis.StatusAside, "not managed: "+cut(r.Policy.Domain)
		case customers != nil && !atOrBelow(name, customers):
			r.Status, r.Why = analysis.StatusAside, fmt.Sprintf("not a domain of %s: %s", recipient, cut(r.Policy.Domain))
		}
	}
}

// customers returns the domains whose reports may come to these addresses; nil for any.
func (c *completer) customers(addresses []string) (domains []dns.Name, recipient string) {
	for _, a := range addresses {
		some, known := analysis.Customer(c.settings, a)
		switch {
		case !known:
		case some == nil: // an address for all
			return nil, a
		default:
			domains = append(domains, some...)
			if recipient == "" {
				recipient = a
			}
		}
	}
	return domains, recipient
}

func atOrBelow(name dns.Name, list []dns.Name) bool {
	for _, n := range list {
		if name == n || name.IsBelow(n) {
			return true
		}
	}
	return false
}

// recipientsOf returns those of our addresses that a stored mail names as its recipient: in the
// fields that an MTA adds at delivery, otherwise in To and Cc.
func (c *completer) recipientsOf(mail []byte) []string {
	head, _ := readHeader(mail)
	for _, names := range [][]string{{"Delivered-To", "X-Original-To", "Envelope-To"}, {"To", "Cc"}} {
		var found []string
		for _, f := range head {
			for _, name := range names {
				if strings.EqualFold(f.name, name) {
					found = append(found, c.among(f.value)...)
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func (c *completer) among(value string) []string {
	const most = 50
	var found []string
	for i, one := range strings.SplitN(value, ",", most) {
		if i == most-1 {
			break
		}
		address := strings.ToLower(fromAddress(one))
		if _, ours := analysis.Customer(c.settings, address); ours {
			found = append(found, address)
		}
	}
	return found
}
