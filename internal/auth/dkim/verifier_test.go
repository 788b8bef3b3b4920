package dkim

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
)

// TestSignatureRules has a case for each rule on the tags of a signature: the
// message is signed well, so that only the rule decides.
func TestSignatureRules(t *testing.T) {
	at := func(d time.Duration) string { return fmt.Sprint(testNow.Add(d).Unix()) }
	cases := []struct {
		name   string
		tags   string // "" means usual
		after  string
		length int
		want   Status
		err    error
	}{
		{name: "plain", want: Pass},
		{name: "defaults of c=", tags: "v=1; d=example.com; s=s1; h=from", want: Pass},
		{name: "body canonicalization by default", tags: "v=1; c=relaxed; d=example.com; s=s1; h=from", want: Pass},
		{name: "simple over relaxed", tags: "v=1; c=simple/relaxed; d=example.com; s=s1; h=from", want: Pass},
		{name: "unknown tag", tags: usual + "; foo=bar", want: Pass},
		{name: "empty tag-spec", tags: usual + "; ", want: Pass},
		{name: "tags after b=", after: "; zz=1; y2=b=", want: Pass},
		{name: "final semicolon", after: ";", want: Pass},
		{name: "z= holds b=", tags: usual + "; z=From:Bob=20Smith|b=x", want: Pass},
		{name: "blanks round the equals sign", tags: "v = 1;c\t=\trelaxed;d = example.com ; s=s1;h = from : to", want: Pass},
		{name: "folded h=", tags: "v=1; d=example.com; s=s1; h=from :\r\n\tto:\r\n subject", want: Pass},
		{name: "names absent, over-signed, upper case", tags: "v=1; d=example.com; s=s1; h=FROM:from:from:Reply-To:To", want: Pass},
		{name: "empty name in h=", tags: "v=1; d=example.com; s=s1; h=from:to:", want: Pass},
		{name: "blank within a name of h=", tags: "v=1; d=example.com; s=s1; h=from:t o", want: PermError, err: ErrSyntax},
		{name: "From not signed", tags: "v=1; d=example.com; s=s1; h=to:subject", want: PermError, err: ErrFromUnsigned},
		{name: "a name that begins with From", tags: "v=1; d=example.com; s=s1; h=from-x:to", want: PermError, err: ErrFromUnsigned},
		{name: "too many names", tags: "v=1; d=example.com; s=s1; h=from" + strings.Repeat(":x", maxSignedNames), want: Policy, err: ErrLimit},
		{name: "as many as allowed", tags: "v=1; d=example.com; s=s1; h=from" + strings.Repeat(":x", maxSignedNames-1), want: Pass},
		{name: "version 2", tags: strings.Replace(usual, "v=1", "v=2", 1), want: PermError, err: ErrUnsupported},
		{name: "version 01", tags: strings.Replace(usual, "v=1", "v=01", 1), want: PermError, err: ErrUnsupported},
		{name: "no version", tags: strings.Replace(usual, "v=1; ", "", 1), want: PermError, err: ErrSyntax},
		{name: "version not first", tags: "d=example.com; v=1; s=s1; h=from", want: Pass},
		{name: "tag twice", tags: usual, after: "; s=s1", want: PermError, err: ErrSyntax},
		{name: "unknown tag outside the grammar", tags: usual, after: "; 1x-y=z", want: Pass},
		{name: "blank within a tag name", tags: usual, after: "; x y=z", want: PermError, err: ErrSyntax},
		{name: "no tag name", tags: usual, after: "; =z", want: PermError, err: ErrSyntax},
		{name: "no equals sign", tags: usual, after: "; junk", want: PermError, err: ErrSyntax},
		{name: "too many tags", tags: usual, after: manyTags(), want: Policy, err: ErrLimit},
		{name: "d= in upper case", tags: "v=1; d=EXAMPLE.com; s=s1; h=from", want: Pass},
		{name: "d= of one label", tags: "v=1; d=com; s=s1; h=from", want: PermError, err: ErrSyntax},
		{name: "d= no name", tags: "v=1; d=exa mple.com; s=s1; h=from", want: PermError, err: ErrSyntax},
		{name: "d= with a quote", tags: `v=1; d=exa"mple.com; s=s1; h=from`, want: PermError, err: ErrSyntax},
		{name: "d= empty", tags: "v=1; d=; s=s1; h=from", want: PermError, err: ErrSyntax},
		{name: "d= a U-label", tags: "v=1; d=Bücher.example; s=s1; h=from", want: Pass},
		{name: "d= that U-label as an A-label", tags: "v=1; d=xn--bcher-kva.example; s=s1; h=from", want: Pass},
		{name: "d= not UTF-8", tags: "v=1; d=b\xffcher.example; s=s1; h=from", want: PermError, err: ErrSyntax},
		{name: "s= of two labels", tags: "v=1; d=example.com; s=a.B; h=from", want: Pass},
		{name: "s= a U-label", tags: "v=1; d=example.com; s=grün; h=from", want: Pass},
		{name: "s= empty", tags: "v=1; d=example.com; s=; h=from", want: PermError, err: ErrSyntax},
		{name: "s= too long for a query", tags: "v=1; d=example.com; s=" + strings.Repeat("a", 64) + "; h=from", want: PermError, err: ErrSyntax},
		{name: "s= with brackets", tags: "v=1; d=example.com; s=(x); h=from", want: PermError, err: ErrSyntax},
		{name: "i= the domain", tags: usual + "; i=@example.com", want: Pass},
		{name: "i= in other letters", tags: usual + "; i=joe@Example.COM", want: Pass},
		{name: "i= below", tags: usual + "; i=joe@eu.Example.com", want: Pass},
		{name: "i= with an at sign in the local part", tags: usual + "; i=joe@evil.net@example.com", want: Pass},
		{name: "i= elsewhere", tags: usual + "; i=joe@example.net", want: PermError, err: ErrIdentity},
		{name: "i= above", tags: "v=1; d=eu.example.com; s=s1; h=from; i=@example.com", want: PermError, err: ErrIdentity},
		{name: "i= ends alike", tags: usual + "; i=joe@notexample.com", want: PermError, err: ErrIdentity},
		{name: "i= without an at sign", tags: usual + "; i=example.com", want: PermError, err: ErrSyntax},
		{name: "i= empty", tags: usual + "; i=", want: PermError, err: ErrSyntax},
		{name: "q= known", tags: usual + "; q=dns/txt", want: Pass},
		{name: "q= known among others", tags: usual + "; q=x/y : dns/txt", want: Pass},
		{name: "q= unknown", tags: usual + "; q=dns/other", want: PermError, err: ErrUnsupported},
		{name: "c= unknown", tags: "v=1; c=nowsp; d=example.com; s=s1; h=from", want: PermError, err: ErrUnsupported},
		{name: "c= of the body unknown", tags: "v=1; c=relaxed/nowsp; d=example.com; s=s1; h=from", want: PermError, err: ErrUnsupported},
		{name: "x= to come", tags: usual + "; x=" + at(time.Hour), want: Pass},
		{name: "x= just past, within the skew", tags: usual + "; x=" + at(-ClockSkew), want: Pass},
		{name: "x= past", tags: usual + "; x=" + at(-ClockSkew-time.Second), want: PermError, err: ErrExpired},
		{name: "x= of 40 digits", tags: usual + "; x=" + strings.Repeat("9", 40), want: Pass},
		{name: "x= after t=", tags: usual + "; t=" + at(-time.Hour) + "; x=" + at(time.Hour), want: Pass},
		{name: "x= before t=", tags: usual + "; t=" + at(2*time.Hour) + "; x=" + at(time.Hour), want: PermError, err: ErrSyntax},
		{name: "x= equals t=", tags: usual + "; t=" + at(time.Hour) + "; x=" + at(time.Hour), want: PermError, err: ErrSyntax},
		{name: "x= no number", tags: usual + "; x=-1", want: PermError, err: ErrSyntax},
		{name: "t= no number", tags: usual + "; t=now", want: PermError, err: ErrSyntax},
		{name: "t= empty", tags: usual + "; t=", want: PermError, err: ErrSyntax},
		{name: "t= to come", tags: usual + "; t=" + at(24*time.Hour), want: Pass},
		{name: "l= of all", tags: usual + "; l=23", want: Pass},
		{name: "l= of a part", tags: usual + "; l=12", length: 12, want: Policy, err: ErrPartial},
		{name: "l= within a line end", tags: usual + "; l=13", length: 13, want: Policy, err: ErrPartial},
		{name: "l= of nothing", tags: usual + "; l=0", length: -1, want: Policy, err: ErrPartial},
		{name: "l= of a part, other hash", tags: usual + "; l=12", length: 11, want: Fail, err: ErrBodyHash},
		{name: "l= beyond the body", tags: usual + "; l=24", want: Fail, err: ErrBodyLength},
		{name: "l= of 76 digits", tags: usual + "; l=" + strings.Repeat("9", 76), want: Fail, err: ErrBodyLength},
		{name: "l= no number", tags: usual + "; l=1x", want: PermError, err: ErrSyntax},
	}
	res := &zone{txt: map[string][]string{}}
	for _, n := range []string{"s1._domainkey.example.com", "s1._domainkey.eu.example.com", "s1._domainkey.xn--bcher-kva.example",
		"a.b._domainkey.example.com", "xn--grn-ioa._domainkey.example.com"} {
		res.txt[n] = []string{record(edKey())}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.tags == "" {
				c.tags = usual
			}
			field := signer{key: edKey(), tags: c.tags, after: c.after, length: c.length}.field(plainHead, plainText)
			got := one(t, res, field+plainHead, plainText, Options{Now: testNow})
			if got.Status != c.want || !errors.Is(got.Err, c.err) {
				t.Errorf("%s, %v; want %s, %v", got.Status, got.Err, c.want, c.err)
			}
			compared := c.want == Pass || c.want == Fail || errors.Is(c.err, ErrPartial)
			if got.Processed != compared {
				t.Errorf("Processed = %v, want %v", got.Processed, compared)
			}
			if partial := c.length != 0; got.Partial != partial {
				t.Errorf("Partial = %v, want %v", got.Partial, partial)
			}
		})
	}
}

