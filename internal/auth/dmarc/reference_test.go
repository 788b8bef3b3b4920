package dmarc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns"
)

// This file reads RFC 9989 a second time, as plainly as can be: names are
// strings, one query follows the other, and a look-up that fails is tried with
// every answer that it could have had. TestReference holds the evaluation to it
// on random trees of records.

// published is what a name has at "_dmarc.": what the author of the record meant,
// not its text.
type published struct {
	p, sp, np   string // "" for none
	psd         string // y, n or u
	adkim, aspf string
	test        bool
	broken      bool // p is no policy
	rua         bool
}

func (r published) text() string {
	out := "v=DMARC1"
	add := func(name, value string) {
		if value != "" {
			out += "; " + name + "=" + value
		}
	}
	if r.broken {
		add("p", "bogus")
	} else {
		add("p", r.p)
	}
	add("sp", r.sp)
	add("np", r.np)
	add("psd", r.psd)
	add("adkim", r.adkim)
	add("aspf", r.aspf)
	if r.test {
		add("t", "y")
	}
	if r.rua {
		add("rua", "mailto:d@example.com")
	}
	return out
}

// world is all that the DNS and the other mechanisms have to say.
type world struct {
	records map[string][]published
	failing []string // names whose record cannot be looked up
	author  string
	missing bool // the author does not exist
	unknown bool // whether it exists cannot be looked up
	ids     []Identifier
}

// verdict is the part of a result that the reference compares.
type verdict struct {
	status                  Status
	org, policyDomain       string
	requested, policy       string
	spfAligned, dkimAligned bool
	alignments              string
}

func (w world) record(name string) *published {
	if rs := w.records[name]; len(rs) == 1 {
		return &rs[0]
	}
	return nil // none, or several, which are all dropped
}

// visit lists the names of a tree walk: section 4.10.
func (w world) visit(start string) []string {
	labels := strings.Split(start, ".")
	x := len(labels)
	visited := []string{start}
	stop := func(name string) bool {
		r := w.record(name)
		return r != nil && (r.psd == "y" || r.psd == "n")
	}
	if stop(start) {
		return visited
	}
	if x < 8 {
		labels = labels[1:]
	} else {
		labels = labels[x-7:]
	}
	for len(labels) > 0 {
		name := strings.Join(labels, ".")
		visited = append(visited, name)
		if stop(name) {
			break
		}
		labels = labels[1:]
	}
	return visited
}

// org is section 4.10.2.
func (w world) org(start string) string {
	fewest := ""
	for _, name := range w.visit(start) {
		r := w.record(name)
		if r == nil {
			continue
		}
		if r.psd == "n" {
			return name
		}
		if r.psd == "y" && name != start {
			below := strings.TrimSuffix(start, "."+name)
			return below[strings.LastIndex(below, ".")+1:] + "." + name
		}
		fewest = name
	}
	if fewest == "" {
		return start
	}
	return fewest
}

// governing is section 4.10.1; "" for no record.
func (w world) governing() string {
	visited := w.visit(w.author)
	if w.record(w.author) != nil {
		return w.author
	}
	if org := w.org(w.author); slices.Contains(visited, org) && w.record(org) != nil {
		return org
	}
	last := visited[len(visited)-1]
	if r := w.record(last); r != nil && r.psd == "y" {
		return last
	}
	return ""
}

