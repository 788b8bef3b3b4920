package intake

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

// Store is where received reports go: a part of analysis.Store.
type Store interface {
	// Ingest stores a batch in one transaction and returns the outcomes of its reports.
	Ingest(ctx context.Context, b *analysis.Batch) ([]analysis.Classified, error)
	// Pairs returns the decisions of admins on reports under another name.
	Pairs(ctx context.Context) ([]analysis.Pair, error)
}

// Config configures a Path.
type Config struct {
	Store    Store
	Settings func() *settings.Settings
	Keys     dkim.Resolver // nil: no signature is verified
	// Bounced receives each mail that is a bounce; nil for none. After an error the mail is stored
	// all the same.
	Bounced func(ctx context.Context, mail []byte) error
	// Busy reports whether mail is being evaluated, which has priority; nil for never.
	Busy func() bool
	Now  func() time.Time
	Log  *slog.Logger
}

// Entry is one mail or file to be stored.
type Entry struct {
	Input  Input // without Body, if Open is set
	Origin Origin
	// Stored reports that the mail was delivered before it came here, so that its header names the
	// recipient.
	Stored bool
	// Once means that it does not wait for an unreachable store: it ends with the error.
	Once bool
	// Attempts counts how often it was taken before without a result.
	Attempts int
	// Open returns the octets when needed; nil if Input.Body has them.
	Open func() ([]byte, error)
	// State is the feed's own, stored together with the entry; nil for none.
	State *analysis.FeedState
	// Done is called once, when the entry is stored or cannot be. It must not block.
	Done func(ItemResult)
}

// ItemResult is the outcome of an entry.
type ItemResult struct {
	Item    *analysis.Item // nil where it could not be opened
	Settled []analysis.Classified
	Known   bool  // it was stored before
	Err     error // of opening it or of the store; nothing is stored then
}

// Bounds of pending work. A large entry is processed alone.
const (
	queued     = 64
	batchItems = 200
	busyItems  = 25 // while mail is being judged
	batchRows  = 20_000
	largeBytes = 1 << 20
	// poisonous is how often an entry is taken before it is no longer opened, because it may be what
	// kills the process.
	poisonous = 8
	verifying = 8 // mails whose signatures are verified at a time
)

// Path is the only way of received mails and files into the store: it reads them one after the
// other, completes them, and stores them in batches. Feeds put entries into it.
type Path struct {
	config    Config
	entries   chan *Entry
	read      chan *passed
	verify    chan struct{}
	completer *completer // of the reading goroutine
	pairs     pairs
	room      room
	pace      pace
	scratch   Scratch // of the reading goroutine
	stats     stats
}

// passed is an entry that was read.
type passed struct {
	entry  *Entry
	item   *analysis.Item
	origin analysis.Origin
	body   []byte
	large  bool
	ended  chan struct{} // closed when it has an outcome
}

// NewPath returns a path; Run does its work.
func NewPath(c Config) *Path {
	return &Path{
		config: c, entries: make(chan *Entry, queued), read: make(chan *passed, queued), verify: make(chan struct{}, verifying),
		pairs: pairs{store: c.Store, now: c.Now}, pace: pace{busy: c.Busy},
	}
}

// Put hands over an entry and waits for room. The error is that of ctx; Done is then not called.
func (p *Path) Put(ctx context.Context, e Entry) error {
	n := int64(len(e.Input.Body))
	if err := p.room.take(ctx, n); err != nil {
		return err
	}
	done := e.Done
	e.Done = func(o ItemResult) {
		p.room.give(n)
		done(o)
	}
	select {
	case p.entries <- &e:
		return nil
	case <-ctx.Done():
		p.room.give(n)
		return ctx.Err()
	}
}

// room bounds the octets of all pending entries. A single entry always has room.
type room struct {
	mu    sync.Mutex
	taken int64
	freed chan struct{} // closed and made anew when octets are given back
}

// held is about how many octets of entries are in memory at a time.
const held = 48 << 20

