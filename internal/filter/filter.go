// Package filter processes one message: it starts SPF, DKIM and DMARC as soon as their
// data has arrived, collects their results at end of message, applies the rules of each
// recipient's domain and decides what to do. It depends on neither the milter protocol
// nor a database.
package filter

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Resolver answers the lookups of all three mechanisms. Errors are those of package dns.
// It is used from several goroutines.
type Resolver interface {
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
	LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error)
	LookupMX(ctx context.Context, name dns.Name) ([]dns.Name, error)
	LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error)
}

// Filter judges messages. It is safe for concurrent use; the state it keeps between
// messages is bounded.
type Filter struct {
	resolver  Resolver
	cache     cache // nil where the resolver has none
	now       func() time.Time
	conflicts conflicts
	deferred  deferrals
	relays    *relays
	unmanaged atomic.Int64 // recipients
	prepared  atomic.Pointer[prepared]
}

// New makes a Filter. Now is the clock, time.Now where nil.
func New(resolver Resolver, now func() time.Time) *Filter {
	if now == nil {
		now = time.Now
	}
	known, _ := resolver.(cache)
	return &Filter{resolver: resolver, cache: known, now: now,
		conflicts: conflicts{newEnvelopes[conflict]()}, deferred: deferrals{newEnvelopes[deferral]()}, relays: newRelays()}
}

// Unmanaged counts the recipients of inbound messages that had none of ours.
func (f *Filter) Unmanaged() int64 { return f.unmanaged.Load() }

// Begin opens the transaction for one message at MAIL. It uses s to the end, even if
// settings are reloaded meanwhile. Env holds what is known so far; recipients and queue
// id come later. The SPF check starts at once. The caller ends the transaction with
// EndOfMessage or Abort.
func (f *Filter) Begin(ctx context.Context, s *settings.Settings, env message.Envelope) *Transaction {
	if relay := relaySource(s, env.ClientIP); relay != nil && !loggedIn(s, &env) {
		t := f.begin(ctx, s, env)
		t.relay = relay
		return t
	}
	if reason := bypassReason(s, &env); reason != "" {
		return &Transaction{filter: f, settings: s, env: env, ctx: ctx, bypassed: reason}
	}
	return f.BeginUntrusted(ctx, s, env)
}

// begin makes a transaction and starts no check.
func (f *Filter) begin(ctx context.Context, s *settings.Settings, env message.Envelope) *Transaction {
	t := &Transaction{filter: f, settings: s, shared: f.prepare(s), env: env, peer: env.ClientIP, ctx: ctx}
	t.lookups.resolver, t.lookups.cache = f.resolver, f.cache
	t.collector.limits(s.Limits.HeaderFields, int(s.Limits.HeaderBytes))
	t.forged = authres.NewFinder(t.shared.ids)
	return t
}

// BeginUntrusted is Begin for mail that is judged whatever its source, such as a message
// checked by hand.
func (f *Filter) BeginUntrusted(ctx context.Context, s *settings.Settings, env message.Envelope) *Transaction {
	t := f.begin(ctx, s, env)
	t.startSPF()
	return t
}

// loggedIn reports whether mail is not inbound because its client logged in.
func loggedIn(s *settings.Settings, env *message.Envelope) bool {
	return env.AuthUser != "" && s.SkipAuthenticated
}

// bypassReason says why mail is not inbound; "" for inbound mail.
func bypassReason(s *settings.Settings, env *message.Envelope) policy.Reason {
	switch {
	case loggedIn(s, env):
		return policy.ReasonLogin
	case !env.ClientIP.IsValid() || s.TrustedNetworks.Match(env.ClientIP):
		return policy.ReasonTrusted
	}
	return ""
}