func manyTags() string {
	var b strings.Builder
	for i := range maxTags {
		fmt.Fprintf(&b, "; x%d=", i)
	}
	return b.String()
}

// TestBrokenFields has signatures that no signer makes.
func TestBrokenFields(t *testing.T) {
	good := signer{key: edKey(), tags: usual}.field(plainHead, plainText)
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %q", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	cases := []struct {
		name, field string
		want        Status
		err         error
	}{
		{"rsa-sha1", edit("ed25519-sha256", "rsa-sha1"), PermError, ErrUnsupported},
		{"ed25519-sha1", edit("ed25519-sha256", "ed25519-sha1"), PermError, ErrUnsupported},
		{"upper case", edit("ed25519-sha256", "ED25519-SHA256"), PermError, ErrUnsupported},
		{"another algorithm than the key's", edit("ed25519-sha256", "rsa-sha256"), PermError, ErrKeyUnfit},
		{"no a=", edit("a=ed25519-sha256;", ""), PermError, ErrSyntax},
		{"no b=", edit("\tb=", "\tbb="), PermError, ErrSyntax},
		{"empty b=", good[:strings.Index(good, "\tb=")+3] + "\r\n", PermError, ErrSyntax},
		{"b= not base64", edit("\tb=", "\tb=!"), PermError, ErrSyntax},
		{"no bh=", edit(" bh=", " bx="), PermError, ErrSyntax},
		{"bh= not base64", edit(" bh=", " bh=*"), PermError, ErrSyntax},
		{"bh= too long", edit(" bh=", " bh=AAAA"), Fail, ErrSignature},
		{"no d=", edit(" d=", " dd="), PermError, ErrSyntax},
		{"no s=", edit(" s=", " ss="), PermError, ErrSyntax},
		{"no h=", edit(" h=", " hh="), PermError, ErrSyntax},
		{"empty", "DKIM-Signature:\r\n", PermError, ErrSyntax},
		{"blank", "DKIM-Signature: \r\n\t\r\n", PermError, ErrSyntax},
		{"no colon", "DKIM-Signature\r\n", PermError, ErrSyntax},
		{"semicolons", "DKIM-Signature: ;;;\r\n", PermError, ErrSyntax},
		{"name in other letters", edit("DKIM-Signature", "dkim-signature"), Pass, nil},
		{"blank before the colon", edit("DKIM-Signature:", "DKIM-Signature :"), Pass, nil},
		{"folded otherwise", edit("; c=", ";\r\n   c="), Pass, nil},
		{"changed", edit("h=from:to:subject", "h=from:to"), Fail, ErrSignature},
	}
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := one(t, res, c.field+plainHead, plainText, Options{Now: testNow})
			if got.Status != c.want || !errors.Is(got.Err, c.err) {
				t.Errorf("%s, %v; want %s, %v", got.Status, got.Err, c.want, c.err)
			}
		})
	}
}

