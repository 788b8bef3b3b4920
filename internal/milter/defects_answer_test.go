package milter_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// Defects 13 to 20 of the list in defects_test.go: the answers to the MTA.

func TestDefect13Negotiation(t *testing.T) {
	wanted := uint32(miltertest.NRConnect | miltertest.NRHelo | miltertest.NRMail | miltertest.NRHeader | miltertest.NREOH |
		miltertest.NoUnknown | miltertest.NoData | miltertest.Skip | miltertest.LeadSpace)
	actions := uint32(miltertest.ActAddHeaders | miltertest.ActChangeHeaders | miltertest.ActAddRcpt |
		miltertest.ActDeleteRcpt | miltertest.ActQuarantine)
	without := func(bits uint32) miltertest.Offer {
		o := miltertest.Postfix()
		o.Steps &^= bits
		return o
	}
	large := miltertest.Sendmail()
	large.Version, large.Steps = 7, large.Steps|miltertest.Data1M|miltertest.Data256K
	for _, c := range []struct {
		name        string
		offer       miltertest.Offer
		rcptReplies bool
		version     uint32
		actions     uint32
		steps       uint32
	}{
		{"all", miltertest.Postfix(), false, 6, actions | miltertest.ActSymbols, wanted | miltertest.NRRcpt},
		{"recipients answered", miltertest.Postfix(), true, 6, actions | miltertest.ActSymbols, wanted},
		{"newer, with larger data", large, false, 6, actions | miltertest.ActSymbols, wanted | miltertest.NRRcpt},
		{"version 2", miltertest.Version2(), false, 2, actions, 0},
		{"no skip: body unanswered", without(miltertest.Skip), false, 6, actions | miltertest.ActSymbols,
			wanted&^miltertest.Skip | miltertest.NRRcpt | miltertest.NRBody},
		{"DATA comes: unanswered", without(miltertest.NoData | miltertest.NoUnknown), false, 6, actions | miltertest.ActSymbols,
			wanted&^(miltertest.NoData|miltertest.NoUnknown) | miltertest.NRRcpt | miltertest.NRData | miltertest.NRUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) { cfg.RcptReplies = func() bool { return c.rcptReplies } }, nil)
			m := r.openAs(c.offer) // fails on bits that were not offered
			if m.Version != c.version || m.Actions != c.actions || m.Steps != c.steps {
				t.Errorf("agreed on %d, %#x, %#x; want %d, %#x, %#x", m.Version, m.Actions, m.Steps, c.version, c.actions, c.steps)
			}
			if res := mustSend(t, m, note("x")); !res.Accepts() {
				t.Errorf("message: %+v", res)
			}
		})
	}
	t.Run("unfit", func(t *testing.T) {
		r := start(t, nil, nil)
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Conn.Close()
		if err := m.Negotiate(miltertest.Offer{Version: 6, Actions: miltertest.ActAddHeaders | miltertest.ActAddRcpt, Steps: 0x1fffff}); err == nil {
			t.Fatal("an MTA that cannot carry out a verdict was taken")
		}
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"SMFIF_DELRCPT, SMFIF_CHGHDRS, SMFIF_QUARANTINE", "mta=127.0.0.1:"} {
			if logs := r.logs.String(); !strings.Contains(logs, want) {
				t.Errorf("log without %q: %s", want, logs)
			}
		}
		if n := r.srv.Stats().Unfit; n != 1 || len(r.opened) != 0 {
			t.Errorf("%d unfit, %d sessions", n, len(r.opened))
		}
	})
	t.Run("leading space restored", func(t *testing.T) {
		r := start(t, nil, func(s *recorder) {
			s.onEnd = func(context.Context, string) milter.Response {
				return milter.Response{Edits: []milter.Edit{{Kind: milter.InsertHeader, Name: "X-A", Value: " b"}}}
			}
		})
		for range 2 {
			m := r.openAs(without(miltertest.LeadSpace))
			msg := note("x")
			res := mustSend(t, m, msg)
			equal(t, "fields", r.session().having("header"), []string{`header From:" a@example.net"`, `header Subject:" x"`})
			if got := string(res.Apply(msg.Raw, false)); !strings.HasPrefix(got, "X-A: b\r\nFrom:") {
				t.Errorf("delivered %q", got)
			}
		}
		if n := strings.Count(r.logs.String(), "leading space"); n != 1 {
			t.Errorf("%d log lines, want 1", n)
		}
	})
}

