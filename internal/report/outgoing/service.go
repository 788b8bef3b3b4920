package outgoing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/text"
)

// ErrRequest is wrapped by errors about requests that make no sense.
var ErrRequest = errkind.New(errkind.BadRequest, "outgoing: cannot be done")

// Service answers people's requests about the reports that we send. Requests and answers can be written as
// JSON.
type Service interface {
	// List returns reports, the newest first, with their deliveries.
	List(ctx context.Context, f Filter) (Listed, error)
	// Show returns one report, with its content if requested.
	Show(ctx context.Context, r ShowRequest) (Shown, error)
	// Send queues the report on a domain and day for now. One that was made before is
	// sent again as it is; otherwise the day, which must be over, is closed and the
	// report made, whatever min_messages, exclude and enabled say.
	Send(ctx context.Context, r SendRequest) (Sending, error)
	// Retry makes deliveries that failed, or wait, due now.
	Retry(ctx context.Context, r RetryRequest) (Retried, error)
	Suppress(ctx context.Context, r SuppressRequest) (Suppression, error)
	// Unsuppress lets an address or host have reports again.
	Unsuppress(ctx context.Context, r UnsuppressRequest) (Unsuppressed, error)
	Suppressions(ctx context.Context, r SuppressionsRequest) (SuppressionPage, error)
	State(ctx context.Context, r StateRequest) (Overview, error)
}

// Requests and answers of a Service.
type (
	// Listed is a page of reports.
	Listed struct {
		Reports []Report `json:"reports"`
		Next    int64    `json:"next,omitempty"` // Filter.Before of the next page; 0 if there is none
	}
	// ShowRequest names a report by its ID, its Report-ID or its domain and day.
	ShowRequest struct {
		ID       int64       `json:"id,omitempty"`
		ReportID string      `json:"report_id,omitempty"`
		Domain   string      `json:"domain,omitempty"`
		Day      *memory.Day `json:"day,omitempty"`
		Content  bool        `json:"content,omitempty"`
	}
	// Shown is a report and its file: compressed by gzip or, for a failure report, the
	// mail with placeholders for its destination.
	Shown struct {
		Report Report `json:"report"`
		File   []byte `json:"file,omitempty"`
	}
	// SendRequest names a domain and day; nil for yesterday.
	SendRequest struct {
		Domain string      `json:"domain"`
		Day    *memory.Day `json:"day,omitempty"`
	}
	// Sending is a report that was queued.
	Sending struct {
		Report Report `json:"report"`
		Again  bool   `json:"again"` // it had been made before
		Queued int    `json:"queued"`
	}
	// RetryRequest names a delivery, a report, or those that a filter chooses; with
	// none of them all that failed or expired.
	RetryRequest struct {
		Delivery int64  `json:"delivery,omitempty"`
		Report   int64  `json:"report,omitempty"`
		Filter   Filter `json:"filter"`
	}
	// Retried is how many deliveries are now due.
	Retried struct {
		Queued int `json:"queued"`
	}
	// SuppressRequest suppresses an address or a host, until a time or for ever.
	SuppressRequest struct {
		Target string    `json:"target"`
		Reason string    `json:"reason,omitempty"`
		Until  time.Time `json:"until,omitzero"`
	}
	// UnsuppressRequest names an address or a host.
	UnsuppressRequest struct {
		Target string `json:"target"`
	}
	// Unsuppressed reports whether it had been suppressed.
	Unsuppressed struct {
		Found bool `json:"found"`
	}
	// SuppressionsRequest asks for current suppressions, or also for ended ones, newest
	// first.
	SuppressionsRequest struct {
		All   bool              `json:"all,omitempty"`
		After *SuppressionPlace `json:"after,omitempty"` // SuppressionPage.Next of the page before; nil for the first
		Limit int               `json:"limit,omitempty"` // 0 for 100, at most 1000
	}
	// SuppressionPlace is a place in the list of suppressions.
	SuppressionPlace struct {
		Since  time.Time `json:"since"`
		Target string    `json:"target"`
	}
	// SuppressionPage is a page of suppressions.
	SuppressionPage struct {
		Suppressions []Suppression     `json:"suppressions"`
		Next         *SuppressionPlace `json:"next,omitempty"` // nil if there are no more
	}
	// StateRequest asks for the state of the queue.
	StateRequest struct{}
	// Overview is the state of the queue.
	Overview struct {
		Gauges
		Paused  bool `json:"paused"`  // this daemon waits for the mail server
		Enabled bool `json:"enabled"` // reports are made each day (reports.enabled)
		Counted bool `json:"counted"` // mail of some recipient domain is counted for them (daily_reports)
	}
)

