package outgoing

import (
	"fmt"
	"slices"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/destination"
	"dmarcd/internal/text"
)

// A wildcard in the DNS makes as many policy domains as a sender sends messages, each
// with as many destinations as a record holds: these bounds keep a little mail from
// causing many reports. Organizations are identified by the public suffix list, which
// they cannot change, unlike their DNS.
const (
	maxOrgMails = 100 // mails with the reports of one day on the domains of one organization
	maxOrgHosts = 3   // hosts of one organization that get one report
	maxReplaced = 3   // addresses that an outside host names in place of one
)

// bound holds deliveries beyond the bounds.
func (b *builder) bound(r *NewReport, domain dns.Name) {
	owner := dmarc.ListOrg(domain)
	hosts := map[dns.Name][]dns.Name{}
	for i := range r.Delivered {
		d := &r.Delivered[i]
		host, err := destination.Host(d.To)
		if err != nil || !d.State.Waiting() {
			continue
		}
		theirs := dmarc.ListOrg(host)
		known := slices.Contains(hosts[theirs], host)
		switch {
		case !known && len(hosts[theirs]) == maxOrgHosts:
			d.hold("the record names more than %d hosts of %s", maxOrgHosts, theirs)
		case b.mails[owner] == maxOrgMails:
			d.hold("more than %d mails about domains of %s on one day", maxOrgMails, owner)
		default:
			b.mails[owner]++
			if !known {
				hosts[theirs] = append(hosts[theirs], host)
			}
			continue
		}
		b.capped++
		b.over[owner] = true
	}
}

// overOne is one of the organizations that request too many mails.
func (b *builder) overOne() dns.Name {
	for name := range b.over {
		return name
	}
	return dns.Name{}
}

// hold marks a delivery as not sent because of a bound.
func (d *Delivery) hold(format string, args ...any) {
	d.State, d.Cause, d.Error, d.Due = StateCapped, CauseCapped, text.Cut(fmt.Sprintf(format, args...), maxErrorText), time.Time{}
}