func (r *room) take(ctx context.Context, n int64) error {
	for {
		r.mu.Lock()
		if r.taken == 0 || r.taken+n <= held {
			r.taken += n
			r.mu.Unlock()
			return nil
		}
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}

// Close announces that no more entries come: Run ends after the pending ones. Put must not be
// called at the same time or afterwards.
func (p *Path) Close() { close(p.entries) }

// Run works until ctx ends or Close. Each entry that was put gets an outcome.
func (p *Path) Run(ctx context.Context) {
	var storing sync.WaitGroup
	storing.Go(func() { p.storeAll(ctx) })
	p.readAll(ctx)
	close(p.read)
	storing.Wait()
	for {
		select {
		case e, open := <-p.entries:
			if !open {
				return
			}
			e.Done(ItemResult{Err: context.Cause(ctx)})
		default:
			return
		}
	}
}

// readAll reads entries. Signatures are verified before, several mails at a time, because that
// waits for DNS.
func (p *Path) readAll(ctx context.Context) {
	verified := make(chan func())
	var waiting int
	for entries := p.entries; entries != nil || waiting > 0; {
		in := entries
		if waiting >= verifying {
			in = nil
		}
		select {
		case <-ctx.Done():
			for ; waiting > 0; waiting-- {
				(<-verified)()
			}
			return
		case finish := <-verified:
			waiting--
			finish()
		case e, open := <-in:
			if !open {
				entries = nil
				continue
			}
			if p.begin(ctx, e, verified) {
				waiting++
			}
		}
	}
}

// begin opens an entry and reads it, or first has its signatures verified; later reports the
// latter.
func (p *Path) begin(ctx context.Context, e *Entry, verified chan<- func()) (later bool) {
	body, err := e.Input.Body, error(nil)
	if e.Open != nil {
		body, err = e.Open()
	}
	if err != nil {
		e.Done(ItemResult{Err: err})
		return false
	}
	e.Input.Body = nil
	c := p.complete(ctx)
	if e.Stored {
		e.Origin.Addresses = c.recipientsOf(body)
	}
	from, known := c.known(&e.Origin, body)
	isMail := e.Input.Mail || sniff(body) == mailContent
	if known || c.keys == nil || e.Input.TooLarge || !isMail {
		p.finish(ctx, e, body, from)
		return false
	}
	go func() {
		bounded, cancel := context.WithTimeout(ctx, verifyTime)
		defer cancel()
		from := verifySignatures(bounded, c.keys, body)
		verified <- func() { p.finish(ctx, e, body, from) }
	}()
	return true
}

// verifyTime bounds the look-ups for the signatures of one mail.
const verifyTime = 20 * time.Second

// complete returns the completer for the settings in force.
func (p *Path) complete(ctx context.Context) *completer {
	s := p.config.Settings()
	accepted := p.pairs.get(ctx)
	if p.completer == nil || p.completer.settings != s {
		p.completer = newCompleter(s, p.config.Keys)
	}
	c := *p.completer
	c.accepted = func(auth, email dns.Name) bool { return accepted[[2]dns.Name{auth, email}] }
	return &c
}

// finish reads an entry and passes it on. A large one is stored before the next is read.
func (p *Path) finish(ctx context.Context, e *Entry, body []byte, from sender) {
	if ctx.Err() != nil {
		e.Done(ItemResult{Err: context.Cause(ctx)})
		return
	}
	item, err := p.open(ctx, e, body)
	if err != nil {
		e.Done(ItemResult{Err: err})
		return
	}
	c := p.complete(ctx)
	c.complete(item, &e.Origin, from)
	origin := analysis.Origin{Mail: e.Input.Mail, Admin: from.admin, Failed: from.failed, Auth: from.domain, Addresses: e.Origin.Addresses}
	if item.Raw != nil {
		item.Origin = origin
	}
	if item.Kind == analysis.KindBounce && p.config.Bounced != nil {
		if err := p.config.Bounced(ctx, body); err != nil {
			p.config.Log.Warn("a bounce could not be stored", "error", err.Error())
		}
	}
	out := &passed{entry: e, item: item, origin: origin, body: body, large: len(body) > largeBytes || rows(item) > batchRows, ended: make(chan struct{})}
	p.read <- out
	if out.large {
		<-out.ended
	}
}

// open reads an entry; it sets aside one that causes a panic.
func (p *Path) open(ctx context.Context, e *Entry, body []byte) (item *analysis.Item, err error) {
	in := e.Input
	in.Body = body
	if e.Attempts >= poisonous {
		return asUnread(&in, fmt.Sprintf("it was taken %d times without an end, and is not opened any more", e.Attempts))
	}
	defer func() {
		if trouble := recover(); trouble != nil {
			p.config.Log.Error("reading a received report failed", "name", in.Name, "panic", fmt.Sprint(trouble), "stack", string(debug.Stack()))
			item, err = asUnread(&in, "trouble of the reader")
		}
	}()
	return Read(ctx, in, Options{Limits: limitsOf(&p.config.Settings().Analysis.Limits), Rest: p.pace.rest, Scratch: &p.scratch})
}

func rows(item *analysis.Item) int {
	n := 0
	for i := range item.Reports {
		n += len(item.Reports[i].Rows)
	}
	return n
}

// pace gives mail priority: while some is being evaluated, work pauses after each slice.
type pace struct {
	busy func() bool
	last time.Time
}

// Lengths of a slice of work, and of the pause after it.
const (
	slice = time.Millisecond
	stop  = 2 * time.Millisecond
)

func (p *pace) rest(ctx context.Context) {
	if time.Since(p.last) < slice {
		return
	}
	if p.busy == nil || !p.busy() {
		runtime.Gosched()
	} else {
		t := time.NewTimer(stop)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	p.last = time.Now()
}

// pairs are the decisions on reports under another name, refreshed periodically.
type pairs struct {
	store Store
	now   func() time.Time
	at    time.Time
	known map[[2]dns.Name]bool
}

func (p *pairs) get(ctx context.Context) map[[2]dns.Name]bool {
	const good = 30 * time.Second
	if p.known != nil && p.now().Sub(p.at) < good {
		return p.known
	}
	list, err := p.store.Pairs(ctx)
	p.at = p.now()
	if err != nil { // those known so far hold; what is stored follows decisions later
		return p.known
	}
	p.known = make(map[[2]dns.Name]bool, len(list))
	for _, one := range list {
		p.known[[2]dns.Name{one.Auth, one.Email}] = one.Accepted
	}
	return p.known
}
