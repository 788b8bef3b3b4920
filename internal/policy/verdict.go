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

// Verdict is what is true of a message, before anyone's wishes. It is the same
// for every site that gets the mail.
type Verdict struct {
	SPF   spf.Result
	DKIM  []dkim.Result // one for each signature, in header order
	DMARC dmarc.Result
	// Unchecked counts signatures over limits.signatures that DKIM leaves out, as
	// what is remembered does. They stood first, and count as not verified.
	Unchecked int
	// SPFAlignment and DKIMAlignments say whether the domain of SPF and of each
	// signature aligns with the author's, whatever the mechanism found. The
	// slice runs beside DKIM. "" where there is no author domain.
	SPFAlignment   dmarc.Alignment
	DKIMAlignments []dmarc.Alignment
	// Authors are the domains found in the From fields: one when DMARC could be
	// evaluated; several, or none, when there is no single author domain.
	Authors []dns.Name
	ARC     arc.Result // zero where no recipient domain asked for it
}

// Facts is what SMTP told of the message, as far as rules look at it.
type Facts struct {
	ClientIP   netip.Addr // zero if not known
	NullSender bool
	QueueID    string // the MTA's name for the mail; "" if not told
	Sealed     bool   // signed for its reader, with S/MIME or PGP
	// Received is when the message began. Entries of lists whose end has come by then do
	// not hold; the zero Time asks for no end.
	Received time.Time
	// DeferExpired says that the same envelope was deferred for as long as
	// defer_limit allows: DNS trouble defers it no more.
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

// verified tells whether signature i counts as verified.
func (v *Verdict) verified(i int) bool { return v.DKIM[i].Status == dkim.Pass }

func (v *Verdict) alignment(i int) dmarc.Alignment {
	if i < len(v.DKIMAlignments) {
		return v.DKIMAlignments[i]
	}
	return dmarc.Unaligned
}

// dkimSummary is what the criteria ask of all signatures together.
type dkimSummary struct {
	verified  bool // at least one verified
	processed bool // at least one was processed
	temporary bool // at least one met a temporary DNS failure
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

// cutOff reports whether a signature was not looked at because the message exceeds
// a limit. That never helps it: the signature counts as one that did not verify.
func cutOff(err error) bool {
	return errors.Is(err, dkim.ErrLimit) || errors.Is(err, dkim.ErrHeaderCut)
}

// alignedPass reports whether SPF or a signature passed for an aligned domain,
// and whether that hangs on a tree walk that met a DNS error.
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

// Shown is the signature that a one-line summary names: the aligned verified
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
