// Package source identifies who is behind an address that mail came from. It has a map of
// email services, and a pure function that maps the facts about an address to the service,
// with evidence and confidence. It makes look-ups only through the interfaces passed in, and
// has no clock.
//
// # Evidence
//
// From the strongest to the weakest:
//
//  1. a network in the operator's source map;
//  2. own infrastructure: the managed domain's own SPF record covers the address by a
//     mechanism of its own (not by include), or the address has a forward-confirmed name
//     below a managed domain;
//  3. a forward-confirmed name below that of a service;
//  4. SPF passed for a return path below the domain of a service, which thereby declares
//     the address its own;
//  5. the managed domain's SPF record covers the address by an include that belongs to
//     a service;
//  6. a signature of a service (d=), otherwise a valid signature of the managed domain under
//     a selector that only one service hands out, if the address has no confirmed name;
//  7. the forward-confirmed name alone;
//  8. the owner of the network, from a database that the operator supplies.
//
// A reverse name that is not confirmed proves nothing, because the owner of an address can
// choose it freely: it is kept as evidence and identifies no service.
//
// # Divergences
//
//   - A signature belongs to the service that the mail came from first, and stays valid
//     when others forward the mail. It therefore identifies the source only if nothing tells
//     who runs the host; otherwise it is the Origin of the mail.
//   - A confirmed name or a return path of a service takes precedence over own networks of
//     the SPF record: these often list addresses that a service dedicates to a customer.
package source
