package milter_test

import (
	"testing"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// Defects 7 to 12 of the list in defects_test.go: the calls of the Session.

func TestDefect07FieldsOfOneMessageOnly(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustSend(t, m, note("one"))
	mustSend(t, m, note("two"))
	equal(t, "fields", r.session().having("header"), []string{
		`header From:" a@example.net"`, `header Subject:" one"`,
		`header From:" a@example.net"`, `header Subject:" two"`,
	})
}

func TestDefect08MacrosByStage(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustGreet(t, m, miltertest.Peer{Addr: "192.0.2.1", Macros: map[byte][]string{
		miltertest.CmdConnect: {"j", "mx.example.org", "{daemon_name}", "smtpd", "v", "Postfix 3.7.11"},
		miltertest.CmdHelo:    {"{tls_version}", "TLSv1.3"},
	}})
	msg := note("one")
	msg.Macros = map[byte][]string{
		miltertest.CmdMail: {"i", "4F001", "{auth_authen}", "user", "{auth_type}", "PLAIN"},
		miltertest.CmdRcpt: {"{rcpt_mailer}", "error", "{rcpt_addr}", "b@example.org"},
		miltertest.CmdEnd:  {"i", "4F002"},
	}
	mustSend(t, m, msg)
	mustSend(t, m, note("two")) // sends no macros: none of the first may remain
	msg = note("three")
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"i", "4F003"}}
	m.Unbuffered = true
	mustSend(t, m, msg)
	s := r.session()
	equal(t, "connect", s.having("connect"), []string{
		"connect host=client.example addr=192.0.2.1 daemon=smtpd mta=mx.example.org version=Postfix 3.7.11"})
	equal(t, "mail", s.having("mail"), []string{
		"mail <a@example.net> auth=user id=4F001", "mail <a@example.net> auth= id=", "mail <a@example.net> auth= id=4F003"})
	equal(t, "rcpt", s.having("rcpt"), []string{
		"rcpt <b@example.org> mailer=error", "rcpt <b@example.org> mailer=", "rcpt <b@example.org> mailer="})
	equal(t, "end", s.having("end"), []string{"end id=4F002", "end id=", "end id=4F003"})

	// Macros for one recipient must not be used for the next, nor those for one client.
	m.Unbuffered = false
	mustGreet(t, m, miltertest.Peer{Macros: map[byte][]string{miltertest.CmdConnect: {"j", "mx2.example.org"}}})
	m.PutStrings(miltertest.CmdMail, "<b@example.net>")
	m.Macros(miltertest.CmdRcpt, "{rcpt_mailer}", "error")
	m.PutStrings(miltertest.CmdRcpt, "<b@example.org>")
	m.PutStrings(miltertest.CmdRcpt, "<c@example.org>")
	m.Put(miltertest.CmdAbort)
	mustSend(t, m, note("barrier"))
	equal(t, "second connect", s.having("connect")[1:], []string{
		"connect host=client.example addr=192.0.2.1 daemon= mta=mx2.example.org version="})
	equal(t, "two recipients", s.having("rcpt")[3:5], []string{
		"rcpt <b@example.org> mailer=error", "rcpt <c@example.org> mailer="})

	// The mark of a test is for one message, too.
	msg = note("test")
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"{" + milter.TestMacro + "}", "1"}}
	mustSend(t, m, msg)
	mustSend(t, m, note("no test"))
	equal(t, "marked as tests", s.having("mail")[5:], []string{"mail <a@example.net> auth= id= test", "mail <a@example.net> auth= id="})

	// An aborted transaction leaves nothing either.
	m.Macros(miltertest.CmdMail, "i", "4F004", "{auth_authen}", "other")
	m.PutStrings(miltertest.CmdMail, "<c@example.net>")
	m.Put(miltertest.CmdAbort)
	mustSend(t, m, note("four"))
	mails := s.having("mail")
	equal(t, "mail after an abort", mails[7:], []string{
		"mail <c@example.net> auth=other id=4F004", "mail <a@example.net> auth= id="})
}

