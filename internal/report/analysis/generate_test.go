package analysis

import (
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

func ptr(s string) *string { return &s }

func TestGenerateRecord(t *testing.T) {
	const own = "dmarc@example.org"
	for _, c := range []struct {
		name, standing string
		change         RecordChange
		own            string
		want           string // the record
		notes          string // a part of the notes
	}{
		{name: "none stands", own: own, want: "v=DMARC1; p=none; rua=mailto:dmarc@example.org"},
		{name: "none stands, and no address", want: "v=DMARC1; p=none"},
		{name: "ours is put first", standing: "v=DMARC1; p=reject; rua=mailto:a@x.example", own: own,
			want: "v=DMARC1; p=reject; rua=mailto:dmarc@example.org,mailto:a@x.example"},
		{name: "ours is moved to the head", standing: "v=DMARC1; p=reject; rua=mailto:a@x.example, mailto:DMARC@example.org!10m", own: own,
			want: "v=DMARC1; p=reject; rua=mailto:dmarc@example.org,mailto:a@x.example"},
		{name: "unknown tags and their order are kept", standing: "v=DMARC1;p=none;x-note=hello world;pct=50;ri=3600;fo=1", own: own,
			change: RecordChange{P: ptr("Reject"), SP: ptr("quarantine"), NP: ptr("reject")},
			want:   "v=DMARC1; p=reject; sp=quarantine; np=reject; x-note=hello world; pct=50; ri=3600; fo=1; rua=mailto:dmarc@example.org", notes: "pct has no effect"},
		{name: "every tag", own: own, change: RecordChange{P: ptr("reject"), SP: ptr("none"), NP: ptr("quarantine"), T: ptr("y"), ADKIM: ptr("s"), ASPF: ptr("s"),
			RUA: ptr("a@x.example, mailto:b%2Bc@x.example,d!e@x.example"), RUF: ptr("f@x.example"), FO: ptr("1:d"), PSD: ptr("n")},
			want: "v=DMARC1; p=reject; sp=none; np=quarantine; t=y; adkim=s; aspf=s; psd=n; fo=1:d; " +
				"rua=mailto:dmarc@example.org,mailto:a@x.example,mailto:b%2Bc@x.example,mailto:d%21e@x.example; ruf=mailto:f@x.example"},
		{name: "tags are taken out", standing: "v=DMARC1; p=reject; sp=none; ruf=mailto:f@x.example; t=y", own: own,
			change: RecordChange{SP: ptr(""), RUF: ptr(""), T: ptr("")}, want: "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"},
		{name: "addresses are replaced", standing: "v=DMARC1; p=reject; rua=mailto:a@x.example", own: own, change: RecordChange{RUA: ptr("b@x.example")},
			want: "v=DMARC1; p=reject; rua=mailto:dmarc@example.org,mailto:b@x.example"},
		{name: "an invalid record is mended", standing: "v=DMARC1; p=rejekt; sp=none; sp=reject; adkim=x", own: own,
			want: "v=DMARC1; p=none; sp=none; rua=mailto:dmarc@example.org", notes: "is invalid"},
		{name: "a version elsewhere", standing: "p=reject; v=DMARC1", own: own, want: "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := GenerateRecord(c.standing, c.change, c.own, dmarc.PolicyNone)
			if err != nil || got.Text != c.want || !strings.Contains(strings.Join(got.Notes, "\n"), c.notes) {
				t.Errorf("got  %s, %v, %q\nwant %s", got.Text, err, got.Notes, c.want)
			}
			if err == nil {
				readsBack(t, got.Text)
			}
			again, err := GenerateRecord(got.Text, RecordChange{}, c.own, dmarc.PolicyNone)
			if err != nil || again.Text != got.Text || len(again.Changes) != 0 {
				t.Errorf("made of itself: %s, %v, %v", again.Text, again.Changes, err)
			}
		})
	}
	for name, change := range map[string]RecordChange{
		"p=": {P: ptr("all")}, "without p": {P: ptr("")}, "sp=": {SP: ptr("x;y")}, "np=": {NP: ptr("1")}, "t=": {T: ptr("yes")}, "adkim=": {ADKIM: ptr("strict")},
		"fo=": {FO: ptr("0:1")}, "psd=": {PSD: ptr("maybe")}, "rua: ": {RUA: ptr("nobody")}, "ruf: ": {RUF: ptr("a@b;c")},
	} {
		if got, err := GenerateRecord("", change, own, dmarc.PolicyNone); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %s", name, err, got.Text)
		}
	}
}

// readsBack holds a generated record to what those who evaluate records read in it.
func readsBack(t *testing.T, text string) {
	t.Helper()
	record, err := dmarc.ParseRecord(text)
	if err != nil || record.Voided || record.Unusable {
		t.Errorf("%s reads as %+v, %v", text, record, err)
	}
	for _, w := range record.Warnings {
		if !strings.HasPrefix(w, "unknown tag") && !strings.HasPrefix(w, "pct ") {
			t.Errorf("%s: %s", text, w)
		}
	}
	zone := dnstest.MustZone(strings.Replace(ZoneLine(dns.MustParse("_dmarc.example.com"), text), ". IN TXT", " TXT", 1))
	discoverer := dmarc.Discoverer{Resolver: zone}
	d := discoverer.Begin(t.Context(), dns.MustParse("example.com"))
	defer d.Close()
	if r := d.Evaluate(nil); r.Record == nil || r.Record.Text != text {
		t.Errorf("the zone line reads back as %+v", r)
	}
}

func TestRecordChanges(t *testing.T) {
	got, err := GenerateRecord("v=DMARC1; p=none; pct=10; sp=none", RecordChange{P: ptr("reject"), SP: ptr("")}, "a@b.example", dmarc.PolicyNone)
	if err != nil {
		t.Fatal(err)
	}
	want := "[{p none reject} {rua  mailto:a@b.example} {sp none }]"
	if text := fmt.Sprint(got.Changes); text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestZoneLine(t *testing.T) {
	long := strings.Repeat("a", 300)
	for in, want := range map[string]string{
		"v=DMARC1":               `_dmarc.example.com. IN TXT "v=DMARC1"`,
		"":                       `_dmarc.example.com. IN TXT ""`,
		`a"b\c` + "\xc3\xa4\x7f": `_dmarc.example.com. IN TXT "a\"b\\c\195\164\127"`,
		long:                     `_dmarc.example.com. IN TXT "` + long[:255] + `" "` + long[255:] + `"`,
	} {
		if got := ZoneLine(dns.MustParse("_dmarc.example.com"), in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSameRecord(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"v=DMARC1; p=none", "v=DMARC1;p=NONE;", true},
		{"v=DMARC1; p=none; sp=reject", "v=DMARC1; sp=reject; p=none", true},
		{"v=DMARC1; p=none; rua=mailto:a@b, mailto:c@d", "v=DMARC1; p=none; rua=mailto:a@b,mailto:c@d", true},
		{"v=DMARC1; p=none; rua=mailto:A@b", "v=DMARC1; p=none; rua=mailto:a@b", false},
		{"v=DMARC1; p=none", "v=DMARC1; p=reject", false},
		{"v=DMARC1; p=none", "v=DMARC1; p=none; sp=none", false},
	} {
		if got := SameRecord(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