func TestDefect14NoReplyTooMany(t *testing.T) {
	offer := miltertest.Postfix()
	offer.Steps &^= miltertest.NoData | miltertest.NoUnknown
	r := start(t, nil, nil)
	m := r.openAs(offer)
	for range 3 {
		if res := mustSend(t, m, note("x")); !res.Accepts() || res.Stage != miltertest.CmdEnd {
			t.Fatalf("with DATA unanswered: %+v", res)
		}
	}
	m.PutStrings(miltertest.CmdUnknown, "XYZZY")
	if !m.Silent(50 * time.Millisecond) {
		t.Fatal("an answer that was negotiated away")
	}
	m.PutStrings(miltertest.CmdMail, "<a@example.net>")
	m.PutStrings(miltertest.CmdHeader, "Subject", " a", "b")
	if !m.Closed() {
		t.Error("a header of three strings was answered")
	}
}

func TestDefect15EmptyStrings(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustGreet(t, m, miltertest.Peer{Helo: "-", Macros: map[byte][]string{
		miltertest.CmdConnect: {"j", "", "{daemon_name}", "d", "v", ""},
	}})
	msg := note("x")
	msg.From = ""
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"{auth_authen}", "", "i", "4F00"}}
	msg.Raw = []byte("Empty:\r\nBlank: \r\nTab:\tx\r\nTwo:  x\r\nFold:\r\n x\r\n\ty\r\nLast: x \r\n\r\n")
	mustSend(t, m, msg)
	s := r.session()
	equal(t, "connect", s.having("connect"), []string{"connect host=client.example addr=192.0.2.1 daemon=d mta= version="})
	equal(t, "mail", s.having("mail"), []string{"mail  auth= id=4F00"})
	equal(t, "fields", s.having("header"), []string{
		`header Empty:""`, `header Blank:" "`, `header Tab:"\tx"`, `header Two:"  x"`,
		`header Fold:"\r\n x\r\n\ty"`, `header Last:" x "`,
	})
	if got := s.having("body"); got != nil {
		t.Errorf("body of a message without one: %q", got)
	}
}

func TestDefect16SymbolsInOrder(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	want := map[uint32]string{
		0: "j {daemon_name} v {client_addr}",
		2: "i {auth_authen} {auth_type}",
		3: "{rcpt_mailer} {rcpt_addr}",
		5: "i",
	}
	if fmt.Sprint(m.Symbols) != fmt.Sprint(want) {
		t.Errorf("symbols %v", m.Symbols)
	}
	m, err := miltertest.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Conn.Close()
	m.Put(miltertest.CmdNegotiate, []byte{0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff})
	p, err := m.Get()
	if err != nil {
		t.Fatal(err)
	}
	const lists = "\x00\x00\x00\x00j {daemon_name} v {client_addr}\x00" +
		"\x00\x00\x00\x02i {auth_authen} {auth_type}\x00" +
		"\x00\x00\x00\x03{rcpt_mailer} {rcpt_addr}\x00" +
		"\x00\x00\x00\x05i\x00"
	if got := string(p.Data[12:]); got != lists {
		t.Errorf("lists %q, want %q", got, lists)
	}
}

