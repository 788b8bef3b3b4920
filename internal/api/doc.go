// Package api has every question and command that a person may put to dmarcd, each
// once, as a typed operation. The admin socket carries them, commands call them, and
// the console and /api/v1 are made from the same table. It knows neither SQL nor HTTP
// nor flags; what is remembered and what runs is handed to it as interfaces, in a
// Service.
//
// Each call has a Viewer. One who is limited to domains gets answers about these
// domains alone. An operation says by its Scope how it sees to that, and a test walks
// the table and asks each one about a foreign domain.
//
// # To add a question
//
// Three files are touched, beside the page of docs/ that lists the commands:
//
//  1. a file of this package: the types of request and answer (JSON, snake_case; what
//     may be empty has omitempty or omitzero) and a function that gives the Op, or the
//     Stream where the answer has no bound. Its Scope says how the viewer's domains
//     are applied, its Example is a request that the test of the table asks; one that
//     names a domain names example.org.
//  2. table.go: the name of that function in Table.
//  3. a command in cmd/dmarcd, which asks by Op.Ask or Stream.Each and prints.
//
// An operation that needs something new beside the memory (received reports, DNS)
// declares it as an interface of one to four methods in its own file, as a field of
// Service; internal/daemon fills it in, and the two tenants of table_test.go get data
// for it. A nil field means that this process does not have it: answer missing(…).
//
// Errors have kinds: errkind.BadRequest for what makes no sense, errkind.NotFound where
// the answer is no; one without a kind is trouble.
package api
