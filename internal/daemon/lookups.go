package daemon

import (
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
)

// NewLookups makes a resolver without a cache, apart from the one that mail is judged
// with: for records that are verified, which must be seen as they are now, and for
// names of sources, which must not crowd the look-ups of mail out.
func NewLookups(config *settings.Settings) (*resolver.Client, error) {
	c := resolverConfig(config.Resolver)
	c.CacheEntries = 0
	return openResolver(c)
}

// sourceCache is how many answers newSourceLookups keeps: the SPF records of managed
// domains, with what they include.
const sourceCache = 4096

// newSourceLookups makes the resolver for records that the sources of received reports
// are compared with, one source after the other.
func newSourceLookups(config *settings.Settings) (*resolver.Client, error) {
	c := resolverConfig(config.Resolver)
	c.CacheEntries = sourceCache
	return openResolver(c)
}
