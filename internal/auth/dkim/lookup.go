package dkim

import (
	"context"
	"errors"
	"fmt"

	"dmarcd/internal/dns"
)

// Resolver fetches keys. LookupTXT returns one string for each TXT record, its
// character-strings joined (RFC 6376 section 3.6.2.2). An error for which
// dns.IsNone holds means that there is no key, dns.ErrQueryLimit that the message
// has used up its queries; any other is temporary. It must return soon after ctx is
// done and must be safe for concurrent use.
type Resolver interface {
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
}

// Cache is an optional interface of a Resolver. It answers as LookupTXT would if it
// can do so at once, and otherwise returns false. A cached key needs no goroutine.
type Cache interface {
	Cached(name dns.Name) ([]string, error, bool)
}

// maxKeyRecords is how many key records at one name are tried. One is usual;
// several are undefined by RFC 6376 section 3.6.2.2 but occur.
const maxKeyRecords = 4

// keyLookup is one look-up, shared by all signatures that use the key. Until done is
// closed, only the goroutine that runs it may use fields other than name.
type keyLookup struct {
	name     dns.Name
	done     chan struct{}
	keys     []keyRecord
	first    [1]keyRecord // storage for keys, rarely more than one
	none     conclusion   // why there are no keys; zero if there are
	panicked any          // passed to the goroutine of the message
}

// cached reads the key records if the cache has them.
func (l *keyLookup) cached(res Resolver) bool {
	c, ok := res.(Cache)
	if !ok {
		return false
	}
	texts, err, ok := c.Cached(l.name)
	if ok {
		l.none = l.read(texts, err)
		close(l.done)
	}
	return ok
}

// run fetches and parses the key records.
func (l *keyLookup) run(ctx context.Context, res Resolver) {
	defer close(l.done)
	defer func() { l.panicked = recover() }()
	l.none = conclusion{status: TempError, err: ErrKeyLookup} // remains if the resolver ends the goroutine
	texts, err := res.LookupTXT(ctx, l.name)
	l.none = l.read(texts, err)
}

func (l *keyLookup) read(texts []string, err error) conclusion {
	switch {
	case err == nil && len(texts) == 0:
		err = dns.ErrNoData
		fallthrough
	case err != nil && dns.IsNone(err): // RFC 6376 section 6.1.2 rule 2
		return conclusion{status: PermError, err: fmt.Errorf("%w at %s: %w", ErrNoKey, l.name, err)}
	case errors.Is(err, dns.ErrQueryLimit):
		return conclusion{status: Policy, err: fmt.Errorf("%w: %w", ErrLimit, err)}
	case err != nil: // section 6.1.2 rule 1
		return conclusion{status: TempError, err: fmt.Errorf("%w: %w", ErrKeyLookup, err)}
	}
	var fault error
	l.keys = l.first[:0]
	for _, text := range texts {
		key, err := parseKey(text)
		switch {
		case err == nil && len(l.keys) < maxKeyRecords:
			l.keys = append(l.keys, key)
		case err != nil && (fault == nil || errors.Is(fault, ErrKeySyntax)):
			fault = fmt.Errorf("%w (%s)", err, l.name) // a revoked key is a better reason than a stray record
		}
	}
	if len(l.keys) == 0 {
		return conclusion{status: PermError, err: fault}
	}
	return conclusion{}
}

// ready reports whether the look-up has ended, without waiting.
func (l *keyLookup) ready() bool {
	select {
	case <-l.done:
		if l.panicked != nil {
			panic(l.panicked)
		}
		return true
	default:
		return false
	}
}

// wait waits for the end of the look-up or of ctx and reports which it was.
func (l *keyLookup) wait(ctx context.Context) bool {
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	return l.ready()
}
