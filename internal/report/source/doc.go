// Package source finds out who is behind an address that mail came from: a map of
// email services, and a pure function from what is known of an address to the service,
// with the evidence and how sure it is. It looks nothing up but by interfaces that are
// handed in, and has no clock.
//
// # Evidence
//
// From the strongest to the weakest:
//
//  1. a network that the operator's source map names;
//  2. own infrastructure: the managed domain's own SPF record covers the address by a
//     mechanism of its own (not by include), or the address has a forward-confirmed name
//     below a managed domain;
//  3. a forward-confirmed name below that of a service;
//  4. SPF passed for a return path below the domain of a service, which so says itself
//     that the address is its own;
//  5. the managed domain's SPF record covers the address by an include that belongs to
//     a service;
//  6. a signature of a service (d=), else a valid signature of the managed domain under
//     a selector that one service alone hands out, where the address has no confirmed
//     name;
//  7. the forward-confirmed name alone;
//  8. the owner of the network, by a database that the operator gives.
//
// A reverse name that is not confirmed proves nothing, as the owner of an address
// writes there what they like: it is kept as evidence and names no service.
//
// # Divergences
//
//   - A signature is of the service that the mail comes from first, and stays valid
//     when others hand it on. It therefore names the source only where nothing tells
//     who runs the host; elsewhere it is the Origin of the mail.
//   - A confirmed name or a return path of a service goes before own networks of the SPF
//     record: addresses that a service dedicates to a customer are often listed there.
package source
