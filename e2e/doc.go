// Package e2e proves dmarcd end to end: real SMTP through a real Postfix and a
// real Sendmail, both sending through one running dmarcd, with a DNS server of
// ours behind all of them and a mailbox that keeps what was delivered.
//
//	client ─SMTP→ Postfix  ─milter→ dmarcd ─┬─DNS→ the zone in testdata
//	       ─SMTP→ Sendmail ─milter→    "    │
//	                  └──────SMTP→ sink     └─ reject, hold, deliver
//
// What dmarcd remembers of that mail is then asked for, and its reports are
// followed: by Postfix to the senders' mail servers, which are the sink again, and
// back by the milter, where they bounce. A day is made to end by putting the
// records of its mail a day back while dmarcd is down.
//
// The other way round, reports that others send come in by the milter, by LMTP from
// Postfix, and by IMAP from a real Dovecot, with and without MOVE.
//
// The tests are behind the build tag e2e and are run by "make e2e", which first
// has scripts/fetch-mtas unpack both MTAs and Dovecot below build/. They need root: the test
// binary runs itself again in namespaces of its own (network, mounts,
// processes), where it has the addresses of RFC 5737 and RFC 3849 on the
// loopback interface and the standard ports for itself. Nothing is installed,
// nothing outside can be reached or disturbed, and when the test ends, however it
// ends, the kernel takes the processes, the mounts and the addresses away.
//
// The set-up reads as documentation:
//
//   - testdata/postfix and deploy/postfix: what Postfix is told
//   - testdata/sendmail and deploy/sendmail: what Sendmail is told
//   - testdata/dovecot: what Dovecot is told
//   - testdata/dmarcd: the daemon's two files, and those of one whose reports meet
//     trouble
//   - testdata/zone: who publishes what
//   - cases_test.go: who sends what, and what must come of it
package e2e
