// Package api defines every question and command for dmarcd once, as a typed operation. The
// admin socket carries them, commands call them, and the console and /api/v1 are made from the
// same table. It has no SQL, HTTP or flags; a Service passes in memory and running parts as
// interfaces.
//
// Each call has a Viewer. A viewer limited to domains gets answers only about these domains.
// The Scope of an operation states how it ensures that, and a test asks every operation in the
// table about a foreign domain.
//
// # To add a question
//
// Change three files, and the page of docs/ that lists the commands:
//
//  1. a file of this package: the types of request and answer (JSON, snake_case; fields that
//     may be empty have omitempty or omitzero) and a function that returns the Op, or the
//     Stream if the answer is unbounded. Its Scope states how the viewer's domains apply. Its
//     Example is a request for the test of the table; one that names a domain names
//     example.org.
//  2. table.go: the name of that function in Table.
//  3. a command in cmd/dmarcd, which asks by Op.Ask or Stream.Each and prints.
//
// An operation that needs anything in addition to the memory (received reports, DNS) declares
// it as an interface of one to four methods in its own file, as a field of Service;
// internal/daemon sets it, and the two tenants of table_test.go get data for it. A nil field
// means that this process does not have it: answer missing(…).
//
// Errors have kinds: errkind.BadRequest for an invalid request, errkind.NotFound if the answer
// is no; an error without a kind is trouble.
package api