func TestDefect09IPv6OfSendmail(t *testing.T) {
	for _, c := range []struct {
		name   string
		addr   string
		macros []string
		want   string
	}{
		{"Sendmail", "IPv6:2001:db8::1", nil, "2001:db8::1"},
		{"Postfix", "2001:db8::1", nil, "2001:db8::1"},
		{"small letters", "ipv6:2001:db8::1", nil, "2001:db8::1"},
		{"IPv4 mapped", "::ffff:192.0.2.9", nil, "192.0.2.9"},
		{"with a zone", "fe80::1%eth0", nil, "fe80::1"},
		{"IPv4", "192.0.2.9", nil, "192.0.2.9"},
		{"macro does not overrule", "192.0.2.9", []string{"{client_addr}", "198.51.100.1"}, "192.0.2.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.openAs(miltertest.Sendmail())
			m.Unbuffered = true
			mustGreet(t, m, miltertest.Peer{Addr: c.addr, Macros: map[byte][]string{miltertest.CmdConnect: c.macros}})
			barrier(t, m)
			equal(t, "connect", r.session().having("connect"),
				[]string{"connect host=client.example addr=" + c.want + " daemon= mta= version="})
		})
	}
}

func TestDefect10LocalClients(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   miltertest.Peer
		macros []string
		want   string
	}{
		{"unix", miltertest.Peer{Family: 'L', Addr: "/run/smtp.sock"}, nil, "invalid IP"},
		{"unknown", miltertest.Peer{Family: 'U'}, nil, "invalid IP"},
		{"unknown with the macro", miltertest.Peer{Family: 'U'}, []string{"{client_addr}", "IPv6:2001:db8::5"}, "2001:db8::5"},
		{"an address that cannot be read", miltertest.Peer{Family: '4', Addr: "localhost"}, nil, "invalid IP"},
		{"an empty address", miltertest.Peer{Family: '6', Addr: "IPv6:"}, nil, "invalid IP"},
		{"an address that cannot be read, with the macro", miltertest.Peer{Family: '6', Addr: "nonsense"}, []string{"{client_addr}", "192.0.2.77"}, "192.0.2.77"},
		{"unix with a macro that is no address", miltertest.Peer{Family: 'L', Addr: "x"}, []string{"{client_addr}", "0"}, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.open()
			c.peer.Macros = map[byte][]string{miltertest.CmdConnect: c.macros}
			mustGreet(t, m, c.peer)
			barrier(t, m)
			equal(t, "connect", r.session().having("connect"),
				[]string{"connect host=client.example addr=" + c.want + " daemon= mta= version="})
		})
	}
}

func TestDefect11Paths(t *testing.T) {
	for _, c := range []struct{ name, path string }{
		{"plain", "<a@example.net>"},
		{"null", "<>"},
		{"brackets in a quoted local part", `<"a>"@example.net>`},
		{"brackets twice", "<<a@example.net>>"},
		{"without", "a@example.net"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.open()
			msg := note("x")
			msg.From, msg.Rcpts = c.path, []string{c.path}
			msg.FromArgs = []string{"SIZE=1000", "BODY=8BITMIME", "SMTPUTF8"}
			mustSend(t, m, msg)
			s := r.session()
			equal(t, "mail", s.having("mail"), []string{"mail " + c.path + " auth= id="})
			equal(t, "rcpt", s.having("rcpt"), []string{"rcpt " + c.path + " mailer="})
		})
	}
}

func TestDefect12UnknownAndQuitNC(t *testing.T) {
	offer := miltertest.Postfix()
	offer.Steps &^= miltertest.NoUnknown | miltertest.NoData | miltertest.NRUnknown | miltertest.NRData
	r := start(t, nil, nil)
	m := r.openAs(offer)
	mustGreet(t, m, miltertest.Peer{Host: "one.example"})
	m.PutStrings(miltertest.CmdUnknown, "XYZZY")
	if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespContinue {
		t.Fatalf("unknown command answered %q, %v", p.Cmd, err)
	}
	mustSend(t, m, note("one")) // with DATA, which is answered
	m.PutStrings(miltertest.CmdMail, "<left@example.net>")
	m.Put(miltertest.CmdQuitNC)
	mustGreet(t, m, miltertest.Peer{Host: "two.example"})
	mustSend(t, m, note("two"))
	s := r.session()
	equal(t, "connects", s.having("connect"), []string{
		"connect host=one.example addr=192.0.2.1 daemon= mta= version=",
		"connect host=two.example addr=192.0.2.1 daemon= mta= version=",
	})
	if n := len(s.having("abort")); n != 1 {
		t.Errorf("%d aborts for the message that the first client left, want 1", n)
	}
}
