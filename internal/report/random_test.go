package report

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// hostile are pieces of text that somebody may send us.
var hostile = []string{
	"example.com", "a", "s1", "<b>", "&amp;", "]]>", "\x00", "\x1b[2J", "\xff\xfe", "\u00e4\u00f6", "\U0001F600", "\uFFFE", "\u2028",
	"\"", "'", "\r\nBcc: x@example.net", "<!--", "?>", "<?xml", "&", "=?utf-8?q?x?=", " ", "\t", strings.Repeat("long", 100), "\xed\xa0\x80", "\u0085", "</feedback>",
}

func randomText(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(5) {
		b.WriteString(hostile[rng.IntN(len(hostile))])
	}
	return b.String()
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// randomRow makes a row that can be written, with hostile text.
func randomRow(rng *rand.Rand) Row {
	r := Row{
		SourceIP:     netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(256))}),
		Count:        1 + rng.Int64N(1<<rng.IntN(40)),
		Disposition:  pick(rng, []Disposition{DispositionNone, DispositionPass, DispositionQuarantine, DispositionReject}),
		DKIM:         pick(rng, []DMARCResult{DMARCPass, DMARCFail}),
		SPF:          pick(rng, []DMARCResult{DMARCPass, DMARCFail}),
		HeaderFrom:   "x" + randomText(rng),
		EnvelopeFrom: randomText(rng),
		EnvelopeTo:   randomText(rng),
	}
	if rng.IntN(2) == 0 {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		a[15], a[7] = byte(rng.IntN(256)), byte(rng.IntN(256))
		r.SourceIP = netip.AddrFrom16(a).WithZone(pick(rng, []string{"", "eth0<"}))
	}
	if rng.IntN(3) == 0 {
		r.EnvelopeFrom, r.NullSender = "", true
	}
	for range rng.IntN(4) {
		r.AuthDKIM = append(r.AuthDKIM, DKIMResult{
			Domain: randomText(rng), Selector: randomText(rng), HumanResult: randomText(rng),
			Result: pick(rng, []Result{ResultNone, ResultPass, ResultFail, ResultPolicy, ResultNeutral, ResultTemperror, ResultPermerror}),
		})
	}
	if rng.IntN(4) > 0 {
		r.AuthSPF = &SPFResult{
			Domain: randomText(rng), HumanResult: randomText(rng), Scope: pick(rng, []Scope{"", ScopeMFrom}),
			Result: pick(rng, []Result{ResultNone, ResultPass, ResultFail, ResultSoftfail, ResultPolicy, ResultNeutral, ResultTemperror, ResultPermerror}),
		}
	}
	for range rng.IntN(3) {
		r.Reasons = append(r.Reasons, Reason{
			Type:    pick(rng, []ReasonType{ReasonLocalPolicy, ReasonMailingList, ReasonOther, ReasonPolicyTestMode, ReasonTrustedForwarder}),
			Comment: randomText(rng),
		})
	}
	return r
}

// randomReport makes a report that can be written.
func randomReport(rng *rand.Rand) *Report {
	begin := time.Unix(rng.Int64N(4e9)+1, 0).UTC()
	r := &Report{
		Metadata: Metadata{
			OrgName: "x" + randomText(rng), Email: "x" + randomText(rng), ExtraContact: randomText(rng), ReportID: "x" + randomText(rng),
			Begin: begin, End: begin.Add(time.Duration(rng.IntN(86400)) * time.Second), Error: randomText(rng), Generator: randomText(rng),
		},
		Policy: Published{
			Domain: "x" + randomText(rng), FO: randomText(rng), Testing: rng.IntN(2) == 0,
			Discovery: pick(rng, []Discovery{"", DiscoveryPSL, DiscoveryTreeWalk}),
			P:         pick(rng, []Policy{PolicyNone, PolicyQuarantine, PolicyReject}),
			SP:        pick(rng, []Policy{"", PolicyNone, PolicyQuarantine, PolicyReject}),
			NP:        pick(rng, []Policy{"", PolicyNone, PolicyQuarantine, PolicyReject}),
			ADKIM:     pick(rng, []AlignmentMode{"", ModeRelaxed, ModeStrict}),
			ASPF:      pick(rng, []AlignmentMode{"", ModeRelaxed, ModeStrict}),
		},
	}
	for range 1 + rng.IntN(5) {
		r.Rows = append(r.Rows, randomRow(rng))
	}
	return r
}
