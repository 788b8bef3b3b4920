package milter_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"dmarcd/internal/milter"
)

func (r *rig) address() milter.Address { return milter.Address{Network: "tcp4", Addr: r.addr} }

// TestSubmit runs go-milter's client against the server: what a Session
// answers is what Submit returns.
func TestSubmit(t *testing.T) {
	for _, c := range []struct {
		name string
		out  milter.Response
		want milter.Response // where it differs from out
	}{
		{"nothing", milter.Response{}, milter.Response{}},
		{"reject", milter.Response{Reply: milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "100% no"}}, milter.Response{}},
		{"defer", milter.Response{Reply: milter.Reply{Code: 451, Text: "later"}}, milter.Response{}},
		{"discard", milter.Response{Discard: true}, milter.Response{}},
		{"reject hides edits", milter.Response{Edits: []milter.Edit{{Kind: milter.AddHeader, Name: "X", Value: " y"}}, Reply: milter.Reply{Code: 550, Text: "no"}},
			milter.Response{Reply: milter.Reply{Code: 550, Text: "no"}}},
		{"edits and quarantine", milter.Response{Quarantine: "held", Edits: []milter.Edit{
			{Kind: milter.InsertHeader, Name: "Authentication-Results", Value: " mx.example.org;\r\n spf=pass"},
			{Kind: milter.DeleteHeader, Name: "X-Old", Index: 2},
			{Kind: milter.DeleteHeader, Name: "X-Old", Index: 1},
			{Kind: milter.ChangeHeader, Name: "Subject", Index: 1, Value: " [x] y"},
			{Kind: milter.AddHeader, Name: "X-End", Value: " z"},
			{Kind: milter.DeleteRcpt, Name: "<b@example.org>"},
			{Kind: milter.AddRcpt, Name: "<q@example.org>"},
		}}, milter.Response{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, func(s *recorder) {
				s.onEnd = func(context.Context, string) milter.Response { return c.out }
			})
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			ans, err := milter.Submit(ctx, r.address(), milter.Submission{
				Client: netip.MustParseAddr("192.0.2.1"), Host: "ping.example", Helo: "ping.example",
				From: "<a@example.net>", Rcpts: []string{"<b@example.org>", "<c@example.org>"},
				Macros:  map[string]string{"i": "PING", "auth_authen": "u", "daemon_name": "ping", "j": "mx.example.org", "rcpt_mailer": "local"},
				Message: strings.NewReader("From: a@example.net\r\nFolded:\tx\r\n y\r\nEmpty:\r\n\r\n" + strings.Repeat("z", 100_000)),
			})
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if reflect.DeepEqual(want, milter.Response{}) {
				want = c.out
			}
			if !reflect.DeepEqual(ans.Response, want) {
				t.Errorf("answer %+v, want %+v", ans.Response, want)
			}
			if !reflect.DeepEqual(ans.Rcpts, make([]milter.Reply, 2)) {
				t.Errorf("recipients %+v", ans.Rcpts)
			}
			events := r.session().all()
			head := []string{
				"connect host=ping.example addr=192.0.2.1 daemon=ping mta=mx.example.org version=",
				"helo ping.example", "mail <a@example.net> auth=u id=PING",
				"rcpt <b@example.org> mailer=local", "rcpt <c@example.org> mailer=local",
				`header From:" a@example.net"`, `header Folded:"\tx\r\n y"`, `header Empty:""`, "eoh",
			}
			equal(t, "events", events[:len(head)], head)
		})
	}
}

func TestSubmitRecipients(t *testing.T) {
	refuse := func(all bool) func(*recorder) {
		return func(s *recorder) {
			s.onRcpt = func(x milter.Rcpt) milter.Reply {
				if all || x.To == "<b@example.org>" {
					return milter.Reply{Code: 452, Enhanced: "4.5.3", Text: "later"}
				}
				return milter.Reply{}
			}
		}
	}
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint("all refused: ", all), func(t *testing.T) {
			r := start(t, func(c *milter.Config) { c.RcptReplies = func() bool { return true } }, refuse(all))
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
			defer cancel()
			ans, err := milter.Submit(ctx, r.address(), milter.Submission{
				From: "<>", Rcpts: []string{"<b@example.org>", "<c@example.org>"}, Message: strings.NewReader("\r\n"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if ans.Rcpts[0].Code != 452 || ans.Rcpts[1].IsZero() == all || ans.Reply.IsZero() == all {
				t.Errorf("answer %+v", ans)
			}
			s := r.session()
			wait(t, "Close", s.closed)
			equal(t, "connect", s.having("connect"), []string{"connect host= addr=invalid IP daemon= mta= version="})
			if got := len(s.having("end")); (got == 0) != all {
				t.Errorf("%d ends", got)
			}
		})
	}
}

func TestSubmitErrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	t.Run("no header", func(t *testing.T) {
		r := start(t, nil, nil)
		_, err := milter.Submit(ctx, r.address(), milter.Submission{From: "<>", Rcpts: []string{"<a@b>"}, Message: strings.NewReader("no header\r\n\r\n")})
		if err == nil || !strings.Contains(err.Error(), "no header") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("reader fails", func(t *testing.T) {
		r := start(t, nil, nil)
		_, err := milter.Submit(ctx, r.address(), milter.Submission{From: "<>", Rcpts: []string{"<a@b>"},
			Message: io.MultiReader(strings.NewReader("A: b\r\n"), failing{})})
		if err == nil || !strings.Contains(err.Error(), "broken disk") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		r := start(t, nil, func(s *recorder) {
			s.onEnd = func(context.Context, string) milter.Response { cancel(); return milter.Response{Quarantine: "late"} }
		})
		ans, err := milter.Submit(ctx, r.address(), milter.Submission{From: "<>", Rcpts: []string{"<a@b>"}, Message: strings.NewReader("\r\n")})
		// The answer may have come first.
		if err == nil && ans.Quarantine != "late" || err != nil && ctx.Err() == nil {
			t.Errorf("answer %+v, %v", ans, err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		if _, err := milter.Submit(ctx, milter.Address{Network: "tcp4", Addr: "127.0.0.1:1"}, milter.Submission{Message: strings.NewReader("")}); err == nil {
			t.Error("no error")
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("broken disk") }
