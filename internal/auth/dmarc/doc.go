// Package dmarc evaluates one message by RFC 9989: it finds the policy record for
// the author domain and the organizational domains by tree walk, and reports whether
// an authenticated identifier aligns. It takes identifiers and is independent of SPF
// and DKIM. Its only I/O goes through a Resolver.
//
// A Discoverer begins a Discovery when the author domain is known, which sends all
// queries at once; Evaluate ends it when the results of SPF and DKIM are known.
package dmarc
