// Package spf checks a mail's sender against the policy that the sender's
// domain publishes: check_host() of RFC 7208, with its limits, macros and
// explanations, for MAIL FROM, HELO and the null reverse-path. A record is
// parsed to its end before any of it is evaluated (section 4.6), and the result
// says which term decided, by which chain of includes and redirects, what came of
// every term on the way, and what it cost.
//
// Divergences, and choices where the text leaves one:
//
//   - A record of over 16384 octets or 1024 terms, or a domain-spec of over 1024
//     octets, is a PermError; the RFC sets no bound.
//   - An identity whose domain has octets beside letters, digits, "-" and "_" or
//     a numeric top label, such as a bare address in HELO, is malformed: None
//     (section 4.3). So is a check without a client address.
//   - A target that no query can carry (empty or over-long label) makes a
//     mechanism not match and include or redirect a PermError (section 4.8
//     leaves it open).
//   - Void look-ups are counted by term (section 4.6.4 speaks of terms): an mx
//     with three hosts without an AAAA record counts once.
//   - More than ten MX hosts are a PermError at once, whether or not one of the
//     first ten would match: the order of hosts is the resolver's chance.
//   - One check makes at most 75 DNS queries; a record that needs more is a PermError.
//     The limits of section 4.6.4 allow ten mx with ten hosts each.
//   - The reverse look-up of %{p} costs one of the ten (section 4.6.4), once.
//   - All look-ups for ptr and %{p} in one check take a fifth of the time left at
//     the first of them, and at most two seconds; what is not known by then is
//     skipped (section 5.5). The client's name servers cannot use up the time of
//     a check and so turn a fail into a temperror.
//   - A redirect whose target has %{s} or %{l} while the local part is not ASCII
//     is passed over (RFC 8616 section 4: such a term does not match anything).
//   - The local part expands as sent; quotes around it are kept. One of over 1024
//     octets counts as not ASCII, and so does, for %{h}, a HELO of over 255 octets
//     or with octets that make no U-label.
//   - An explanation is cut at 200 octets, and dropped if any octet of it, the
//     sender's share included, is not printable ASCII.
package spf
