package source

// Traffic counts the mail of managed domains from one source by outcome, in messages.
type Traffic struct {
	Messages    int64
	SPFAligned  int64
	DKIMAligned int64
	Rewritten   int64 // SPF passed for a domain unrelated to the From domain
	Kept        int64 // SPF was checked for the From domain's own return path, and did not pass
	Forwarded   int64 // reporters state the reason forwarded or trusted_forwarder
	Listed      int64 // or mailing_list
	ARC         int64 // or mention an ARC chain that they trust
	Records     int64
	Reporters   int64
}

// Forwarding is whether a source forwards mail of others.
type Forwarding string

// Forwarders usually leave signatures intact, mailing lists usually do not.
const (
	ForwardingNone Forwarding = ""
	Forwarder      Forwarding = "forwarder"
	MailingList    Forwarding = "mailing_list"
)

// ForwardEvidence is evidence of forwarding.
type ForwardEvidence string

// Kinds of evidence.
const (
	ForwardIntact    ForwardEvidence = "signature_intact"   // the From domain's signature is valid, though SPF does not align
	ForwardRewritten ForwardEvidence = "envelope_rewritten" // the return path is the source's
	ForwardKept      ForwardEvidence = "envelope_kept"      // the return path is the From domain's, and SPF does not know the source
	ForwardReason    ForwardEvidence = "reason_forwarded"
	ForwardList      ForwardEvidence = "reason_mailing_list"
	ForwardARC       ForwardEvidence = "arc"
	ForwardOrigin    ForwardEvidence = "origin" // another service signed the mail
	ForwardFew       ForwardEvidence = "small_counts"
	ForwardReporters ForwardEvidence = "many_reporters"
)

// Bounds of the evidence.
const (
	mostAligned   = 20 // a forwarder has SPF aligned for at most one message in this many
	fewEach       = 4  // messages a record, on average
	manyReporters = 3
	enough        = 4 // of the sum of weights
)

// Forwards reports whether a source forwards mail, judged by the traffic: no name makes a
// forwarder. The map tells what the traffic may mean. A service that sends for its
// customers, and own infrastructure, are no forwarders. If the source is unknown, a return
// path of its own belongs to a forwarder or a small service, and one of the From domain to a
// forwarder or a new server, so that more evidence is required.
func Forwards(id *Identification, t *Traffic) (Forwarding, []ForwardEvidence) {
	if t.Messages == 0 || id.Kind == KindOwn || id.Kind.Sends() || t.SPFAligned*mostAligned > t.Messages {
		return ForwardingNone, nil
	}
	most := func(n int64) bool { return n > 0 && 2*n >= t.Messages }
	var why []ForwardEvidence
	sum := 0
	weigh := func(holds bool, weight int, e ForwardEvidence) {
		if holds {
			why = append(why, e)
			sum += weight
		}
	}
	told := most(t.Forwarded) || most(t.ARC)
	intact := 5*t.DKIMAligned >= 4*t.Messages
	mailboxes := id.Kind == KindMailbox || id.Kind == KindAccess || id.Kind == KindForwarding || id.Kind == KindLists
	weigh(intact, 2, ForwardIntact)
	weigh(most(t.Forwarded), 2, ForwardReason)
	weigh(most(t.ARC), 2, ForwardARC)
	weigh(!id.Origin.IsZero(), 2, ForwardOrigin)
	weigh(most(t.Rewritten), 1, ForwardRewritten)
	weigh(most(t.Kept), 1, ForwardKept)
	weigh(t.Messages <= fewEach*t.Records, 1, ForwardFew)
	weigh(t.Reporters >= manyReporters, 1, ForwardReporters)
	weigh(most(t.Listed), 4, ForwardList)
	switch {
	case sum < enough:
		return ForwardingNone, nil
	case most(t.Listed):
		return MailingList, why
	case told:
		return Forwarder, why
	case intact && (!id.Origin.IsZero() || mailboxes && (most(t.Rewritten) || most(t.Kept))):
		return Forwarder, why
	}
	return ForwardingNone, nil // a forgery, a new server, or an unknown service
}
