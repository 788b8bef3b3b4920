package source_test

import (
	"slices"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/source"
)

func TestForwards(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    source.Kind
		traffic source.Traffic
		want    source.Forwarding
		why     source.ForwardEvidence // among others
	}{
		{"nothing", "", source.Traffic{}, source.ForwardingNone, ""},
		{
			"signature whole, envelope rewritten, small counts", source.KindMailbox,
			source.Traffic{Messages: 12, DKIMAligned: 12, Rewritten: 12, Records: 9, Reporters: 2}, source.Forwarder, source.ForwardRewritten,
		},
		{
			"signature whole, envelope kept, many reporters", source.KindAccess,
			source.Traffic{Messages: 90, DKIMAligned: 85, Kept: 90, Records: 10, Reporters: 4}, source.Forwarder, source.ForwardKept,
		},
		{
			"reporters say so, signature broken", "",
			source.Traffic{Messages: 10, Forwarded: 9, Kept: 10, Records: 4, Reporters: 1}, source.Forwarder, source.ForwardReason,
		},
		{"ARC", "", source.Traffic{Messages: 10, DKIMAligned: 10, ARC: 10, Records: 1, Reporters: 1}, source.Forwarder, source.ForwardARC},
		{"a list", "", source.Traffic{Messages: 10, Listed: 10, Rewritten: 10, Records: 2, Reporters: 1}, source.MailingList, source.ForwardList},
		{
			"a new server, or a forwarder", "",
			source.Traffic{Messages: 9, DKIMAligned: 9, Kept: 9, Records: 9, Reporters: 4}, source.ForwardingNone, "",
		},
		{
			"a small service, or a forwarder", "",
			source.Traffic{Messages: 9, DKIMAligned: 9, Rewritten: 9, Records: 9, Reporters: 4}, source.ForwardingNone, "",
		},
		{
			"a service that sends with the customer's signature", source.KindDelivery,
			source.Traffic{Messages: 12, DKIMAligned: 12, Rewritten: 12, Records: 9, Reporters: 5}, source.ForwardingNone, "",
		},
		{
			"own server", source.KindOwn,
			source.Traffic{Messages: 12, DKIMAligned: 12, Kept: 12, Records: 9, Reporters: 5}, source.ForwardingNone, "",
		},
		{
			"an unknown service that signs for the customer, in bulk", "",
			source.Traffic{Messages: 9000, DKIMAligned: 9000, Rewritten: 9000, Records: 30, Reporters: 2}, source.ForwardingNone, "",
		},
		{
			"forgeries, few of many reporters", source.KindAccess,
			source.Traffic{Messages: 12, Kept: 12, Rewritten: 0, Records: 12, Reporters: 8}, source.ForwardingNone, "",
		},
		{
			"forgeries from mailboxes, few of many reporters", source.KindMailbox,
			source.Traffic{Messages: 12, Rewritten: 12, Kept: 12, Records: 12, Reporters: 8}, source.ForwardingNone, "",
		},
		{
			"a forwarding service by name alone", source.KindForwarding,
			source.Traffic{Messages: 100, Kept: 100, Records: 2, Reporters: 1}, source.ForwardingNone, "",
		},
		{
			"SPF aligns", "",
			source.Traffic{Messages: 12, SPFAligned: 6, DKIMAligned: 12, Forwarded: 12, Records: 9, Reporters: 5}, source.ForwardingNone, "",
		},
		{
			"the signature of the service that sent it first", "",
			source.Traffic{Messages: 9, DKIMAligned: 9, Kept: 9, Records: 9, Reporters: 1}, source.Forwarder, source.ForwardOrigin,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := source.Identification{Kind: c.kind}
			if c.why == source.ForwardOrigin {
				id.Origin = dns.MustParse("amazonses.com")
			}
			got, why := source.Forwards(&id, &c.traffic)
			if got != c.want || c.why != "" && !slices.Contains(why, c.why) {
				t.Errorf("got %q by %v", got, why)
			}
		})
	}
}
