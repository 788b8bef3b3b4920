// Package probe puts one message to the test at the request of a person: through the
// filter in this process, as "dmarcd check" does, or as the mail that "dmarcd ping"
// sends through the daemon's socket.
package probe
