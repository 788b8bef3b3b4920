package mailer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const letter = "From: a@example.org\r\nTo: b@example.org\r\n\r\nHello\r\n.\r\n..two dots\r\n"

func TestSend(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	m := New(Config{Addr: in.addr, HeloName: "mx.example.org"})
	to := []string{"b@example.org", "c@example.org"}
	if err := m.Send(t.Context(), "", to, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), "a@example.org", to[:1], []byte(letter)); err != nil {
		t.Fatal(err)
	}
	mails := in.taken()
	if len(mails) != 2 {
		t.Fatalf("%d mails", len(mails))
	}
	first := mails[0]
	if first.helo != "mx.example.org" || first.tls || first.user != "" {
		t.Errorf("session: %+v", first)
	}
	if first.from != "" || strings.Join(first.to, " ") != "b@example.org c@example.org" {
		t.Errorf("envelope: %+v", first)
	}
	if first.size != int64(len(letter)) {
		t.Errorf("SIZE=%d, want %d", first.size, len(letter))
	}
	if first.data != letter {
		t.Errorf("mail %q", first.data)
	}
	if mails[1].from != "a@example.org" || len(mails[1].to) != 1 {
		t.Errorf("second envelope: %+v", mails[1])
	}
}

func TestSendLargeMail(t *testing.T) {
	t.Parallel()
	in := newInbox(t, func(_ *backend, s *smtp.Server) { s.MaxMessageBytes = 0 })
	mail := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 20_000)
	if err := New(Config{Addr: in.addr}).Send(t.Context(), "", []string{"b@example.org"}, []byte(mail)); err != nil {
		t.Fatal(err)
	}
	if in.taken()[0].data != mail {
		t.Error("the mail arrived changed")
	}
}

// badMail is refused before anything is dialled: nothing listens at the address.
func TestSendRefusesBadMail(t *testing.T) {
	t.Parallel()
	to := []string{"b@example.org"}
	for _, tc := range []struct {
		name, from string
		to         []string
		mail       string
		want       error
	}{
		{"no recipients", "", nil, letter, ErrRecipients},
		{"too many recipients", "", make([]string, MaxRecipients+1), letter, ErrRecipients},
		{"line end in an address", "", []string{"b@example.org>\r\nRCPT TO:<c@example.org"}, letter, ErrAddress},
		{"lone line feed in an address", "a@example.org\nDATA", to, letter, ErrAddress},
		{"parameters behind an address", "a@example.org> SIZE=1", to, letter, ErrAddress},
		{"NUL", "", []string{"b\x00@example.org"}, letter, ErrAddress},
		{"blank", "", []string{"b @example.org"}, letter, ErrAddress},
		{"8-bit address", "", []string{"bé@example.org"}, letter, ErrAddress},
		{"no domain", "", []string{"postmaster"}, letter, ErrAddress},
		{"empty recipient", "", []string{""}, letter, ErrAddress},
		{"long address", "", []string{strings.Repeat("b", 250) + "@example.org"}, letter, ErrAddress},
		{"no mail", "", to, "", ErrMail},
		{"last line without an end", "", to, "a: b\r\n\r\nc", ErrMail},
		{"lone LF", "", to, "a: b\n.\r\n", ErrMail},
		{"LF at the start", "", to, "\n\r\n", ErrMail},
		{"lone CR", "", to, "a: b\r.\r\n", ErrMail},
		{"CR CR LF", "", to, "a: b\r\r\n", ErrMail},
		{"NUL in the mail", "", to, "a: \x00\r\n", ErrMail},
		{"8-bit mail", "", to, "a: é\r\n", ErrMail},
		{"long line", "", to, strings.Repeat("a", 999) + "\r\n", ErrMail},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := New(Config{Addr: "nowhere.invalid:25"}).Send(t.Context(), tc.from, tc.to, []byte(tc.mail))
			if !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if isTemporary(t, err) {
				t.Error("temporary")
			}
		})
	}
	if err := checkLines([]byte(strings.Repeat("a", 998) + "\r\n")); err != nil {
		t.Errorf("the longest line: %v", err)
	}
}

func isTemporary(t *testing.T, err error) bool {
	t.Helper()
	var e interface{ Temporary() bool }
	if !errors.As(err, &e) {
		t.Fatalf("%T does not tell whether it is temporary: %v", err, err)
	}
	return e.Temporary()
}

func TestSendTLS(t *testing.T) {
	t.Parallel()
	const here, elsewhere = "127.0.0.1", "other.example"
	for _, tc := range []struct {
		name   string
		server string // the certificate's host; "" for no TLS
		known  bool   // the certificate is trusted
		policy TLSPolicy
		secure bool  // how the mail arrives
		stage  Stage // or where it fails
	}{
		{"offered and valid", here, true, TLSOffered, true, ""},
		{"offered, by an unknown", here, false, TLSOffered, true, ""},
		{"offered, for another host", elsewhere, true, TLSOffered, true, ""},
		{"not offered", "", true, TLSOffered, false, ""},
		{"offered, not wanted", here, true, TLSNever, false, ""},
		{"required and valid", here, true, TLSRequired, true, ""},
		{"required, by an unknown", here, false, TLSRequired, false, StageHandshake},
		{"required, for another host", elsewhere, true, TLSRequired, false, StageHandshake},
		{"required, not offered", "", true, TLSRequired, false, StageStartTLS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var options []option
			if tc.server != "" {
				options = append(options, withTLS(t, tc.server))
			}
			in := newInbox(t, options...)
			c := Config{Addr: in.addr, TLS: tc.policy, HeloName: "mx.example.org", RootCAs: in.roots}
			if !tc.known {
				c.RootCAs = newInbox(t, withTLS(t, here)).roots
			}
			err := New(c).Send(t.Context(), "", []string{"b@example.org"}, []byte(letter))
			if got := errorStage(err); got != tc.stage {
				t.Fatalf("error %v, want one at %q", err, tc.stage)
			}
			mails := in.taken()
			if tc.stage != "" {
				if len(mails) > 0 || !isTemporary(t, err) {
					t.Errorf("%d mails sent; error %v", len(mails), err)
				}
				return
			}
			if len(mails) != 1 || mails[0].tls != tc.secure || mails[0].helo != "mx.example.org" {
				t.Errorf("got %+v", mails)
			}
		})
	}
}

