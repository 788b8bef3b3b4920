package filter

import (
	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/settings"
)

// prepared is the state that all messages under the same settings share.
type prepared struct {
	settings *settings.Settings
	ids      *authres.IDs
	// spf and discoverer lack their resolver, which is each transaction's own.
	spf        spf.Checker
	discoverer dmarc.Discoverer
}

// prepare returns the shared parts for s, making them when s is new.
func (f *Filter) prepare(s *settings.Settings) *prepared {
	if p := f.prepared.Load(); p != nil && p.settings == s {
		return p
	}
	p := &prepared{
		settings:   s,
		ids:        authres.NewIDs(append([]string{s.AuthServID}, s.RemoveAuthServIDs...)...),
		spf:        spf.Checker{Receiver: s.AuthServID, Now: f.now, Prefetch: true},
		discoverer: dmarc.Discoverer{PSL: s.Discovery == settings.DiscoveryPSL},
	}
	f.prepared.Store(p)
	return p
}
