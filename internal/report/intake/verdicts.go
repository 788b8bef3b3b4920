package intake

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// judge determines the verdicts of the rows of one report. The reporter's verdict counts; a missing
// one is derived from auth_results and the published alignment. Both are compared, because some
// reporters contradict themselves.
type judge struct {
	policy *report.Published
	orgs   map[string]string
}

// OrgDomain returns the organizational domain by the public suffix list; the domain itself if it is
// a public suffix. A report does not tell how a tree walk ended.
func OrgDomain(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

func (j *judge) org(domain string) string {
	if org, known := j.orgs[domain]; known {
		return org
	}
	const most = 10_000
	if j.orgs == nil || len(j.orgs) >= most {
		j.orgs = make(map[string]string)
	}
	org := OrgDomain(domain)
	j.orgs[domain] = org
	return org
}

// aligned reports whether an authenticated domain is aligned with the From domain (RFC 9989 section
// 4.8). Names below the policy domain share their organizational domain, whatever the public suffix
// list says.
func (j *judge) aligned(domain, from string, mode report.AlignmentMode) bool {
	switch {
	case domain == "" || from == "":
		return false
	case domain == from:
		return true
	case mode == report.ModeStrict:
		return false
	}
	return j.org(domain) == j.org(from) || below(domain, j.policy.Domain) && below(from, j.policy.Domain)
}

// below reports whether a name is a domain or below it.
func below(name, domain string) bool {
	return domain != "" && strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}

// evaluated is the result of one mechanism.
type evaluated struct {
	stated report.DMARCResult
	passed bool // auth_results have an aligned pass
}

func (v evaluated) resolve(workedOut, contradicted analysis.Flags) (report.DMARCResult, analysis.Flags) {
	switch {
	case v.stated == "" && v.passed:
		return report.DMARCPass, workedOut
	case v.stated == "":
		return report.DMARCFail, workedOut
	case (v.stated == report.DMARCPass) != v.passed:
		return v.stated, contradicted
	}
	return v.stated, 0
}

func (j *judge) spf(rec *report.Record) evaluated {
	v := evaluated{stated: rec.SPF}
	for _, s := range rec.AllSPF {
		// RFC 9989 section 4.7: HELO alone does not count, except for a null sender.
		if s.Result == report.ResultPass && (s.Scope != report.ScopeHelo || rec.NullSender) {
			v.passed = v.passed || j.aligned(s.Domain, rec.HeaderFrom, j.policy.ASPF)
		}
	}
	return v
}

func (j *judge) dkim(rec *report.Record) evaluated {
	v := evaluated{stated: rec.DKIM}
	for _, d := range rec.AuthDKIM {
		v.passed = v.passed || d.Result == report.ResultPass && j.aligned(d.Domain, rec.HeaderFrom, j.policy.ADKIM)
	}
	return v
}

// row converts a record to a row.
func (j *judge) row(rec *report.Record, note func(report.Note)) analysis.Row {
	spf, dkim := j.spf(rec), j.dkim(rec)
	row := analysis.Row{
		Number: rec.Number, Source: rec.SourceIP, Count: rec.Count, Disposition: rec.Disposition,
		HeaderFrom: rec.HeaderFrom, EnvelopeFrom: rec.EnvelopeFrom, NullSender: rec.NullSender, EnvelopeTo: rec.EnvelopeTo,
	}
	var flags [2]analysis.Flags
	row.SPF, flags[0] = spf.resolve(analysis.FlagWorkedOutSPF, analysis.FlagContradictedSPF)
	row.DKIM, flags[1] = dkim.resolve(analysis.FlagWorkedOutDKIM, analysis.FlagContradictedDKIM)
	row.Flags = flags[0] | flags[1]
	for i, v := range []evaluated{spf, dkim} {
		kind := report.NoteKind("")
		switch {
		case v.stated == "":
			kind = report.NoteWorkedOut
		case v.stated == report.DMARCFail && v.passed:
			kind = report.NoteContradicted
		case v.stated == report.DMARCPass && !v.passed:
			kind = report.NoteWithoutCause
		}
		if kind != "" {
			note(report.Note{Kind: kind, Where: []string{"SPF", "DKIM"}[i], Record: rec.Number})
		}
	}
	if !j.ours(rec.HeaderFrom) {
		row.Flags |= analysis.FlagForeignFrom
		note(report.Note{Kind: report.NoteForeignFrom, Value: cut(rec.HeaderFrom), Record: rec.Number})
	}
	return row
}

// ours reports whether a From domain belongs to the report: it is the policy domain, or below it.
func (j *judge) ours(from string) bool { return below(from, j.policy.Domain) }