func TestDefect17Replies(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name  string
		reply milter.Reply
		code  int
		text  string
	}{
		{"plain", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}, 550, "5.7.1 no"},
		{"percent", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "100% a%sb %% c%"}, 550, "5.7.1 100% a%sb %% c%"},
		{"line breaks and controls", milter.Reply{Code: 451, Enhanced: "4.7.1", Text: "a\r\nb\x00c\td\x7fé"}, 451, "4.7.1 a??b?c?d???"},
		{"wrong class", milter.Reply{Code: 550, Enhanced: "4.7.1", Text: "no"}, 550, "no"},
		{"no enhanced code", milter.Reply{Code: 550, Enhanced: "5.7", Text: "no"}, 550, "no"},
		{"text begins with a digit", milter.Reply{Code: 550, Text: "4 reasons"}, 550, "5.0.0 4 reasons"},
		{"no text", milter.Reply{Code: 451}, 451, "Try again later"},
		{"long", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: long}, 550, "5.7.1 " + long[:970]},
		{"long, all percent", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: strings.Repeat("%", 2000)}, 550, "5.7.1 " + strings.Repeat("%", 485)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) { cfg.RcptReplies = func() bool { return true } }, func(s *recorder) {
				s.onRcpt = func(x milter.Rcpt) milter.Reply {
					if x.To == "<bad@example.org>" {
						return c.reply
					}
					return milter.Reply{}
				}
				s.onEnd = func(context.Context, string) milter.Response { return milter.Response{Reply: c.reply} }
			})
			msg := note("x")
			msg.Rcpts = append(msg.Rcpts, "<bad@example.org>")
			res := mustSend(t, r.open(), msg)
			if res.Code != c.code || res.Text != c.text {
				t.Errorf("answer %d %q, want %d %q", res.Code, res.Text, c.code, c.text)
			}
			if a := res.Rcpts[1]; a.Code != c.code || a.Text != c.text {
				t.Errorf("recipient: %d %q, want %d %q", a.Code, a.Text, c.code, c.text)
			}
		})
	}
}

func TestDefect18EditsAreChecked(t *testing.T) {
	insert := func(name, value string) milter.Edit {
		return milter.Edit{Kind: milter.InsertHeader, Name: name, Value: value}
	}
	for _, c := range []struct {
		name string
		edit milter.Edit
		want string // the modification; "" where the Response must not be carried out
	}{
		{"fold", insert("X", " a;\r\n b"), "i0 X: a;\n b"},
		{"smuggled field", insert("X", " a\r\nEvil: b\nc\r\n"), "i0 X: a\n Evil: b\n c"},
		{"smuggled end of header", insert("X", " a\r\n\r\nbody"), "i0 X: a\n \n body"},
		{"NUL", insert("X", " a\x00b"), "i0 X: a?b"},
		{"bare CR", insert("X", " a\rb"), "i0 X: ab"},
		{"empty is not deleted", insert("X", ""), "i0 X: "},
		{"add", milter.Edit{Kind: milter.AddHeader, Name: "X", Value: " a"}, "h0 X: a"},
		{"change", milter.Edit{Kind: milter.ChangeHeader, Name: "Subject", Index: 2, Value: " a"}, "m2 Subject: a"},
		{"change to empty", milter.Edit{Kind: milter.ChangeHeader, Name: "Subject", Index: 1, Value: ""}, "m1 Subject: "},
		{"delete", milter.Edit{Kind: milter.DeleteHeader, Name: "Subject", Index: 1, Value: "left"}, "m1 Subject:"},
		{"add recipient", milter.Edit{Kind: milter.AddRcpt, Name: "<q@example.org>"}, "+0 <q@example.org>:"},
		{"delete recipient", milter.Edit{Kind: milter.DeleteRcpt, Name: "<b@example.org>"}, "-0 <b@example.org>:"},
		{"index 0", milter.Edit{Kind: milter.DeleteHeader, Name: "Subject"}, ""},
		{"colon in a name", insert("X:", " a"), ""},
		{"NUL in a name", insert("X\x00Y", " a"), ""},
		{"no name", insert("", " a"), ""},
		{"NUL in a recipient", milter.Edit{Kind: milter.AddRcpt, Name: "<a@b>\x00"}, ""},
		{"too large", insert("X", strings.Repeat("x", 70000)), ""},
		{"as large as can be", insert("X", strings.Repeat("x", 65535-8)), "i0 X:" + strings.Repeat("x", 65535-8)},
		{"unknown kind", milter.Edit{Kind: 99, Name: "X"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) {
				cfg.Trouble = func() milter.Reply { return milter.Reply{Code: 451, Enhanced: "4.3.0", Text: "later"} }
			}, func(s *recorder) {
				s.onEnd = func(context.Context, string) milter.Response {
					return milter.Response{Edits: []milter.Edit{insert("X-First", " 1"), c.edit}}
				}
			})
			res := mustSend(t, r.open(), note("x"))
			if c.want == "" {
				if res.Code != 451 || len(res.Mods) != 0 {
					t.Errorf("an Response that cannot be sent: %+v", res)
				}
				return
			}
			if len(res.Mods) != 2 || !res.Accepts() {
				t.Fatalf("answer %+v", res)
			}
			mod := res.Mods[1]
			if got := fmt.Sprintf("%c%d %s:%s", mod.Op, mod.Index, mod.Name, mod.Value); got != c.want {
				t.Errorf("sent %.100q, want %.100q", got, c.want)
			}
		})
	}
}