// TestTampering changes a signed message.
func TestTampering(t *testing.T) {
	field := signer{key: edKey(), tags: usual + ":subject"}.field(plainHead, plainText)
	simpleField := signer{key: edKey(), tags: "v=1; c=simple/simple; d=example.com; s=s1; h=from:to:subject"}.field(plainHead, plainText)
	cases := []struct {
		name, field, head, body string
		want                    Status
		err                     error
	}{
		{"as it was", field, plainHead, plainText, Pass, nil},
		{"unsigned field added", field, plainHead + "X: y\r\n", plainText, Pass, nil},
		{"over-signed field added", field, "Subject: dinner\r\n" + plainHead, plainText, Fail, ErrSignature},
		{"field signed once added on top", field, "To: eve@example.org\r\n" + plainHead, plainText, Pass, nil},
		{"field signed once added below", field, plainHead + "To: eve@example.org\r\n", plainText, Fail, ErrSignature},
		{"field removed", field, strings.Replace(plainHead, "Subject: lunch\r\n", "", 1), plainText, Fail, ErrSignature},
		{"field changed", field, strings.Replace(plainHead, "lunch", "dinner", 1), plainText, Fail, ErrSignature},
		{"field refolded, relaxed", field, strings.Replace(plainHead, "Joe <", "Joe\r\n\t <", 1), plainText, Pass, nil},
		{"field refolded, simple", simpleField, strings.Replace(plainHead, "Joe <", "Joe\r\n\t <", 1), plainText, Fail, ErrSignature},
		{"leading blank gone, relaxed", field, strings.Replace(plainHead, "From: ", "From:", 1), plainText, Pass, nil},
		{"leading blank gone, simple", simpleField, strings.Replace(plainHead, "From: ", "From:", 1), plainText, Fail, ErrSignature},
		{"as it was, simple", simpleField, plainHead, plainText, Pass, nil},
		{"line added", field, plainHead, plainText + "-- \r\nlist\r\n", Fail, ErrBodyHash},
		{"empty lines added", field, plainHead, plainText + "\r\n\r\n", Pass, nil},
		{"blanks added, relaxed", field, plainHead, strings.Replace(plainText, "Lunch?", "Lunch? \t", 1), Pass, nil},
		{"blanks added, simple", simpleField, plainHead, strings.Replace(plainText, "Lunch?", "Lunch? \t", 1), Fail, ErrBodyHash},
		{"body gone", field, plainHead, "", Fail, ErrBodyHash},
		{"bare LF", field, plainHead, strings.ReplaceAll(plainText, "\r\n", "\n"), Pass, nil},
		{"bare LF, simple", simpleField, plainHead, strings.ReplaceAll(plainText, "\r\n", "\n"), Pass, nil},
		{"both changed", field, strings.Replace(plainHead, "lunch", "x", 1), "x", Fail, ErrSignature},
	}
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := one(t, res, c.field+c.head, c.body, Options{Now: testNow})
			if got.Status != c.want || !errors.Is(got.Err, c.err) || !got.Processed {
				t.Errorf("%s, %v, processed %v; want %s, %v", got.Status, got.Err, got.Processed, c.want, c.err)
			}
		})
	}
}

