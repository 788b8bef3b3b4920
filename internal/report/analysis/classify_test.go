package analysis

import (
	"net/netip"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
)

func TestClassify(t *testing.T) {
	one, other := [32]byte{1}, [32]byte{2}
	google, evil := dns.MustParse("google.com"), dns.MustParse("evil.example")
	for _, c := range []struct {
		name   string
		report Report
		known  []Known
		want   Status
		of     int64
	}{
		{"new", Report{Status: StatusStored, Trust: TrustUnknown}, nil, StatusStored, 0},
		{"empty", Report{Status: StatusEmpty, Trust: TrustUnknown}, nil, StatusEmpty, 0},
		{"aside", Report{Status: StatusAside}, []Known{{ID: 1}}, StatusAside, 0},
		{"again", Report{Status: StatusStored, Trust: TrustUnknown, Digest: one}, []Known{{ID: 1, Trust: TrustUnknown, Digest: one}}, StatusDuplicate, 1},
		{"empty again", Report{Status: StatusEmpty, Trust: TrustUnknown}, []Known{{ID: 1, Trust: TrustUnknown}}, StatusDuplicate, 1},
		{"with other records", Report{Status: StatusStored, Trust: TrustUnknown, Digest: other}, []Known{{ID: 1, Trust: TrustUnknown, Digest: one}}, StatusDiffers, 1},
		{"authenticated after one that was not", Report{Status: StatusStored, Trust: TrustAuthenticated, AuthDomain: google, Digest: one},
			[]Known{{ID: 1, Trust: TrustUnknown, Digest: other}}, StatusReplaced, 1},
		{"and the other way round", Report{Status: StatusStored, Trust: TrustUnknown, Digest: other},
			[]Known{{ID: 1, Trust: TrustAuthenticated, Auth: google, Digest: one}}, StatusDiffers, 1},
		{"authenticated twice", Report{Status: StatusStored, Trust: TrustAuthenticated, AuthDomain: google, Digest: other},
			[]Known{{ID: 1, Trust: TrustAuthenticated, Auth: google, Digest: one}}, StatusDiffers, 1},
		{"a forgery came first", Report{Status: StatusStored, Trust: TrustUnknown, Digest: one}, []Known{{ID: 1, Trust: TrustFailed, Digest: other}}, StatusReplaced, 1},
		{"a forgery comes later", Report{Status: StatusStored, Trust: TrustFailed, Digest: other}, []Known{{ID: 1, Trust: TrustUnknown, Digest: one}}, StatusDiffers, 1},
		{"under another name beside the true one", Report{Status: StatusStored, Trust: TrustOtherName, AuthDomain: evil, Digest: other},
			[]Known{{ID: 1, Trust: TrustAuthenticated, Auth: google, Digest: one}}, StatusStored, 0},
		{"the true one beside one under another name", Report{Status: StatusStored, Trust: TrustAuthenticated, AuthDomain: google, Digest: one},
			[]Known{{ID: 1, Trust: TrustOtherName, Auth: evil, Digest: other}}, StatusStored, 0},
		{"the admin's word", Report{Status: StatusStored, Trust: TrustAdmin, Digest: other}, []Known{{ID: 1, Trust: TrustUnknown, Digest: one}}, StatusReplaced, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, of := Classify(&c.report, c.known); got != c.want || of != c.of {
				t.Errorf("got %s of %d, want %s of %d", got, of, c.want, c.of)
			}
		})
	}
}

func TestDigestRows(t *testing.T) {
	row := func(ip string, count int64, domain string) Row {
		return Row{
			Source: netip.MustParseAddr(ip), Count: count, SPF: report.DMARCPass, DKIM: report.DMARCFail,
			Auth: &AuthSet{DKIM: []DKIMResult{{Domain: domain}}},
		}
	}
	a, b := row("192.0.2.1", 1, "a.example"), row("192.0.2.2", 1, "a.example")
	numbered := a
	numbered.Number = 7
	sum := DigestRows([]Row{a, b})
	if DigestRows([]Row{b, numbered}) != sum {
		t.Error("order and number count")
	}
	for name, rows := range map[string][]Row{
		"count": {row("192.0.2.1", 2, "a.example"), b}, "auth": {row("192.0.2.1", 1, "b.example"), b}, "one less": {a}, "one twice": {a, b, b}, "none": {},
	} {
		if DigestRows(rows) == sum {
			t.Errorf("%s does not count", name)
		}
	}
}