// judge evaluates a world in which no look-up fails and nothing is undecided.
func (w world) judge() verdict {
	v := verdict{status: None, org: w.org(w.author)}
	mode := map[Method]string{}
	if name := w.governing(); name != "" {
		r := *w.record(name)
		if r.broken || r.p == "" {
			if r.rua {
				r.p, r.sp, r.np = "none", "", ""
			} else {
				name = ""
			}
		}
		if name != "" {
			v.status, v.policyDomain = Fail, name
			mode[SPF], mode[DKIM] = r.aspf, r.adkim
			sp := cmpOr(r.sp, r.p)
			np := cmpOr(r.np, sp)
			switch {
			case name == w.author:
				v.requested = r.p
			case w.unknown:
				strength := []string{"none", "quarantine", "reject"}
				v.requested = strength[min(slices.Index(strength, sp), slices.Index(strength, np))]
			case w.missing:
				v.requested = np
			default:
				v.requested = sp
			}
			v.policy = v.requested
			if r.test {
				v.policy = map[string]string{"reject": "quarantine", "quarantine": "none", "none": "none"}[v.requested]
			}
		}
	}
	for _, id := range w.ids {
		d := id.Domain.String()
		aligned := d != "" && (d == w.author || mode[id.Method] != "s" && w.org(d) == v.org)
		v.alignments += fmt.Sprint(aligned, " ")
		if aligned && id.State == Passed && v.policyDomain != "" {
			v.status = Pass
			v.spfAligned = v.spfAligned || id.Method == SPF
			v.dkimAligned = v.dkimAligned || id.Method == DKIM
		}
	}
	return v
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// possible lists the verdicts of all worlds that this one could be: each failing
// look-up with every kind of answer, each undecided identifier passed or not.
func (w world) possible() []verdict {
	for i, id := range w.ids {
		if id.State == Undecided {
			var out []verdict
			for _, o := range []State{Passed, NotPassed} {
				other := w
				other.ids = slices.Clone(w.ids)
				other.ids[i].State = o
				out = append(out, other.possible()...)
			}
			return out
		}
	}
	if len(w.failing) == 0 {
		return []verdict{w.judge()}
	}
	var out []verdict
	for _, psd := range []string{"", "u", "n", "y"} {
		other := w
		other.failing = w.failing[1:]
		other.records = maps.Clone(w.records)
		delete(other.records, w.failing[0])
		if psd != "" {
			other.records[w.failing[0]] = []published{{p: "none", psd: psd}}
		}
		out = append(out, other.possible()...)
	}
	return out
}

// LookupTXT makes a world a Resolver.
func (w world) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	owner, ok := strings.CutPrefix(name.String(), "_dmarc.")
	switch {
	case !ok && w.unknown, ok && slices.Contains(w.failing, owner):
		return nil, fmt.Errorf("%w: %s", dns.ErrTemporary, name)
	case !ok && w.missing:
		return nil, dns.ErrNXDomain
	case !ok:
		return nil, dns.ErrNoData
	}
	var out []string
	for _, r := range w.records[owner] {
		out = append(out, r.text())
	}
	if out == nil {
		return nil, dns.ErrNXDomain
	}
	return out, nil
}

// warmWorld answers from its cache.
type warmWorld struct{ world }

func (w warmWorld) Cached(name dns.Name) ([]string, error, bool) {
	texts, err := w.LookupTXT(context.Background(), name)
	return texts, err, true
}

func TestReference(t *testing.T) {
	const rounds = 20000
	seen := map[Status]int{}
	cautious := 0
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 9989))
		w := randomWorld(rng)
		var resolver Resolver = w
		if rng.IntN(2) == 0 {
			resolver = warmWorld{w}
		}
		d := (&Discoverer{Resolver: resolver}).Begin(context.Background(), dns.MustParse(w.author), domains(w.ids)...)
		got := d.Evaluate(w.ids)
		d.Close()
		seen[got.Status]++

		want := w.possible()
		agree := !slices.ContainsFunc(want, func(v verdict) bool {
			return v.status != want[0].status || v.policyDomain != want[0].policyDomain
		})
		if got.Status == TempError {
			if agree && len(w.failing) == 0 {
				t.Fatalf("seed %d: %+v\nis %s, but nothing can change %+v", seed, w, got.Status, want[0])
			}
			if agree {
				cautious++
			}
			checkTempError(t, seed, w, got)
			continue
		}
		if !agree {
			t.Fatalf("seed %d: %+v\ngot %s, but it could be any of %+v", seed, w, got.Status, want)
		}
		compare(t, seed, w, got, want)
	}
	for _, s := range []Status{None, Pass, Fail, TempError} {
		if seen[s] < rounds/50 {
			t.Errorf("only %d of %d worlds end in %s; the generator is lopsided", seen[s], rounds, s)
		}
	}
	t.Logf("%v; %d in which %s is more than needed", seen, cautious, TempError)
}

