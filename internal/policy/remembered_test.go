package policy_test

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/memory"
	smtp "dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// secret is a local part that no record may hold.
const secret = "ann.smith"

// personalize puts local parts wherever a verdict may have them.
func personalize(v *policy.Verdict, rnd *rand.Rand) *policy.Verdict {
	out := *v
	if rnd.IntN(2) == 0 {
		out.SPF.Explanation = secret + " may not send from here"
	}
	out.DKIM = append(out.DKIM[:0:0], v.DKIM...)
	for i := range out.DKIM {
		if rnd.IntN(2) == 0 {
			out.DKIM[i].Identity = secret + "@" + out.DKIM[i].Domain.String()
		}
	}
	out.ARC.Hops = append(out.ARC.Hops[:0:0], v.ARC.Hops...)
	for i := range out.ARC.Hops {
		h := &out.ARC.Hops[i]
		h.Results = strings.ReplaceAll(h.Results, "=a@", "="+secret+"@")
		if rnd.IntN(2) == 0 && strings.Contains(h.Results, "; ") {
			h.Results = strings.Replace(h.Results, "; ", " (of "+secret+"); iprev=pass smtp.remote-ip=203.0.113.7; ", 1)
		}
	}
	return &out
}

// outcome is what package filter would make of a decision.
func outcome(v *policy.Verdict, f policy.Facts, r *policy.Rules) *filter.Result {
	d := policy.Decide(v, f, r)
	o := &filter.Result{
		Envelope: smtp.Envelope{
			ClientIP: f.ClientIP, QueueID: f.QueueID, Received: time.Date(2026, 11, 23, 10, 0, 0, 1234, time.UTC),
			Rcpts: []smtp.Address{smtp.ParseAddress("bob@example.org")},
		},
		Verdict: *v, Rules: r, Decision: d, DeferLapsed: f.DeferExpired,
		Domains: []filter.DomainDecision{{Rules: r, Decision: d}},
	}
	if !f.NullSender {
		o.Envelope.MailFrom = smtp.ParseAddress(secret + "@example.net")
	}
	return o
}

// TestOracleRemembered replays what is remembered of random messages under random
// settings: with the same rules the decision is the same, its reply and comment
// included, and no local part is needed for it.
func TestOracleRemembered(t *testing.T) {
	const draws, each = 500, 20
	rnd := rand.New(rand.NewPCG(9990, 9991))
	var mail []judged
	for _, p := range published {
		mail = append(mail, messages(p, authorDomain)...)
	}
	mail = append(mail, messages(nothing)...)
	mail = append(mail, messages(nothing, authorDomain, secondAuthor)...)
	text, err := policy.ParseTemplate("5.7.1 {domain} {spf} {dkim} {client_ip} {queue_id}: {explanation}")
	if err != nil {
		t.Fatal(err)
	}
	personal, discreet := settings.Default("mx.example.org"), settings.Default("mx.example.org")
	personal.Log.Addresses = true
	replies, comments := 0, 0
	for range draws {
		w := draw(rnd)
		r := w.rules()
		r.DMARC.RejectText = text
		for range each {
			m := mail[rnd.IntN(len(mail))]
			f := policy.Facts{ClientIP: client, NullSender: rnd.IntN(3) == 0, DeferExpired: rnd.IntN(3) == 0, QueueID: "4ABC"}
			if rnd.IntN(10) == 0 {
				f.ClientIP = netip.Addr{}
			}
			v := personalize(m.verdict, rnd)
			o := outcome(v, f, r)
			whole := o.Record(filter.Remember{Settings: personal})
			if whole.Decision != o.Decision {
				t.Fatalf("with local parts %+v is remembered, want %+v", whole.Decision, o.Decision)
			}
			kept := o.Record(filter.Remember{Settings: discreet})
			for _, rec := range []*memory.Record{whole, kept, encoded(t, whole), encoded(t, kept)} {
				if got := policy.Decide(&rec.Verdict, rec.Facts(), r); got != rec.Outcomes[0].Decision || rec.Decision != rec.Outcomes[0].Decision {
					t.Fatalf("replayed %+v\nremembered %+v\nof %+v", got, rec.Outcomes[0].Decision, m.message)
				}
			}
			got, want := kept.Decision, o.Decision
			if got.Reply.Text != want.Reply.Text {
				replies++
			}
			if got.Comment != "" {
				comments++
			}
			if got.Reply.Text = want.Reply.Text; got != want {
				t.Fatalf("without local parts %+v, with them %+v", got, want)
			}
			if b, _ := kept.AppendBinary(nil); strings.Contains(string(b), "smith") {
				t.Fatalf("a local part is left in %q", b)
			}
		}
	}
	if replies < 10 || comments < 10 {
		t.Errorf("%d replies without their explanation, %d comments: the samples do not cover them", replies, comments)
	}
}

// encoded is a record once it was written and read.
func encoded(t *testing.T, r *memory.Record) *memory.Record {
	t.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := memory.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
