package outgoing_test

import (
	"strings"
	"testing"

	"dmarcd/internal/report/outgoing"
)

// TestSenderChanged sends a report again after reports.email moved: what names the
// receiver stays as in the file.
func TestSenderChanged(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example")
		r.night()
		r.change(func(c *outgoing.Config) { c.Email = "dmarc@moved.example" })
		if _, err := r.p.Service().Send(t.Context(), outgoing.SendRequest{Domain: "a.example"}); err != nil {
			t.Fatal(err)
		}
		r.drain()
		mails := r.server.got("")
		if len(mails) != 2 {
			t.Fatalf("%d mails", len(mails))
		}
		msg := mails[1].message(t)
		if got, want := msg.Header.Get("Subject"), r.reports(outgoing.Filter{})[0].Subject; got != want {
			t.Errorf("subject %q, want %q", got, want)
		}
		if got := msg.Header.Get("From"); !strings.Contains(got, "dmarc@moved.example") || mails[1].from != "dmarc@moved.example" {
			t.Errorf("from %q %q", got, mails[1].from)
		}
		if text := mails[1].data; !strings.Contains(text, "receiver.example received from") {
			t.Errorf("text:\n%s", text)
		}
	})
}