func TestResultNamesTheSignature(t *testing.T) {
	tags := "v=1; c=relaxed; d=Example.com; s=S.One; i=joe@\r\n example.com; h=from; l=2"
	field := signer{key: rsaKey(t, 2048), tags: tags, length: 2}.field(plainHead, plainText)
	res := &zone{txt: map[string][]string{"s.one._domainkey.example.com": {record(rsaKey(t, 2048)) + "; t=y"}}}
	got := one(t, res, field+plainHead, plainText, Options{Now: testNow})
	prefix := got.SigPrefix
	got.SigPrefix, got.Err = "", nil
	want := Result{Status: Policy, Domain: dns.MustParse("example.com"), Selector: "S.One", Identity: "joe@example.com",
		Algorithm: "rsa-sha256", Header: "relaxed", Body: "simple", KeyBits: 2048, Partial: true, Testing: true, Processed: true}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	_, b, _ := strings.Cut(field, "\tb=")
	if prefix != b[:8] {
		t.Errorf("SigPrefix = %q, b= begins with %q", prefix, b[:8])
	}

	// Readable values are reported even if the signature is refused.
	bad := strings.Replace(field, "v=1", "v=2", 1)
	got = one(t, res, strings.Replace(bad, "rsa-sha256", "rsa-sha1", 1)+plainHead, plainText, Options{Now: testNow})
	got.SigPrefix, got.Err = "", nil
	want = Result{Status: PermError, Domain: want.Domain, Selector: "S.One", Identity: "joe@example.com", Algorithm: "rsa-sha1", Header: "relaxed", Body: "simple"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	hostile := "DKIM-Signature: v=1; a=x\"y; d=a\\b.example; s=\"; i=@x; b=AA\"A; bh=\"; h=from\r\n"
	if got := one(t, res, hostile, "", Options{}); !got.Domain.IsZero() || got.Selector+got.Algorithm+got.SigPrefix != "" {
		t.Errorf("unchecked text in %+v", got)
	}
}

// TestKeyRules has a case for each rule on the key record.
func TestKeyRules(t *testing.T) {
	ed, rsa1024, rsa2048, rsa4096 := crypto.Signer(edKey()), crypto.Signer(rsaKey(t, 1024)), crypto.Signer(rsaKey(t, 2048)), crypto.Signer(rsaKey(t, 4096))
	other := record(rsa4096)
	pkcs1 := "v=DKIM1; p=" + pkcs1Of(t, rsaKey(t, 2048))
	p := public(rsa2048)
	cases := []struct {
		name string
		key  crypto.Signer
		txt  []string
		dns  error
		tags string // added to usual
		o    Options
		want Status
		err  error
		bits int
	}{
		{name: "RSA 1024", key: rsa1024, txt: []string{record(rsa1024)}, want: Pass, bits: 1024},
		{name: "RSA 2048", key: rsa2048, txt: []string{record(rsa2048)}, want: Pass, bits: 2048},
		{name: "RSA 4096", key: rsa4096, txt: []string{record(rsa4096)}, want: Pass, bits: 4096},
		{name: "RSA in the bare form", key: rsa2048, txt: []string{pkcs1}, want: Pass, bits: 2048},
		{name: "Ed25519", key: ed, txt: []string{record(ed)}, want: Pass, bits: 256},
		{name: "RSA 512", key: ed, txt: []string{record(rsaKey(t, 512))}, tags: "rsa", want: PermError, err: ErrKeySize, bits: 512},
		{name: "RSA 512, floor lower still", key: ed, txt: []string{record(rsaKey(t, 512))}, tags: "rsa", o: Options{MinRSABits: 100}, want: PermError, err: ErrKeySize, bits: 512},
		{name: "below the floor of ours", key: rsa1024, txt: []string{record(rsa1024)}, o: Options{MinRSABits: 2048}, want: Policy, err: ErrKeySize, bits: 1024},
		{name: "below it and not verifying", key: rsa2048, txt: []string{record(rsa1024)}, o: Options{MinRSABits: 2048}, want: Fail, err: ErrSignature, bits: 1024},
		{name: "above the limit", key: rsa4096, txt: []string{record(rsa4096)}, o: Options{MaxRSABits: 3072}, want: Policy, err: ErrKeySize, bits: 4096},
		{name: "only p=", key: rsa2048, txt: []string{"p=" + p}, want: Pass, bits: 2048},
		{name: "blanks within p=", key: rsa2048, txt: []string{"p= " + p[:9] + " \t\r\n" + p[9:50] + "\t" + p[50:] + " ;"}, want: Pass, bits: 2048},
		{name: "no padding", key: ed, txt: []string{strings.TrimRight(record(ed), "=")}, want: Pass, bits: 256},
		{name: "notes and unknown tags", key: ed, txt: []string{record(ed) + "; n=hello; g=x; zz=1"}, want: Pass, bits: 256},
		{name: "testing", key: ed, txt: []string{record(ed) + "; t=y"}, want: Pass, bits: 256},
		{name: "strict", key: ed, txt: []string{record(ed) + "; t=x:s"}, want: Pass, bits: 256},
		{name: "strict, i= the domain in other letters", key: ed, txt: []string{record(ed) + "; t=s"}, tags: "; i=@EXAMPLE.com", want: Pass, bits: 256},
		{name: "strict, i= below", key: ed, txt: []string{record(ed) + "; t=y:s"}, tags: "; i=@eu.example.com", want: PermError, err: ErrKeyUnfit, bits: 256},
		{name: "h= with sha256", key: ed, txt: []string{record(ed) + "; h=sha1 : sha256"}, want: Pass, bits: 256},
		{name: "h= without sha256", key: ed, txt: []string{record(ed) + "; h=sha1"}, want: PermError, err: ErrKeyUnfit, bits: 256},
		{name: "s= email", key: ed, txt: []string{record(ed) + "; s=tlsrpt:email"}, want: Pass, bits: 256},
		{name: "s= all", key: ed, txt: []string{record(ed) + "; s=*"}, want: Pass, bits: 256},
		{name: "s= another", key: ed, txt: []string{record(ed) + "; s=tlsrpt"}, want: PermError, err: ErrKeyUnfit, bits: 256},
		{name: "k= of another kind", key: ed, txt: []string{record(rsa2048)}, want: PermError, err: ErrKeyUnfit, bits: 2048},
		{name: "k= unknown", key: ed, txt: []string{"k=dsa; p=" + public(ed)}, want: PermError, err: ErrKeyUnfit},
		{name: "k= says rsa of an Ed25519 key", key: ed, txt: []string{"k=rsa; p=" + public(ed)}, want: PermError, err: ErrKeySyntax},
		{name: "k= says ed25519 of an RSA key", key: ed, txt: []string{"k=ed25519; p=" + p}, want: PermError, err: ErrKeySyntax},
		{name: "revoked", key: ed, txt: []string{"v=DKIM1; k=ed25519; p="}, want: PermError, err: ErrKeyRevoked},
		{name: "revoked, with a blank", key: ed, txt: []string{"v=DKIM1; p= ;"}, want: PermError, err: ErrKeyRevoked},
		{name: "no p=", key: ed, txt: []string{"v=DKIM1; k=ed25519"}, want: PermError, err: ErrKeySyntax},
		{name: "p= not base64", key: ed, txt: []string{"k=ed25519; p=*" + public(ed)}, want: PermError, err: ErrKeySyntax},
		{name: "p= cut", key: rsa2048, txt: []string{"p=" + p[:200]}, want: PermError, err: ErrKeySyntax},
		{name: "version of another", key: ed, txt: []string{"v=DKIM2; k=ed25519; p=" + public(ed)}, want: PermError, err: ErrKeySyntax},
		{name: "version in small letters", key: ed, txt: []string{"v=dkim1; k=ed25519; p=" + public(ed)}, want: PermError, err: ErrKeySyntax},
		{name: "version not first", key: ed, txt: []string{"k=ed25519; v=DKIM1; p=" + public(ed)}, want: PermError, err: ErrKeySyntax},
		{name: "tag twice", key: ed, txt: []string{record(ed) + "; k=ed25519"}, want: PermError, err: ErrKeySyntax},
		{name: "record too long", key: ed, txt: []string{record(ed) + "; n=" + strings.Repeat("x", maxKeyRecord)}, want: PermError, err: ErrKeySyntax},
		{name: "exponent 1", key: rsa2048, txt: []string{"p=" + withExponent(t, 1)}, want: PermError, err: ErrKeySyntax},
		{name: "exponent even", key: rsa2048, txt: []string{"p=" + withExponent(t, 65536)}, want: PermError, err: ErrKeySyntax},
		{name: "exponent large", key: rsa2048, txt: []string{"p=" + withExponent(t, 1<<31+1)}, want: PermError, err: ErrKeySyntax},
		{name: "another key", key: rsa2048, txt: []string{other}, want: Fail, err: ErrSignature, bits: 4096},
		{name: "two records, one a key", key: ed, txt: []string{"v=spf1 -all", record(ed)}, want: Pass, bits: 256},
		{name: "two keys, one of the algorithm", key: ed, txt: []string{record(rsa2048), record(ed)}, want: Pass, bits: 256},
		{name: "two keys of the algorithm", key: rsa2048, txt: []string{other, record(rsa2048)}, want: Pass, bits: 2048},
		{name: "two keys, none right", key: rsa1024, txt: []string{record(ed), other, record(rsa2048)}, want: Fail, err: ErrSignature, bits: 4096},
		{name: "a stray record and a revoked key", key: ed, txt: []string{"v=spf1 -all", "p="}, want: PermError, err: ErrKeyRevoked},
		{name: "more keys than are tried", key: ed, txt: append(repeated(record(rsa1024), maxKeyRecords), record(ed)), want: PermError, err: ErrKeyUnfit, bits: 1024},
		{name: "no record", key: ed, txt: []string{}, want: PermError, err: ErrNoKey},
		{name: "empty record", key: ed, txt: []string{""}, want: PermError, err: ErrKeySyntax},
		{name: "NXDOMAIN", key: ed, dns: dns.ErrNXDomain, want: PermError, err: dns.ErrNXDomain},
		{name: "NODATA", key: ed, dns: dns.ErrNoData, want: PermError, err: ErrNoKey},
		{name: "time-out", key: ed, dns: dns.ErrTemporary, want: TempError, err: dns.ErrTemporary},
		{name: "an error nobody knows", key: ed, dns: errors.New("odd"), want: TempError, err: ErrKeyLookup},
	}
	const name = "s1._domainkey.example.com"
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sayRSA := c.tags == "rsa"
			if sayRSA {
				c.tags = ""
			}
			field := signer{key: c.key, tags: usual + c.tags}.field(plainHead, plainText)
			if sayRSA {
				field = strings.Replace(field, "ed25519-sha256", "rsa-sha256", 1)
			}
			res := &zone{txt: map[string][]string{name: c.txt}, err: map[string]error{name: c.dns}}
			c.o.Now = testNow
			got := one(t, res, field+plainHead, plainText, c.o)
			if got.Status != c.want || !errors.Is(got.Err, c.err) || got.KeyBits != c.bits {
				t.Errorf("%s, %v, %d bits; want %s, %v, %d bits", got.Status, got.Err, got.KeyBits, c.want, c.err, c.bits)
			}
			compared := c.want == Pass || c.want == Fail || c.name == "below the floor of ours"
			if got.Processed != compared {
				t.Errorf("Processed = %v, want %v", got.Processed, compared)
			}
			if got.Testing != (c.name == "testing") && c.name != "strict, i= below" {
				t.Errorf("Testing = %v", got.Testing)
			}
		})
	}
}

