// Package dnstest is the DNS of the project's tests: a Zone answers look-ups
// from memory, a Server speaks real packets on UDP and TCP, both filled from
// the same zone text and able to fail on purpose, by name.
//
// Zone text is master-file form (RFC 1035 section 5): one record a line,
// relative names taken as absolute, TTL 300 where none is given, quoted strings
// of over 255 octets split into several:
//
//	example.com          TXT  "v=spf1 mx -all"
//	example.com      60  MX   10 mail.example.com
//	mail.example.com     A    192.0.2.1
//	*.wild.example       TXT  "any name below"
//	key.example          TXT  "one string" " and the next"  ; a comment
//
// A name that has descendants exists: it answers with no data, not with
// NXDOMAIN. Names not listed are NXDOMAIN.
//
// Beside records, a line
//
//	name  FAULT  kind [TYPE] [times=N] [delay=DURATION]
//
// makes queries for that name go wrong: all types, or TYPE alone; always, or
// the first N times. Several lines for one name are tried in their order. A
// fault at the target of a CNAME strikes the query for the alias. The kinds:
//
//	timeout         no answer (a Zone fails at once instead of waiting)
//	servfail        SERVFAIL
//	refused         REFUSED
//	nxdomain        NXDOMAIN, whatever the zone has
//	nodata          an empty answer, whatever the zone has
//	truncate        TC on UDP; the true answer over TCP
//	garbage         octets that are no DNS message
//	wrong-id        an answer with another id
//	wrong-question  an answer to another question
//	forged          a wrong id, a wrong question and garbage; the true answer then
//	huge            an answer of nearly 64 KiB: TC on UDP, whole over TCP
//	bare            the first CNAME alone, its target not followed
//	no-edns         FORMERR while the query has an OPT record
//	none            no fault; for delay= alone
package dnstest
