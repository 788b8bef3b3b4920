// Package spf checks the sender of a message against the SPF policy of the
// sender's domain. It implements check_host() of RFC 7208, with its limits, macros
// and explanations, for MAIL FROM, HELO and the null reverse-path. It parses a
// record completely before it evaluates any of it (section 4.6). The result names
// the term that decided, the includes and redirects that led to it, the outcome of
// every term evaluated, and the cost.
//
// Divergences, and choices where the text leaves one:
//
//   - A record of over 16384 octets or 1024 terms, or a domain-spec of over 1024
//     octets, is a PermError; the RFC sets no bound.
//   - An identity is malformed if its domain has octets other than letters, digits,
//     "-" and "_", or a numeric top label, such as a bare address in HELO. The
//     result is None (section 4.3), as it is for a check without a client address.
//   - A target that no query can carry (empty or over-long label) makes a
//     mechanism not match and include or redirect a PermError (section 4.8
//     leaves it open).
//   - Void look-ups are counted by term (section 4.6.4 speaks of terms): an mx
//     with three hosts without an AAAA record counts once.
//   - More than ten MX hosts are a PermError at once, even if one of the first ten
//     would match, because the order of hosts depends on the resolver.
//   - One check makes at most 75 DNS queries; a record that needs more is a PermError.
//     The limits of section 4.6.4 allow ten mx with ten hosts each.
//   - The reverse look-up of %{p} costs one of the ten (section 4.6.4), once.
//   - All look-ups for ptr and %{p} in one check together get a fifth of the time
//     left at the first of them, and at most two seconds; what is unknown by then is
//     skipped (section 5.5). The client's name servers therefore cannot use up the
//     time of a check and turn a fail into a temperror.
//   - A redirect whose target has %{s} or %{l} is ignored if the local part is not
//     ASCII (RFC 8616 section 4: such a term does not match anything).
//   - The local part expands as sent, with any quotes. A local part of over 1024
//     octets counts as not ASCII; so does, for %{h}, a HELO of over 255 octets or
//     with octets that form no U-label.
//   - An explanation is cut at 200 octets, and dropped if any octet of it, including
//     what the sender contributed, is not printable ASCII.
package spf