func TestSendLogin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		methods  []string
		tls      bool
		password string
		stage    Stage // "" for success
		want     error // nil for a reply
	}{
		{"plain", []string{sasl.Plain, sasl.Login}, true, "secret", "", nil},
		{"login", []string{"CRAM-MD5", sasl.Login}, true, "secret", "", nil},
		{"wrong password", []string{sasl.Plain}, true, "guess", StageAuth, nil},
		{"no known method", []string{"CRAM-MD5"}, true, "secret", StageAuth, ErrNoLogin},
		{"no TLS, no password", []string{sasl.Plain}, false, "secret", StageStartTLS, ErrNoTLS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			options := []option{withLogin(tc.methods...), func(_ *backend, s *smtp.Server) { s.AllowInsecureAuth = true }}
			if tc.tls {
				options = append(options, withTLS(t, "127.0.0.1"))
			}
			in := newInbox(t, options...)
			m := New(Config{Addr: in.addr, RootCAs: in.roots, Username: "user", Password: tc.password, TLS: TLSNever})
			err := m.Send(t.Context(), "", []string{"b@example.org"}, []byte(letter))
			if got := errorStage(err); got != tc.stage || tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want one at %q", err, tc.stage)
			}
			mails := in.taken()
			if tc.stage != "" {
				if len(mails) > 0 || !isTemporary(t, err) || strings.Contains(err.Error(), tc.password) {
					t.Errorf("%d mails sent; error %v", len(mails), err)
				}
				return
			}
			if len(mails) != 1 || mails[0].user != "user" || !mails[0].tls {
				t.Errorf("got %+v", mails)
			}
		})
	}
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	const b, c, d = "b@example.org", "c@example.org", "d@example.org"
	no := reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user")
	later := reply(450, smtp.EnhancedCode{4, 2, 0}, "grey\tlisted \xff")
	for _, tc := range []struct {
		name      string
		options   []option
		to        []string
		gotBy     string // who gets the mail
		says      string
		temporary bool
		refused   string // by a *RecipientsError; "" for an *Error
		retry     string
	}{
		{"one of one, for good", []option{refusing(b, no)}, []string{b}, "", "RCPT TO: the server said 550 5.1.1 no such user", false, b, ""},
		{"one of one, for now", []option{refusing(b, later)}, []string{b}, "", "450 4.2.0 grey listed ?", true, b, b},
		{"some", []option{refusing(b, no), refusing(d, later)}, []string{b, c, d}, c, "(for b@example.org), and 1 more", true, b + " " + d, d},
		{"some, for good", []option{refusing(d, no)}, []string{b, c, d}, b + " " + c, "550", false, d, ""},
		{"the sender", []option{refusing("MAIL", no)}, []string{b}, "", "MAIL FROM: the server said 550", false, "", ""},
		{"the sender, for now", []option{refusing("MAIL", later)}, []string{b}, "", "MAIL FROM: the server said 450", true, "", ""},
		{"the mail", []option{refusing("DATA", no)}, []string{b, c}, "", "after DATA: the server said 550", false, "", ""},
		{"the mail, for now", []option{refusing("DATA", later)}, []string{b}, "", "450", true, "", ""},
		{"some, then the mail", []option{refusing(c, no), refusing("DATA", later)}, []string{b, c, d}, "", "450", true, b + " " + c + " " + d, b + " " + d},
		{"too large", []option{func(_ *backend, s *smtp.Server) { s.MaxMessageBytes = 10 }}, []string{b}, "", ErrSize.Error(), false, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := newInbox(t, tc.options...)
			err := New(Config{Addr: in.addr}).Send(t.Context(), "", tc.to, []byte(letter))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one that says %q", err, tc.says)
			}
			if got := isTemporary(t, err); got != tc.temporary {
				t.Errorf("temporary: %v", got)
			}
			got := ""
			for _, m := range in.taken() {
				got += strings.Join(m.to, " ")
			}
			if got != tc.gotBy {
				t.Errorf("the mail went to %q, want %q", got, tc.gotBy)
			}
			var refused, retry []string
			if e := (*RecipientsError)(nil); errors.As(err, &e) {
				for _, r := range e.Refused {
					refused = append(refused, r.To)
				}
				retry = e.Retry()
			}
			if r := strings.Join(refused, " "); r != tc.refused {
				t.Errorf("refused %q, want %q", r, tc.refused)
			}
			if r := strings.Join(retry, " "); r != tc.retry {
				t.Errorf("to be tried again: %q, want %q", r, tc.retry)
			}
		})
	}
}

func TestSendConcurrently(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	m := New(Config{Addr: in.addr, Timeout: 10 * time.Second})
	const n = 8
	failed := make(chan error, n)
	for range n {
		go func() { failed <- m.Send(t.Context(), "", []string{"b@example.org"}, []byte(letter)) }()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if got := len(in.taken()); got != n {
		t.Errorf("%d mails, want %d", got, n)
	}
}
