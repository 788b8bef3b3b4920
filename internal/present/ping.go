package present

import (
	"fmt"
	"io"
	"strings"
	"time"

	"dmarcd/internal/milter"
)

func unfold(value string) string { return strings.ReplaceAll(value, "\r\n", "") }

// PingReport is the output of `dmarcd ping`.
type PingReport struct {
	Socket   string   `json:"socket"`
	Millis   float64  `json:"ms"`
	Answer   string   `json:"answer"` // accepted, quarantined, discarded or the SMTP reply
	Hold     string   `json:"hold,omitempty"`
	Redirect string   `json:"redirect,omitempty"`
	Changed  []string `json:"changed,omitempty"`
	Added    []string `json:"added"`
	Bypassed bool     `json:"bypassed,omitempty"` // accepted without one of our fields: it was not judged
	rcpt     string
}

func NewPingReport(socket, rcpt string, took time.Duration, a milter.Answer) PingReport {
	r := PingReport{
		Socket: socket, rcpt: rcpt, Millis: float64(took.Microseconds()) / 1000,
		Answer: "accepted", Hold: a.Quarantine, Added: []string{},
	}
	switch {
	case !a.Reply.IsZero():
		r.Answer = fmt.Sprintf("%d %s %s", a.Reply.Code, a.Reply.Enhanced, a.Reply.Text)
	case a.Discard:
		r.Answer = "discarded"
	case a.Quarantine != "":
		r.Answer = "quarantined"
	}
	for _, e := range a.Edits {
		switch e.Kind {
		case milter.InsertHeader:
			r.Added = append([]string{e.Name + ":" + unfold(e.Value)}, r.Added...)
		case milter.ChangeHeader, milter.AddHeader:
			r.Changed = append(r.Changed, e.Name+":"+unfold(e.Value))
		case milter.AddRcpt:
			r.Redirect = strings.Trim(e.Name, "<>")
		}
	}
	r.Bypassed = r.Answer == "accepted" && len(a.Edits) == 0
	return r
}

func (r PingReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s answered in %.1f ms: %s\n", r.Socket, r.Millis, r.Answer)
	if r.Bypassed {
		fmt.Fprintf(w, "the message was accepted without a check, and no field was added: is %s ours?\n", r.rcpt)
	}
	if r.Hold != "" {
		fmt.Fprintf(w, "hold      %s\n", r.Hold)
	}
	if r.Redirect != "" {
		fmt.Fprintf(w, "redirect  %s\n", r.Redirect)
	}
	for _, f := range r.Changed {
		fmt.Fprintf(w, "changed   %s\n", f)
	}
	for _, f := range r.Added {
		fmt.Fprintf(w, "added     %s\n", f)
	}
	return nil
}
