// Package dmarc evaluates one message by RFC 9989: it finds the policy record
// for the author domain and the organizational domains by tree walk, and says
// whether an authenticated identifier aligns. It knows neither SPF nor DKIM: it
// takes identifiers. It does no I/O but through a Resolver.
//
// A Discoverer begins a Discovery when the author domain is known, which sends
// all queries at once; Evaluate ends it when SPF and DKIM have spoken.
//
// # Divergences
//
// Where RFC 9989 does not decide, or where we differ from it on purpose:
//
//   - A record without a p tag and without a reporting URI: section 4.7 wants it
//     read as p=none, section 4.10.1 wants no processing. The result is None.
//   - The first of several tags of one name counts. White space before "v" and
//     empty tags (";;") are tolerated, and CR and LF count as white space. Names of
//     tags are case-sensitive, but "V=DMARC1" is read like "v=DMARC1"; values are not,
//     but for that of v.
//   - A malformed fo, such as "0:1", is its default "0".
//   - A mailto: URI is valid if it names one address with a plain local part and
//     a host name: what a report cannot be sent to safely is no reporting URI. A comma
//     in the local part, encoded, is fine (section 4.8).
//   - An author domain that is an alias exists, also where the alias leads nowhere: the
//     answer is NXDOMAIN of the target (RFC 8020). One that a DNAME made up does not.
//   - An identifier whose tree walk would take the queries of a message beyond a bound
//     of ours does not align.
//   - The record of an organizational domain that the walk did not ask for (eight
//     labels, below a psd=y of seven) is not looked for.
//   - An identifier aligns with the author domain if their names are the same,
//     even where no record is published there (section 4.10.2 has it so only
//     with a record).
//   - A DNS error makes the result TempError only if another answer could have
//     changed it; section 5.3.6 would have it for every query that fails. Where
//     the existence of the author domain is unknown, the weaker of sp and np is
//     requested.
//   - Discovery by the public suffix list (Discoverer.PSL) takes the
//     organizational domain, and that several records at one name end the search,
//     from RFC 7489. Records are read as in RFC 9989: np and t count, pct does
//     not. psd is ignored, and no public suffix is asked for a record.
package dmarc
