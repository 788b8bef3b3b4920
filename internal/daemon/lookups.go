package daemon

import (
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
)

// NewLookups returns a resolver without a cache, separate from the one for mail. It serves record
// verification, which needs current answers, and names of sources, which must not displace the
// look-ups of mail.
func NewLookups(config *settings.Settings) (*resolver.Client, error) {
	c := resolverConfig(config.Resolver)
	c.CacheEntries = 0
	return openResolver(c)
}

// sourceCache is the cache size of newSourceLookups: the SPF records of managed domains, with their
// includes.
const sourceCache = 4096

// newSourceLookups returns the resolver for records that are compared with the sources of received
// reports, one after the other.
func newSourceLookups(config *settings.Settings) (*resolver.Client, error) {
	c := resolverConfig(config.Resolver)
	c.CacheEntries = sourceCache
	return openResolver(c)
}
