package inbound_test

import (
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/filter"
	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
)

var testMail = map[byte][]string{miltertest.CmdMail: {"{" + milter.TestMacro + "}", "1"}}

// loggedIn is mail that is bypassed, as that of a trusted network is.
func loggedIn(m mail) mail {
	m.macros = map[byte][]string{miltertest.CmdMail: {"{auth_authen}", "ann"}}
	return m
}

// TestRecorded has which messages are remembered: those that were judged, once.
func TestRecorded(t *testing.T) {
	spoof := from("reject.example").by("203.0.113.9")
	marked := spoof
	marked.macros = testMail
	cases := []struct {
		name  string
		mail  mail
		yaml  string
		extra string
		want  policy.Action // "" for mail that is not remembered
	}{
		{"refused", spoof, "{}", "", policy.Reject},
		{"passed", from("reject.example").by("198.51.100.1"), "{}", "", policy.Bypass},
		{"quarantined", from("quarantine.example").by("203.0.113.9"), "{}", "", policy.Quarantine},
		{"monitored", spoof, "{mode: monitor}", "", policy.Bypass},
		{"DMARC is off", spoof, "{default: {dmarc: {enabled: false}}}", "", policy.Bypass},
		{"a test", marked, "{}", "", ""},
		{"from who logged in", loggedIn(spoof), "{}", "", ""},
		{"to nobody of ours", spoof.to("x@elsewhere.example"), "{managed: [example.org]}", "", ""},
		{"a bounce of our reports from who logged in", loggedIn(spoof).to("reports@example.org"), "{}", reportsYAML, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.yaml, c.extra)
			r.send(c.mail)
			records, _ := r.taken()
			if c.want == "" {
				if len(records) > 0 {
					t.Errorf("remembered: %+v", records[0])
				}
				return
			}
			if len(records) != 1 {
				t.Fatalf("%d records, want 1", len(records))
			}
			rec, o := records[0], r.last()
			if rec.Decision.Action != c.want || rec.Decision != o.Decision || rec.At.IsZero() || rec.Outcomes[0].Domains[0].String() != "example.org" {
				t.Errorf("remembered: %+v", rec)
			}
			if got := policy.Decide(&rec.Verdict, rec.Facts(), o.Rules); got != rec.Decision {
				t.Errorf("replayed %+v, want %+v", got, rec.Decision)
			}
			if failed := rec.Decision.Would != policy.Bypass || rec.Verdict.DMARC.Status != "pass"; failed && rec.Trace == nil {
				t.Error("there is no trace")
			}
		})
	}

	t.Run("by several messages of one connection, under one reload", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}")
		mta := r.open(miltertest.Peer{Addr: "203.0.113.9"}, miltertest.Postfix())
		r.sendOn(mta, spoof)
		r.configure("{mode: monitor}", "log: {addresses: true}")
		r.sendOn(mta, spoof)
		records, _ := r.taken()
		if len(records) != 2 || records[0].Sender != "reject.example" || records[1].Sender != "a@reject.example" || records[1].Outcomes[0].Mode != policy.Monitor {
			t.Errorf("remembered: %+v", records)
		}
	})
	t.Run("trouble with it harms no mail", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}", reportsYAML)
		r.broken = true
		if got := outcomeWord(r.send(spoof.to("reports@example.org"))); got != "reject" {
			t.Errorf("got %s, want reject", got)
		}
		bounce := from("reject.example").by("198.51.100.1").sender("").to("reports@example.org")
		bounce.helo = "reject.example"
		if got := outcomeWord(r.send(bounce)); got != "accept" {
			t.Errorf("got %s, want accept", got)
		}
		if n := strings.Count(r.log.String(), "panic beside the mail"); n != 3 {
			t.Errorf("%d panics logged, want 3\n%s", n, r.log)
		}
	})
}

// TestRecordNamesTheMTA has the macro v of both MTAs, and of others.
func TestRecordNamesTheMTA(t *testing.T) {
	r := newRig(t, behaviourZone, "{}")
	for _, c := range []struct{ macro, want string }{
		{"Postfix 3.7.11", "Postfix 3.7.11"},
		{"8.17.1.9", "Sendmail 8.17.1.9"},
		{"", ""},
		{"Exim\x01 " + strings.Repeat("x", 200), "Exim? " + strings.Repeat("x", 94)},
	} {
		peer := miltertest.Peer{Addr: "198.51.100.1", Macros: map[byte][]string{miltertest.CmdConnect: {"j", "mx.example.org", "v", c.macro}}}
		r.sendOn(r.open(peer, miltertest.Postfix()), from("reject.example"))
		records, _ := r.taken()
		if len(records) != 1 || records[0].MTA != c.want {
			t.Errorf("macro %q: %+v, want %q", c.macro, records, c.want)
		}
	}
}

const reportsYAML = "reports: {enabled: true, org_name: Example, email: Reports@Example.org, contact: x}"