func repeated(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func TestNoSignature(t *testing.T) {
	res := &zone{}
	v := NewVerifier(context.Background(), res, header(plainHead), Options{})
	v.Write([]byte("x"))
	if v.NeedsBody() || v.Results() != nil || v.Domains() != nil || res.asked.Load() != 0 {
		t.Error("a message without signatures made work")
	}
	v.Close()
}

func TestHeaderCut(t *testing.T) {
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	h := header(signer{key: edKey(), tags: usual}.field(plainHead, plainText) + "DKIM-Signature: x\r\n" + plainHead)
	h.Cut = true
	v := NewVerifier(context.Background(), res, h, Options{})
	v.Write([]byte(plainText))
	if v.NeedsBody() || res.asked.Load() != 0 {
		t.Error("an incomplete header made work")
	}
	got := v.Results()
	for _, r := range got {
		if r.Status != Policy || r.Processed || !errors.Is(r.Err, ErrHeaderCut) {
			t.Errorf("%+v", r)
		}
	}
	if len(got) != 2 || got[0].Domain.String() != "example.com" {
		t.Errorf("%+v", got)
	}
}

// TestSeveral has signatures that share a key and a body hash.
func TestSeveral(t *testing.T) {
	res := &zone{txt: map[string][]string{
		"s1._domainkey.example.com": {record(edKey())},
		"s2._domainkey.example.net": {record(rsaKey(t, 1024))},
	}}
	head := plainHead
	for _, s := range []signer{
		{key: edKey(), tags: usual},
		{key: rsaKey(t, 1024), tags: "v=1; c=simple/simple; d=example.net; s=s2; h=from:dkim-signature"},
		{key: edKey(), tags: usual + "; l=5", length: 5},
		{key: edKey(), tags: "v=1; c=simple/relaxed; d=example.com; s=s1; h=from:to; l=9", length: 9},
		{key: edKey(), tags: "v=1; c=relaxed/relaxed; d=example.com; s=none; h=from"},
	} {
		head = s.field(head, plainText) + head
	}
	v := NewVerifier(context.Background(), res, header(head), Options{Now: testNow})
	if got, want := fmt.Sprint(v.Domains()), "[example.com example.net]"; got != want {
		t.Errorf("Domains = %s, want %s", got, want)
	}
	v.Write([]byte(plainText))
	var got []string
	for _, r := range v.Results() {
		got = append(got, fmt.Sprintf("%s %s %s", r.Status, r.Domain, r.Selector))
	}
	want := []string{"permerror example.com none", "policy example.com s1", "policy example.com s1", "pass example.net s2", "pass example.com s1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if n := res.asked.Load(); n != 3 {
		t.Errorf("%d look-ups, want one for each of 3 keys", n)
	}
	if len(v.bodies) != 2 {
		t.Errorf("the body was hashed %d times, want 2", len(v.bodies))
	}
	if again := v.Results(); len(again) != 5 {
		t.Errorf("asked again: %d results", len(again))
	}
}

// TestOwnFieldIsNotSigned: a name over-signed must not find the signature itself.
func TestOwnFieldIsNotSigned(t *testing.T) {
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	head := "DKIM-Signature: v=0\r\n" + plainHead
	field := signer{key: edKey(), tags: usual + ":dkim-signature:dkim-signature"}.field(head, plainText)
	if got := verify(res, field+head, plainText, Options{Now: testNow}); got[0].Status != Pass {
		t.Errorf("%+v", got[0])
	}
}

func TestChoice(t *testing.T) {
	author := dns.MustParse("mail.example.com")
	sign := func(d, s string) string {
		return signer{key: edKey(), tags: "v=1; c=relaxed/relaxed; d=" + d + "; s=" + s + "; h=from"}.field(plainHead, plainText)
	}
	junk := func(d string, n int) string {
		return strings.Repeat("DKIM-Signature: v=1; a=ed25519-sha256; d="+d+"; s=junk; h=from; bh=AAAA; b=AAAA\r\n", n)
	}
	cases := []struct {
		name, head string
		max        int
		checked    int
		pass       string // domains that pass
	}{
		{"under the limit", sign("example.net", "s1") + sign("example.org", "s1"), 2, 2, "example.net example.org"},
		{"junk of others on top", junk("example.net", 30) + sign("mail.example.com", "s1"), 10, 10, "mail.example.com"},
		{"junk of others below", sign("mail.example.com", "s1") + junk("example.net", 30), 10, 10, "mail.example.com"},
		{"the domain above it", sign("example.com", "s1") + junk("example.net", 30), 10, 10, "example.com"},
		{"a domain below it", sign("x.mail.example.com", "s1") + junk("example.net", 30), 10, 10, "x.mail.example.com"},
		{"a sibling", sign("news.example.com", "s1") + junk("example.net", 30), 10, 10, "news.example.com"},
		{"the nearest of near ones", sign("mail.example.com", "s1") + sign("example.com", "s1") + sign("news.example.com", "s1"), 1, 1, "mail.example.com"},
		{"junk in its name on top", junk("mail.example.com", 30) + sign("mail.example.com", "s1"), 10, 10, "mail.example.com"},
		{"malformed ones do not count", strings.Repeat("DKIM-Signature: v=1; d=mail.example.com\r\n", 30) + sign("example.net", "s1"), 1, 1, "example.net"},
		{"the default limit", junk("example.net", 30), 0, 10, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res := &zone{txt: map[string][]string{}}
			for _, d := range []string{"mail.example.com", "example.com", "x.mail.example.com", "news.example.com", "example.net", "example.org"} {
				res.txt["s1._domainkey."+d] = []string{record(edKey())}
			}
			v := NewVerifier(context.Background(), res, header(c.head+plainHead), Options{MaxSignatures: c.max, Prefer: author, Now: testNow})
			if len(v.checked) != c.checked {
				t.Errorf("%d checked, want %d", len(v.checked), c.checked)
			}
			v.Write([]byte(plainText))
			var pass []string
			limited := 0
			for _, r := range v.Results() {
				switch {
				case r.Status == Pass:
					pass = append(pass, r.Domain.String())
				case errors.Is(r.Err, ErrLimit):
					if limited++; r.Status != Policy || r.Processed || r.Domain.IsZero() {
						t.Errorf("left out: %+v", r)
					}
				}
			}
			if got := strings.Join(pass, " "); got != c.pass {
				t.Errorf("pass: %q, want %q", got, c.pass)
			}
			if limited > 0 && int(res.asked.Load()) > c.checked {
				t.Errorf("%d look-ups for %d signatures", res.asked.Load(), c.checked)
			}
		})
	}
}
