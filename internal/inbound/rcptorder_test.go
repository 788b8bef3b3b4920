package inbound_test

import (
	"slices"
	"strings"
	"testing"
)

// TestRecipientOrder sends one message to several domains with every order of RCPT: what
// is done to it, and what its fields say, must not depend on that.
func TestRecipientOrder(t *testing.T) {
	const zone = `
reject.example. TXT "v=spf1 -all"
_dmarc.reject.example. TXT "v=DMARC1; p=reject"
_dmarc.none.example. TXT "v=DMARC1; p=none"
`
	const domains = `
domains:
  quiet.example: {dmarc: {x_header: false, authentication_results: false}}
  hes.example: {dmarc: {criteria: hes}}
  tags.example: {dmarc: {tag_subject: "[FORGED]"}}
  off.example: {dmarc: {enabled: false}}
  watch.example: {mode: monitor}
`
	spoof := mail{mailFrom: "a@reject.example", raw: "From: a@reject.example\nSubject: x\n\nbody\n"}
	lenient := mail{mailFrom: "a@none.example", raw: "From: a@none.example\nSubject: x\n\nbody\n"}
	for name, c := range map[string]struct {
		mode  string
		mail  mail
		rcpts []string
		want  string // how it is answered
		tm    string // content of X-TM-Authentication-Results; "" for no such field
		tag   bool
	}{
		"a neighbour wants no fields":         {"on_conflict", lenient, []string{"quiet.example", "plain.example"}, "accept", "dmarc=fail", false},
		"nobody wants fields":                 {"on_conflict", lenient, []string{"quiet.example"}, "accept", "", false},
		"rfc before hes":                      {"on_conflict", lenient, []string{"hes.example", "plain.example"}, "accept", "dmarc=fail", false},
		"where DMARC is off it says nothing":  {"on_conflict", lenient, []string{"off.example", "hes.example"}, "accept", "dmarc=pass", false},
		"a tag for one is a tag or a retry":   {"on_conflict", lenient, []string{"tags.example", "plain.example"}, "defer", "", false},
		"a tag for one, strictest":            {"strictest", lenient, []string{"tags.example", "plain.example", "quiet.example"}, "accept", "dmarc=fail", true},
		"a tag for one, mildest":              {"mildest", lenient, []string{"tags.example", "plain.example"}, "accept", "dmarc=fail", false},
		"monitor waits with the others":       {"on_conflict", spoof, []string{"watch.example", "plain.example"}, "defer", "", false},
		"monitor, mildest, tells what it saw": {"mildest", spoof, []string{"watch.example", "plain.example"}, "accept", "dmarc=fail action=reject", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rcpts := range permutations(c.rcpts) {
				r := newRig(t, zone, "mixed_recipients: "+c.mode+"\n"+domains)
				m := c.mail
				m.rcpts = nil
				for _, d := range rcpts {
					m.rcpts = append(m.rcpts, "user@"+d)
				}
				res := r.send(m)
				if got := outcomeWord(res); got != c.want {
					t.Errorf("%v: %s, want %s", rcpts, got, c.want)
				}
				tm := strings.Join(fields(m, res, "X-TM-Authentication-Results"), "; ")
				if c.tm == "" && tm != "" || !strings.Contains(tm, c.tm) {
					t.Errorf("%v: X-TM-Authentication-Results %q, want %q", rcpts, tm, c.tm)
				}
				if tagged := strings.Contains(field(t, m, res, "Subject"), "[FORGED]"); tagged != c.tag {
					t.Errorf("%v: tagged %v, want %v", rcpts, tagged, c.tag)
				}
			}
		})
	}
}

func permutations(list []string) (out [][]string) {
	if len(list) < 2 {
		return [][]string{list}
	}
	for i := range list {
		for _, rest := range permutations(slices.Delete(slices.Clone(list), i, i+1)) {
			out = append(out, append([]string{list[i]}, rest...))
		}
	}
	return out
}
