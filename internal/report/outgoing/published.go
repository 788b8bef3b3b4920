package outgoing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/text"
)

// maxPolicies is how many records of one domain and day are used.
const maxPolicies = 16

// maxNote bounds a report's text about faults of a record; RFC 9990 section 3.1.5 wants
// it to be short. maxRemarks is the number of remarks.
const (
	maxNote    = 500
	maxRemark  = 120
	maxRemarks = 4
)

// published is the policy of a report: the record seen last.
type published struct {
	policy report.Published
	record *dmarc.Record
	note   string // of trouble with it; "" for none

	changed bool // other records were in force that day, too
}

// publish chooses the policy of a report. seen begins with the record seen last; all is
// the total number.
func publish(domain dns.Name, seen []PolicySeen, all int) (published, error) {
	for i, s := range seen {
		record, err := dmarc.ParseRecord(s.Record)
		if err != nil || len(record.RUA) == 0 || record.Unusable {
			continue // every aggregate has a record that requests reports; another one is damaged
		}
		p := published{record: record, changed: all > 1, policy: report.Published{
			Domain: domain.String(), Discovery: report.DiscoveryTreeWalk,
			P: report.Policy(record.P), SP: report.Policy(record.SP), NP: report.Policy(record.NP),
			ADKIM: report.AlignmentMode(record.ADKIM), ASPF: report.AlignmentMode(record.ASPF), Testing: record.Testing,
		}}
		if s.PSL {
			p.policy.Discovery = report.DiscoveryPSL
		}
		if hasTag(record.Text, "fo") {
			p.policy.FO = record.FO
		}
		p.note = note(record, all-i)
		return p, nil
	}
	return published{}, fmt.Errorf("outgoing: no policy record of %s can be read", domain)
}

// hasTag reports whether a record has a tag, so that its value is not the default.
func hasTag(record, name string) bool {
	for tag := range strings.SplitSeq(record, ";") {
		found, _, ok := strings.Cut(tag, "=")
		if ok && strings.TrimSpace(found) == name {
			return true
		}
	}
	return false
}

// explain adds a reason to a row if the message was, or may have been, judged by another
// record than the one in the report, and the disposition does not follow from the
// reported one (RFC 9990 section 3.1.1.9). Only explain adds the comment, so that rows
// that differ still do.
func (p *published) explain(row *report.Row) {
	if row.DKIM != report.DMARCFail || row.SPF != report.DMARCFail || len(row.Reasons) > 0 || p.follows(row) {
		return
	}
	row.Reasons = []report.Reason{{Type: report.ReasonLocalPolicy, Comment: "judged by the policy record of that hour, which changed during the day"}}
}

// follows reports that the disposition of a failed message is certainly what the record
// requests. Whether a subdomain existed is not known any more.
func (p *published) follows(row *report.Row) bool {
	asked := []dmarc.Policy{p.record.P}
	if row.HeaderFrom != p.policy.Domain {
		existing := cmp.Or(p.record.SP, p.record.P)
		asked = []dmarc.Policy{existing, cmp.Or(p.record.NP, existing)}
	}
	for _, policy := range asked {
		if string(row.Disposition) != string(policy) || p.record.Testing && policy != dmarc.PolicyNone {
			return false
		}
	}
	return true
}

// note describes the faults of a record for its owner, each once.
func note(r *dmarc.Record, all int) string {
	var parts []string
	if all > 1 {
		parts = append(parts, fmt.Sprintf("the policy record changed in this period: %d were seen, and policy_published is the last", all))
	}
	if r.Voided {
		parts = append(parts, "the record has no valid policy and was taken for p=none")
	}
	told := len(parts)
	for _, w := range r.Warnings {
		w = text.Cut(w, maxRemark)
		if r.Voided && (w == "no p tag" || w == "acts as p=none") || slices.Contains(parts, w) {
			continue // already reported
		}
		if parts = append(parts, w); len(parts) == told+maxRemarks {
			break
		}
	}
	return text.Cut(strings.Join(parts, "; "), maxNote)
}