// compare holds a definite result to the verdicts of all possible worlds, which
// agree on its status.
func compare(t *testing.T, seed uint64, w world, got Result, want []verdict) {
	t.Helper()
	v := verdict{
		status: got.Status, policyDomain: got.PolicyDomain.String(),
		requested: string(got.Requested), policy: string(got.Policy),
		spfAligned: got.SPFAligned, dkimAligned: got.DKIMAligned,
	}
	for _, other := range want {
		if !got.OrgDomain.IsZero() && got.OrgDomain.String() != other.org {
			t.Fatalf("seed %d: %+v\norg %s, could be %s", seed, w, got.OrgDomain, other.org)
		}
		for i, a := range strings.Fields(other.alignments) {
			if got.Alignments[i] != AlignmentUnknown && (got.Alignments[i] == Aligned) != (a == "true") {
				t.Fatalf("seed %d: %+v\nalignment of %+v is %s, could be %s", seed, w, w.ids[i], got.Alignments[i], a)
			}
		}
		other.org, other.alignments = "", ""
		if len(want) > 1 { // which of them passed may differ
			other.spfAligned, other.dkimAligned = v.spfAligned, v.dkimAligned
		}
		if v != other {
			t.Fatalf("seed %d: %+v\ngot  %+v\nwant %+v", seed, w, v, other)
		}
	}
}

// checkTempError holds a temperror to having a reason.
func checkTempError(t *testing.T, seed uint64, w world, got Result) {
	t.Helper()
	if got.Err == nil || !errors.Is(got.Err, dns.ErrTemporary) && !errors.Is(got.Err, ErrUndecided) {
		t.Fatalf("seed %d: %+v\n%s because of %v", seed, w, got.Status, got.Err)
	}
	if (got.Policy == "") != (got.Record == nil) || (got.Record == nil) != got.PolicyDomain.IsZero() {
		t.Fatalf("seed %d: policy %q, domain %q, record %v", seed, got.Policy, got.PolicyDomain, got.Record)
	}
}

// randomWorld grows a small tree in which names meet often.
func randomWorld(rng *rand.Rand) world {
	name := func() string {
		n := 1 + rng.IntN(4)
		if rng.IntN(8) == 0 {
			n = 7 + rng.IntN(4) // about the jump
		}
		labels := make([]string, n)
		for i := range labels {
			labels[i] = string("ab"[rng.IntN(10)/8])
		}
		return strings.Join(labels, ".")
	}
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	w := world{records: map[string][]published{}, author: name()}
	near := func() string { // names that share much with the author
		s := w.author
		for range rng.IntN(3) {
			if _, up, ok := strings.Cut(s, "."); ok {
				s = up
			}
		}
		for range rng.IntN(3) {
			s = pick("a", "b", "c") + "." + s
		}
		return s
	}
	for range 1 + rng.IntN(6) {
		owner := name()
		if rng.IntN(3) > 0 {
			owner = near()
		}
		for range 1 + rng.IntN(11)/10 {
			w.records[owner] = append(w.records[owner], published{
				p: pick("none", "quarantine", "reject", "reject", ""), sp: pick("", "none", "quarantine", "reject"),
				np: pick("", "none", "quarantine", "reject"), psd: pick("", "u", "", "", "n", "y"),
				adkim: pick("", "", "r", "s"), aspf: pick("", "", "r", "s"),
				test: rng.IntN(4) == 0, broken: rng.IntN(10) == 0, rua: rng.IntN(2) == 0,
			})
		}
	}
	for range rng.IntN(4) {
		id := Identifier{Method: Method(pick("spf", "dkim")), State: State(rng.IntN(3)), Domain: dns.MustParse(near())}
		if rng.IntN(6) == 0 {
			id.Domain = dns.MustParse(name())
		}
		if rng.IntN(20) == 0 {
			id.Domain = dns.Name{}
		}
		w.ids = append(w.ids, id)
	}
	for range max(0, rng.IntN(5)-2) {
		w.failing = append(w.failing, near())
	}
	if len(w.records[w.author]) == 0 { // otherwise they show that it exists
		w.missing = rng.IntN(3) == 0
		w.unknown = rng.IntN(8) == 0
	}
	return w
}
