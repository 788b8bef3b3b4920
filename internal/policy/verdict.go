package policy

import (
	"errors"
	"net/netip"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// Verdict is the facts about a message, before any policy. It is the same for every site
// that receives the mail.
type Verdict struct {
	SPF   spf.Result
	DKIM  []dkim.Result // one for each signature, in header order
	DMARC dmarc.Result
	// Unchecked counts signatures over limits.signatures that DKIM, like a stored record,
	// leaves out. They were the first, and count as not verified.
	Unchecked int
	// SPFAlignment and DKIMAlignments say whether the domain of SPF and of each
	// signature aligns with the author's, whatever the mechanism found. The
	// slice runs beside DKIM. "" where there is no author domain.
	SPFAlignment   dmarc.Alignment
	DKIMAlignments []dmarc.Alignment
	// Authors are the domains found in the From fields: one when DMARC could be
	// evaluated; several, or none, when there is no single author domain.
	Authors []dns.Name
	ARC     arc.Result // zero where no recipient domain uses it
}

// Facts is the part of the SMTP envelope that rules use.
type Facts struct {
	ClientIP   netip.Addr // zero if not known
	NullSender bool
	QueueID    string // the MTA's name for the mail; "" if not known
	Sealed     bool   // signed for its reader, with S/MIME or PGP
	// Received is when the message began. List entries that have ended by then are not
	// valid; the zero Time ignores all ends.
	Received time.Time
	// DeferExpired says that the same envelope was deferred for as long as defer_limit
	// allows: it is not deferred for DNS trouble any more.
	DeferExpired bool
}

// day is the UTC day by which entries of lists hold or have ended.
func (f *Facts) day() Day {
	if f.Received.IsZero() {
		return 0
	}
	return DayOf(f.Received)
}

// singleAuthor reports whether DMARC had one author domain to work with.
func (v *Verdict) singleAuthor() bool { return !v.DMARC.Author.IsZero() }

// verified reports whether signature i counts as verified.
func (v *Verdict) verified(i int) bool { return v.DKIM[i].Status == dkim.Pass }

func (v *Verdict) alignment(i int) dmarc.Alignment {
	if i < len(v.DKIMAlignments) {
		return v.DKIMAlignments[i]
	}
	return dmarc.Unaligned
}

// dkimSummary is what the criteria need to know about all signatures together.
type dkimSummary struct {
	verified  bool // at least one verified
	processed bool // at least one was processed
	temporary bool // at least one had a temporary DNS failure
}

func (v *Verdict) dkimSummary() dkimSummary {
	s := dkimSummary{processed: v.Unchecked > 0}
	for i := range v.DKIM {
		s.verified = s.verified || v.verified(i)
		s.processed = s.processed || v.DKIM[i].Processed || cutOff(v.DKIM[i].Err)
		s.temporary = s.temporary || v.DKIM[i].Status == dkim.TempError
	}
	return s
}

// cutOff reports whether a signature was not checked because the message exceeds a limit.
// Such a signature counts as not verified.
func cutOff(err error) bool {
	return errors.Is(err, dkim.ErrLimit) || errors.Is(err, dkim.ErrHeaderCut)
}

// alignedPass reports whether SPF or a signature passed for an aligned domain, and
// whether that depends on a tree walk with a DNS error.
func (v *Verdict) alignedPass() (yes, unknown bool) {
	note := func(a dmarc.Alignment) {
		yes = yes || a == dmarc.Aligned
		unknown = unknown || a == dmarc.AlignmentUnknown
	}
	if v.SPF.Status == spf.Pass {
		note(v.SPFAlignment)
	}
	for i := range v.DKIM {
		if v.verified(i) {
			note(v.alignment(i))
		}
	}
	return yes, unknown && !yes
}

// undecided reports whether DNS trouble hides an aligned pass: of SPF or a
// signature that could not be finished, or whose alignment is unknown.
func (v *Verdict) undecided() bool {
	if _, unknown := v.alignedPass(); unknown {
		return true
	}
	if v.SPF.Status == spf.TempError && v.SPFAlignment != dmarc.Unaligned {
		return true
	}
	for i := range v.DKIM {
		if v.DKIM[i].Status == dkim.TempError && v.alignment(i) != dmarc.Unaligned {
			return true
		}
	}
	return false
}

// Shown is the index of the signature that a one-line summary names: the aligned verified
// one, else the first verified, else the first that failed, else none (-1).
func (v *Verdict) Shown() int {
	firstPass, firstFail := -1, -1
	for i := range v.DKIM {
		switch {
		case v.verified(i) && v.alignment(i) == dmarc.Aligned:
			return i
		case v.verified(i) && firstPass < 0:
			firstPass = i
		case v.DKIM[i].Processed && !v.verified(i) && firstFail < 0:
			firstFail = i
		}
	}
	if firstPass >= 0 {
		return firstPass
	}
	return firstFail
}