// Service is that of the pipeline's store. It works whether or not Run is running; the
// leader sends what it queues.
func (p *Pipeline) Service() Service { return service{p} }

type service struct{ p *Pipeline }

// List is Service's.
func (v service) List(ctx context.Context, f Filter) (Listed, error) {
	f = f.bounded()
	if f.State != "" && !knownState(f.State) {
		return Listed{}, requestErrorf(ErrRequest, "no state is called %q; they are %s", text.Cut(string(f.State), 40), stateNames())
	}
	reports, err := v.p.store.List(ctx, f)
	if err != nil {
		return Listed{}, err
	}
	out := Listed{Reports: reports}
	if len(reports) == f.Limit {
		out.Next = reports[len(reports)-1].ID
	}
	return out, nil
}

func knownState(s State) bool {
	for _, known := range States() {
		if s == known {
			return true
		}
	}
	return false
}

func stateNames() string {
	var names []string
	for _, s := range States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// Show is Service's.
func (v service) Show(ctx context.Context, r ShowRequest) (Shown, error) {
	id := r.ID
	if id == 0 {
		var day memory.Day
		if r.Day != nil {
			day = *r.Day
		} else if r.ReportID == "" {
			return Shown{}, requestErrorf(ErrRequest, "name a report by its number, or by domain and day")
		}
		var err error
		id, err = v.p.store.Find(ctx, strings.ToLower(r.Domain), day, r.ReportID)
		switch {
		case errors.Is(err, ErrNotFound) && r.ReportID != "":
			return Shown{}, requestErrorf(ErrNotFound, "no report has the Report-ID %s; \"dmarcd report list\" shows those that were made", text.Cut(r.ReportID, 200))
		case errors.Is(err, ErrNotFound):
			name := text.Cut(r.Domain, 260)
			return Shown{}, requestErrorf(ErrNotFound, "no report on %s for %s was made; \"dmarcd report list --domain %s\" shows others, \"dmarcd report send %s %s\" makes and sends it",
				name, day, name, name, day)
		case err != nil:
			return Shown{}, err
		}
	}
	report, err := v.p.store.Report(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Shown{}, requestErrorf(ErrNotFound, "there is no report with the number %d; \"dmarcd report list\" shows them", id)
	case err != nil || !r.Content:
		return Shown{Report: report}, err
	case !report.Stored:
		return Shown{Report: report}, requestErrorf(ErrNotFound, "the file of report %d is not kept any more (retention.raw_reports)", id)
	}
	file, err := v.p.store.File(ctx, id)
	return Shown{Report: report, File: file}, err
}

// Content writes the content of the file: XML or, for a failure report, a mail.
func (s *Shown) Content(w io.Writer) error {
	if s.Report.Kind == KindFailure {
		_, err := w.Write(s.File)
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(s.File))
	if err != nil {
		return fmt.Errorf("outgoing: report %d: %w", s.Report.ID, err)
	}
	_, err = io.Copy(w, z)
	return err
}

// Send is Service's.
func (v service) Send(ctx context.Context, r SendRequest) (Sending, error) {
	domain, err := dns.Parse(r.Domain)
	if err != nil {
		return Sending{}, requestErrorf(ErrRequest, "%q is no domain", text.Cut(r.Domain, 260))
	}
	now := v.p.now().UTC()
	day := memory.DayOf(now) - 1
	if r.Day != nil {
		day = *r.Day
	}
	if day >= memory.DayOf(now) {
		return Sending{}, requestErrorf(ErrRequest, "%s is not over yet; a report tells of a whole UTC day", day)
	}
	id, err := v.p.store.Find(ctx, domain.String(), day, "")
	switch {
	case err == nil:
		return v.again(ctx, id, now)
	case !errors.Is(err, ErrNotFound):
		return Sending{}, err
	}
	fresh, err := v.make(ctx, domain, day, now)
	if err != nil {
		return Sending{}, err
	}
	if id, err = v.p.store.Find(ctx, domain.String(), day, ""); err != nil {
		return Sending{}, err
	}
	if !fresh { // the leader was faster, and has put it off
		return v.again(ctx, id, now)
	}
	report, err := v.p.store.Report(ctx, id)
	queued := 0
	for i := range report.Delivered {
		if report.Delivered[i].State.Waiting() {
			queued++
		}
	}
	v.p.wakeSender()
	return Sending{Report: report, Queued: queued}, err
}

// again queues a report that was made before.
func (v service) again(ctx context.Context, id int64, now time.Time) (Sending, error) {
	report, err := v.p.store.Report(ctx, id)
	switch {
	case err != nil:
		return Sending{}, err
	case !report.Stored && report.Problem != "":
		return Sending{}, requestErrorf(ErrRequest, "report %d has no file: %s", id, report.Problem)
	case !report.Stored:
		return Sending{}, requestErrorf(ErrRequest, "the file of report %d is not kept any more (retention.raw_reports)", id)
	}
	n, err := v.p.store.Requeue(ctx, Requeue{
		Now: now, Expires: now.Add(v.p.timing.GiveUp), Report: id,
		States: []State{StateQueued, StateUnconfirmed, StateSent, StateFailed, StateExpired, StateSuppressed, StateUnverified, StateCapped},
	})
	if err != nil {
		return Sending{}, err
	}
	v.p.wakeSender()
	report, err = v.p.store.Report(ctx, id)
	return Sending{Report: report, Again: true, Queued: n}, err
}

// make closes the day and makes one report; false if another caller just did.
func (v service) make(ctx context.Context, domain dns.Name, day memory.Day, now time.Time) (bool, error) {
	b, err := v.p.newBuilder(ctx, v.p.current(), day)
	if err != nil {
		return false, err
	}
	if _, err := v.p.store.CloseDays(ctx, ByHand, day, memory.DayOf(now)); err != nil {
		return false, err
	}
	r, err := b.build(ctx, domain)
	if err != nil {
		return false, err
	}
	n, err := v.p.store.Add(ctx, ByHand, []NewReport{r})
	v.p.stats.add(func(s *Stats) { s.Built += uint64(n) })
	v.p.capped(ctx, b)
	return n > 0, err
}

// Retry is Service's.
func (v service) Retry(ctx context.Context, r RetryRequest) (Retried, error) {
	now := v.p.now().UTC()
	q := Requeue{
		Now: now, Expires: now.Add(v.p.timing.GiveUp), Delivery: r.Delivery, Report: r.Report, Filter: r.Filter,
		States: []State{StateFailed, StateExpired},
	}
	switch {
	case r.Delivery != 0 || r.Report != 0:
		q.States = []State{StateQueued, StateUnconfirmed, StateFailed, StateExpired, StateSuppressed, StateUnverified, StateCapped}
	case r.Filter.State == StateReplaced, r.Filter.State != "" && !knownState(r.Filter.State):
		return Retried{}, requestErrorf(ErrRequest, "nothing in the state %q can be tried again", text.Cut(string(r.Filter.State), 40))
	case r.Filter.State == StateSent:
		return Retried{}, requestErrorf(ErrRequest, "what was sent is sent again only by name, with its domain and day")
	case r.Filter.State != "":
		q.States = []State{r.Filter.State}
	}
	if r.Delivery != 0 || r.Report != 0 {
		q.Filter = Filter{}
	}
	n, err := v.p.store.Requeue(ctx, q)
	v.p.wakeSender()
	return Retried{Queued: n}, err
}

// Suppress is Service's.
func (v service) Suppress(ctx context.Context, r SuppressRequest) (Suppression, error) {
	target, err := ParseTarget(r.Target)
	if err != nil {
		return Suppression{}, err
	}
	now := v.p.now().UTC()
	if !r.Until.IsZero() && !r.Until.After(now) {
		return Suppression{}, requestErrorf(ErrRequest, "%s is over", r.Until.UTC().Format(time.RFC3339))
	}
	s := Suppression{
		Target: target, Reason: text.Cut(r.Reason, maxErrorText), ByHand: true, Since: now, Active: true,
		Until: r.Until.UTC().Truncate(time.Second),
	}
	if s.Reason == "" {
		s.Reason = "by hand"
	}
	return s, v.p.store.Suppress(ctx, s)
}

// Unsuppress is Service's.
func (v service) Unsuppress(ctx context.Context, r UnsuppressRequest) (Unsuppressed, error) {
	target, wrong := ParseTarget(r.Target)
	if wrong != nil {
		target = strings.ToLower(r.Target) // what cannot be suppressed now may have been before
	}
	found, err := v.p.store.Unsuppress(ctx, target)
	if wrong != nil && err == nil && !found {
		err = wrong
	}
	return Unsuppressed{Found: found}, err
}

// Suppressions is Service's.
func (v service) Suppressions(ctx context.Context, r SuppressionsRequest) (SuppressionPage, error) {
	r.Limit = boundedLimit(r.Limit)
	list, err := v.p.store.Suppressions(ctx, v.p.now(), r)
	out := SuppressionPage{Suppressions: list}
	if n := len(list); n == r.Limit {
		out.Next = &SuppressionPlace{Since: list[n-1].Since, Target: list[n-1].Target}
	}
	return out, err
}

// State is Service's.
func (v service) State(ctx context.Context, _ StateRequest) (Overview, error) {
	g, err := v.p.store.Gauges(ctx, v.p.now(), States())
	c := v.p.current()
	return Overview{Gauges: g, Paused: v.p.breaker.paused(), Enabled: c.Enabled, Counted: c.Counted}, err
}

// ParseTarget reads an address or a host name, in small letters and as an A-label.
func ParseTarget(s string) (string, error) {
	local, host, address := strings.Cut(s, "@")
	if !address {
		local, host = "", s
	}
	if strings.ContainsRune(host, '*') || local == "*" {
		return "", requestErrorf(ErrRequest, "%q is a pattern; a host alone stands for all its addresses, and reports.exclude takes patterns of the domains that reports are about", text.Cut(s, 260))
	}
	name, err := dns.Parse(host)
	if err != nil || !isHost(name.String()) || address && !isLocal(local) {
		return "", requestErrorf(ErrRequest, "%q is neither an address nor a host name", text.Cut(s, 260))
	}
	if address {
		return strings.ToLower(local) + "@" + name.String(), nil
	}
	return name.String(), nil
}

// isHost reports whether all octets are valid in host names.
func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// isLocal reports whether s may be a local part: printable ASCII.
func isLocal(s string) bool {
	const longest = 64 // RFC 5321 section 4.5.3.1.1
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// Drain delivers the mail due now, as the leader, and returns once all of it was tried.
// It waits for leadership no longer than wait; false means that another daemon leads.
func (p *Pipeline) Drain(ctx context.Context, wait time.Duration) (tried int, led bool, err error) {
	leading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(wait, func() { cancel(errNotLeading) })
	defer timer.Stop()
	err = p.store.Lead(leading, func(ctx context.Context, epoch int64) error {
		if !timer.Stop() {
			return errNotLeading
		}
		led = true
		tried, err = p.drain(ctx, epoch)
		return err
	})
	if errors.Is(err, errNotLeading) {
		err = nil
	}
	return tried, led, err
}

var errNotLeading = errors.New("outgoing: another daemon leads")
