package api

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// MessagesRequest selects remembered mail.
type MessagesRequest struct {
	Held       bool   `json:"held,omitempty"`    // waits in the hold queue of an MTA
	Refused    bool   `json:"refused,omitempty"` // rejected, or deferred
	Action     string `json:"action,omitempty"`  // what was done
	RcptDomain string `json:"rcpt_domain,omitempty"`
	From       string `json:"from,omitempty"`   // the author's domain
	Client     string `json:"client,omitempty"` // an address or network
	Period
	After string `json:"after,omitempty"` // MessagesPage.After of the page before
	Limit int    `json:"limit,omitempty"` // 0 for 100, at most 1000
}

// MessagesPage is a page of mail, newest first.
type MessagesPage struct {
	Messages []Message `json:"messages"`
	After    string    `json:"after,omitempty"` // of the next page; "" where there is none
}

// Message is a summary of remembered mail.
type Message struct {
	At        time.Time `json:"at"`
	QueueID   string    `json:"queue_id,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	Client    string    `json:"client,omitempty"`
	From      string    `json:"from,omitempty"` // the author's domain
	Rcpt      []string  `json:"rcpt"`           // the recipients' domains
	Action    string    `json:"action"`
	Would     string    `json:"would"`
	Reason    string    `json:"reason"`
	Rule      string    `json:"rule,omitempty"`
	DMARC     string    `json:"dmarc,omitempty"` // its result
	Host      string    `json:"host,omitempty"`  // that judged it
	Held      bool      `json:"held,omitempty"`
}

// MessagesList lists remembered mail.
func MessagesList() Op[MessagesRequest, MessagesPage] {
	return Op[MessagesRequest, MessagesPage]{
		Name: "messages.list", Summary: "Remembered mail, newest first.",
		Role: RoleViewer, Scope: ScopeDomains, Do: listMessages,
	}
}

func listMessages(ctx context.Context, s *Service, v Viewer, in MessagesRequest) (out MessagesPage, err error) {
	q, err := in.query(v)
	if err != nil {
		return out, err
	}
	if s.Memory == nil {
		return out, missing("memory of mail")
	}
	limit := q.Limit
	out.Messages = []Message{}
	if v.Limited() {
		if !q.Rcpt.IsZero() && !v.Sees(q.Rcpt) {
			return out, nil // who else got their mail is not theirs to ask
		}
		q.Action = "" // the store knows what was done with the whole message
	}
	for seen := 0; ; {
		page, err := s.Memory.Search(ctx, q)
		if err != nil {
			return out, err
		}
		for i := range page.Found {
			f := &page.Found[i]
			q.Before = f.Key
			r := v.record(f.Record)
			if r == nil || !in.wants(r.Decision.Action) {
				continue
			}
			out.Messages = append(out.Messages, newMessage(r, f.Held))
			if len(out.Messages) == limit {
				if i < len(page.Found)-1 || page.Next != 0 {
					out.After = strconv.FormatInt(f.Key, 10)
				}
				return out, nil
			}
		}
		if q.Before = page.Next; q.Before == 0 {
			return out, nil
		}
		if seen += len(page.Found) + 1; seen >= mostSeen {
			out.After = strconv.FormatInt(q.Before, 10)
			return out, nil
		}
	}
}

// mostSeen bounds the messages examined for one page. The filter may exclude nearly all, so a page
// may have few or none although others follow.
const mostSeen = 50_000

// wants reports whether the request selects messages with that action.
func (r *MessagesRequest) wants(action policy.Action) bool {
	if r.Refused && action != policy.Reject && action != policy.Defer {
		return false
	}
	return r.Action == "" || r.Action == string(action)
}

// searchTime bounds one search of the store; a page may take several.
const searchTime = 2 * time.Second

// query converts the request for the store.
func (r *MessagesRequest) query(v Viewer) (q memory.Query, err error) {
	q = memory.Query{Held: r.Held, Action: r.Action, Since: r.Since, Until: r.Until, Limit: pageLimit(r.Limit), Within: searchTime}
	if v.Limited() {
		q.Recipients = v.Domains
	}
	if q.Rcpt, err = optionalName("rcpt_domain", r.RcptDomain); err != nil {
		return q, err
	}
	if q.From, err = optionalName("from", r.From); err != nil {
		return q, err
	}
	if r.Client != "" {
		if q.Client, err = network(r.Client); err != nil {
			return q, errkind.Errorf(errkind.BadRequest, "client: %q is neither an address nor a network", r.Client)
		}
	}
	actions := []policy.Action{policy.Bypass, policy.Quarantine, policy.Reject, policy.Defer, policy.Discard}
	if r.Action != "" && !slices.Contains(actions, policy.Action(r.Action)) {
		return q, errkind.Errorf(errkind.BadRequest, "action: %q is none of %v", r.Action, actions)
	}
	if q.Before, err = afterKey(r.After); err != nil {
		return q, err
	}
	return q, nil
}

// afterKey parses the end of a page.
func afterKey(after string) (int64, error) {
	if after == "" {
		return 0, nil
	}
	key, err := strconv.ParseInt(after, 10, 64)
	if err != nil || key <= 0 {
		return 0, errkind.Errorf(errkind.BadRequest, "after: %q is no end of a page", after)
	}
	return key, nil
}

func optionalName(field, s string) (dns.Name, error) {
	if s == "" {
		return dns.Name{}, nil
	}
	name, err := dns.Parse(s)
	if err != nil {
		return name, errkind.Errorf(errkind.BadRequest, "%s: %w", field, err)
	}
	return name, nil
}

// network parses an address or a network.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return a.Prefix(a.BitLen())
	}
	return netip.ParsePrefix(s)
}

func newMessage(r *memory.Record, held bool) Message {
	m := Message{
		At: r.At, QueueID: r.QueueID, MessageID: r.MessageID, From: r.Verdict.DMARC.Author.String(), Rcpt: []string{},
		Action: string(r.Decision.Action), Would: string(r.Decision.Would), Reason: string(r.Decision.Reason), Rule: r.Decision.Rule,
		DMARC: string(r.Verdict.DMARC.Status), Host: r.Host, Held: held,
	}
	if r.ClientIP.IsValid() {
		m.Client = r.ClientIP.String()
	}
	for _, o := range r.Outcomes {
		for _, d := range o.Domains {
			if !d.IsZero() {
				m.Rcpt = append(m.Rcpt, d.String())
			}
		}
	}
	return m
}
