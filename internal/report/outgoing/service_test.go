package outgoing_test

import (
	"errors"
	"strings"
	"testing"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// TestTargets takes addresses and hosts, and nothing else.
func TestTargets(t *testing.T) {
	for in, want := range map[string]string{
		"Rua@Example.COM": "rua@example.com", "example.com.": "example.com", "a+b@xn--bcher-kva.example": "a+b@xn--bcher-kva.example",
		"bücher.example": "xn--bcher-kva.example", "localhost": "localhost", "_x.example": "_x.example",
		"": "", "@example.com": "", "a@": "", "a@b@example.com": "", "a b@example.com": "", "a\x1b[31m\nFAKE@x.example": "",
		"a@x\x1b.example": "", "é@example.com": "", "*.example.com": "", "*@example.com": "", "a@*.example.com": "", "mailto:a@(x)": "",
		strings.Repeat("a", 65) + "@example.com": "", "exam ple.com": "", "x/y.example": "",
	} {
		got, err := outgoing.ParseTarget(in)
		if got != want || (err != nil) != (want == "") || err != nil && (!errors.Is(err, outgoing.ErrRequest) || strings.Contains(err.Error(), "outgoing:")) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if strings.Contains(in, "*") && (err == nil || !strings.Contains(err.Error(), "reports.exclude")) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// TestUnsuppressOld ends what was suppressed by a name that is refused now.
func TestUnsuppressOld(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		if err := r.store.Reports().Suppress(t.Context(), outgoing.Suppression{Target: "*.example.com", Since: today, ByHand: true}); err != nil {
			t.Fatal(err)
		}
		service := r.p.Service()
		if got, err := service.Unsuppress(t.Context(), outgoing.UnsuppressRequest{Target: "*.Example.com"}); err != nil || !got.Found {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := service.Unsuppress(t.Context(), outgoing.UnsuppressRequest{Target: "*.example.com"}); !errors.Is(err, outgoing.ErrRequest) {
			t.Errorf("once more: %v", err)
		}
	})
}

// TestWords checks the plain error texts for people.
func TestWords(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		service, ctx := r.p.Service(), t.Context()
		day := memory.DayOf(today) - 1
		now := day + 1
		for _, c := range []struct {
			do   func() error
			kind error
			want []string
		}{
			{func() error {
				_, err := service.Show(ctx, outgoing.ShowRequest{Domain: "good.example", Day: &day})
				return err
			},
				outgoing.ErrNotFound, []string{"good.example", yesterday, "dmarcd report list --domain good.example", "dmarcd report send good.example " + yesterday}},
			{func() error { _, err := service.Show(ctx, outgoing.ShowRequest{ID: 99}); return err }, outgoing.ErrNotFound, []string{"99", "dmarcd report list"}},
			{func() error { _, err := service.Show(ctx, outgoing.ShowRequest{ReportID: "abc"}); return err }, outgoing.ErrNotFound, []string{"Report-ID abc"}},
			{func() error { _, err := service.Send(ctx, outgoing.SendRequest{Domain: "good.example"}); return err }, outgoing.ErrNothing, []string{"good.example", yesterday}},
			{func() error {
				_, err := service.Send(ctx, outgoing.SendRequest{Domain: "good.example", Day: &now})
				return err
			}, outgoing.ErrRequest, []string{"not over yet"}},
			{func() error { _, err := service.Send(ctx, outgoing.SendRequest{Domain: "a..b"}); return err }, outgoing.ErrRequest, []string{`"a..b"`}},
		} {
			err := c.do()
			if !errors.Is(err, c.kind) || strings.Contains(err.Error(), "outgoing:") || strings.Contains(err.Error(), "store:") {
				t.Errorf("%v, want one of %v in plain words", err, c.kind)
				continue
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		}
	})
}