// TestBounces has what is handed over of mail to the address that reports come from.
func TestBounces(t *testing.T) {
	body := strings.Repeat("This report could not be delivered.\n", 20000) // 740 KB as sent
	note := mail{client: "192.0.2.25", mailFrom: "", raw: "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\n folded\n\n" + body}
	sent := crlf(note.raw)
	head := strings.Index(sent, "\r\n\r\n") + 4
	marked := note.to("reports@example.org")
	marked.macros = testMail
	rewritten := note.to("alias@example.net")
	rewritten.macros = map[byte][]string{miltertest.CmdRcpt: {"{rcpt_addr}", "reports@example.org"}}
	cases := []struct {
		name   string
		mail   mail
		policy string
		extra  []string
		want   bool
	}{
		{"judged", note.to("reports@example.org"), "{}", []string{reportsYAML}, true},
		{"bypassed", loggedIn(note).to("reports@example.org"), "{}", []string{reportsYAML}, true},
		{"not ours", note.to("reports@example.org"), "{managed: [example.net]}", []string{reportsYAML}, true},
		{"with an extension, in upper case", note.to("REPORTS+4a.b@EXAMPLE.ORG"), "{}", []string{reportsYAML}, true},
		{"one recipient of several", note.to("bob@example.org", "reports@example.org"), "{}", []string{reportsYAML}, true},
		{"as the MTA reads it", rewritten, "{}", []string{reportsYAML}, true},
		{"somebody else", note.to("bob@example.org"), "{}", []string{reportsYAML}, false},
		{"somebody like it", note.to("reports.x@example.org"), "{}", []string{reportsYAML}, false},
		{"no reports", note.to("reports@example.org"), "{}", nil, false},
		{"a test", marked, "{}", []string{reportsYAML}, false},
		{"a sender that is not null", note.sender("bob@example.net").to("reports@example.org"), "{}", []string{reportsYAML}, false},
		{"refused", from("reject.example").by("203.0.113.9").to("reports@example.org"), "{}", []string{reportsYAML}, false},
		{"quarantined", from("quarantine.example").by("203.0.113.9").to("reports@example.org"), "{}", []string{reportsYAML}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy, c.extra...)
			for range 2 {
				res := r.send(c.mail)
				_, bounces := r.taken()
				if !c.want {
					if len(bounces) > 0 {
						t.Errorf("handed over: %.200q", bounces[0])
					}
					continue
				}
				if !res.Accepts() || len(bounces) != 1 {
					t.Fatalf("%d handed over, want 1; answer %+v", len(bounces), res.Answer)
				}
				if want := sent[:head+256<<10]; bounces[0] != want {
					t.Errorf("handed over %d octets, want %d: %.300q", len(bounces[0]), len(want), bounces[0])
				}
			}
		})
	}
	t.Run("the next mail of the connection is another", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}", reportsYAML)
		mta := r.open(miltertest.Peer{Addr: "192.0.2.25"}, miltertest.Sendmail())
		for _, to := range []string{"reports@example.org", "bob@example.org", "reports@example.org"} {
			r.sendOn(mta, note.to(to))
		}
		if records, bounces := r.taken(); len(records) != 3 || len(bounces) != 2 || bounces[0] != bounces[1] {
			t.Errorf("%d records, %d handed over", len(records), len(bounces))
		}
	})
}

// TestRecordIsRedacted has every place in which a message brings local parts.
func TestRecordIsRedacted(t *testing.T) {
	list := newSigner("list.example", "a1")
	author := newSigner("reject.example", "s1")
	author.identity = "ann.smith@sub.reject.example"
	zone := behaviourZone + list.record() + author.record() + "hop.example. TXT \"v=spf1 exists:%{l}.users.hop.example -all exp=%{l}.why.hop.example\"\n" +
		"ann.smith.why.hop.example. TXT \"%{s} may not\"\n"
	signed := author.sign(t, "From: \"Ann Smith\" <ann.smith@reject.example>\nSubject: x\n\nbody\n")
	chained := string(arctest.Seal([]byte(crlf(signed)), "mx.list.example; spf=pass (of ann.smith) smtp.mailfrom=ann.smith@reject.example", list.domain, list.selector, list.key, ""))
	m := mail{client: "203.0.113.9", mailFrom: "ann.smith@hop.example", raw: strings.ReplaceAll(chained, "\r\n", "\n")}.to("bob.jones@example.org")
	const rules = "{default: {dmarc: {arc: {enabled: true}, reject_text: \"5.7.1 {explanation}\", actions: {reject: quarantine}}, " +
		"spf: {enabled: true, x_header: true, actions: {fail: bypass}}, dkim: {enabled: true, x_header: true}}}"
	for _, addresses := range []string{"false", "true"} {
		r := newRig(t, zone, rules, "log: {addresses: "+addresses+"}")
		r.send(m)
		records, _ := r.taken()
		if len(records) != 1 {
			t.Fatalf("%d records", len(records))
		}
		rec, wanted := records[0], addresses == "true"
		rec.Trace = r.last().Record(filter.Remember{Settings: r.settings.Load(), Sampled: true}).Trace
		b, err := rec.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b) + fmt.Sprintf("%+v", rec) + strings.Join(rec.Added, "\n")
		for _, local := range []string{"smith", "jones"} {
			if strings.Contains(text, local) != wanted {
				t.Errorf("addresses: %s; %s in the record: %v\n%s", addresses, local, !wanted, text)
			}
		}
		if len(rec.Verdict.DKIM) != 1 || rec.Verdict.DKIM[0].Status != dkim.Pass || rec.Verdict.ARC.Status != arc.Pass || rec.Verdict.SPF.Status != spf.Fail || len(rec.Added) != 4 {
			t.Errorf("addresses: %s; remembered: %+v", addresses, rec)
		}
		if wanted {
			continue
		}
		if got := rec.Verdict.DKIM[0].Identity; got != "@sub.reject.example" {
			t.Errorf("identity %q", got)
		}
		if got, want := rec.Verdict.ARC.Hops[0].Results, "mx.list.example; spf=pass smtp.mailfrom=reject.example"; got != want {
			t.Errorf("the hop's results %q, want %q", got, want)
		}
	}
}