// countingConn counts the writes of the server.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestDefect19OneWrite(t *testing.T) {
	ln := newFakeListener()
	startOn(t, ln, nil, func(s *recorder) {
		s.onEnd = func(context.Context, string) milter.Response {
			var o milter.Response
			for i := range 40 {
				o.Edits = append(o.Edits, milter.Edit{Kind: milter.InsertHeader, Name: "X-" + fmt.Sprint(i), Value: " " + strings.Repeat("x", 1000)})
			}
			o.Edits = append(o.Edits, milter.Edit{Kind: milter.DeleteHeader, Name: "Subject", Index: 1})
			o.Quarantine = "held"
			return o
		}
	})
	var writes atomic.Int64
	m := ln.dial(t, func(c net.Conn) net.Conn { return countingConn{c, &writes} })
	if err := m.Negotiate(miltertest.Postfix()); err != nil {
		t.Fatal(err)
	}
	mustGreet(t, m, miltertest.Peer{})
	msg := note("x")
	msg.Raw = []byte("Subject: x\r\n\r\n") // no body, which would be answered by itself
	before := writes.Load()
	res := mustSend(t, m, msg)
	if len(res.Mods) != 42 || res.Quarantine() != "held" || !res.Accepts() {
		t.Fatalf("%d modifications, %q, %q", len(res.Mods), res.Quarantine(), res.Action)
	}
	if n := writes.Load() - before; n != 1 {
		t.Errorf("%d writes for a message, want 1", n)
	}
	if n := before; n != 1 {
		t.Errorf("%d writes for negotiation and greeting, want 1", n)
	}
}

func TestDefect20Log(t *testing.T) {
	var global strings.Builder
	defer log.SetOutput(log.Writer())
	log.SetOutput(&global)
	r := start(t, nil, nil)
	m := r.open()
	m.Put('\x1b', []byte("\x1b[2J\nlevel=ERROR msg=forged"))
	if !m.Closed() {
		t.Fatal("an unknown command was taken")
	}
	m = r.open()
	m.PutStrings(miltertest.CmdConnect, "h")
	m.Put(miltertest.CmdConnect, []byte("h\n\x1b[2Jforged"), []byte(strings.Repeat("y", 10000)))
	if !m.Closed() {
		t.Fatal("a malformed connect was taken")
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs := r.logs.String()
	lines := strings.Split(strings.TrimSpace(logs), "\n")
	if len(lines) != 2 || strings.Contains(logs, "\x1b") || strings.Contains(logs, strings.Repeat("y", 100)) {
		t.Errorf("log: %q", lines)
	}
	for _, l := range lines {
		if !strings.Contains(l, "mta=127.0.0.1:") || !strings.Contains(l, "protocol error") {
			t.Errorf("log line %q", l)
		}
	}
	if global.Len() > 0 {
		t.Errorf("global log: %q", global.String())
	}
}
