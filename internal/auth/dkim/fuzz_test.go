package dkim

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/message"
)

// FuzzSignature: a parsed field stays within the promises of Result.
func FuzzSignature(f *testing.F) {
	good := signer{key: edKey(), tags: usual + "; i=@example.com; l=5; t=1; x=2; q=dns/txt; z=a"}.field(plainHead, plainText)
	f.Add([]byte(good))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha1; d=b\u00fccher.example; s=gr\u00fcn; h=from::to; b=A; bh=="))
	f.Add([]byte(";=;b=;"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := signature{}
		err := s.parse(message.Field{Name: fieldName, Raw: raw}, testNow)
		if s.blankFrom < 0 || s.blankFrom > s.blankTo || s.blankTo > len(raw) {
			t.Fatalf("b= stands at %d to %d of %d", s.blankFrom, s.blankTo, len(raw))
		}
		if bytes.IndexByte(raw[s.blankFrom:s.blankTo], ';') >= 0 {
			t.Errorf("b= holds %q", raw[s.blankFrom:s.blankTo])
		}
		for _, text := range []string{s.Domain.String(), s.Selector} {
			if text != "" && !isPlain(text, true) {
				t.Errorf("name %q", text)
			}
		}
		if s.Algorithm != "" && !isPlain(s.Algorithm, false) || strings.ContainsAny(s.SigPrefix, "\"\\;()<> \t\r\n\x00") || len(s.SigPrefix) > 8 {
			t.Errorf("a=%q b=%q", s.Algorithm, s.SigPrefix)
		}
		if err == nil && (s.Domain.IsZero() || s.Selector == "" || s.keyName.IsZero() || len(s.data) == 0 || s.Header == "" || s.Body == "") {
			t.Errorf("%q is taken without all it needs: %+v", raw, s)
		}
	})
}

// FuzzTags: a list printed plainly is read as the same list.
func FuzzTags(f *testing.F) {
	f.Add([]byte("v=1; a = b ;c=d=e;"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseTags(nil, text)
		if err != nil {
			return
		}
		var out bytes.Buffer
		for _, tag := range list {
			fmt.Fprintf(&out, "%s=%s;", tag.name, tag.value)
			if got := trim(text[tag.start:tag.end]); !bytes.Equal(got, tag.value) {
				t.Errorf("%q: value %q stands where %q is", text, tag.value, got)
			}
		}
		again, err := parseTags(nil, out.Bytes())
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q, read as %q, then: %v", text, out.Bytes(), err)
		}
		for i := range list {
			if !bytes.Equal(again[i].name, list[i].name) || !bytes.Equal(again[i].value, list[i].value) {
				t.Errorf("%q: %q became %q", text, list[i].value, again[i].value)
			}
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{record(edKey()) + "; t=y:s; h=sha256; s=*", record(rsaKey(f, 1024)), "p=", "v=DKIM1; p=MA=="} {
		f.Add(s)
	}
	digest := make([]byte, 32)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text)
		if err != nil {
			return
		}
		if (k.rsa == nil) == (k.ed25519 == nil) || k.bits == 0 {
			t.Fatalf("%+v", k)
		}
		if k.bits <= DefaultMaxRSABits {
			k.matches(digest, make([]byte, 64))
		}
	})
}

// FuzzVerify: any message, cut anywhere, gives one sound result for each
// signature, and the same for each way of cutting.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(signedHead), []byte(plainText), 3)
	f.Add([]byte(signer{key: edKey(), tags: "v=1; d=example.com; s=s1; h=from:from; l=3", length: 3}.field(plainHead, "a\nb")+plainHead), []byte("a\nb"), 1)
	f.Add([]byte("dkim-signature :\r\n"), []byte(" \r \r\n\t"), 2)
	res := &zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}}
	f.Fuzz(func(t *testing.T, head, body []byte, step int) {
		h := header(string(head))
		want := verify(res, string(head), string(body), Options{Now: testNow})
		if n := h.Count(fieldName); len(want) != n {
			t.Fatalf("%d results for %d signatures", len(want), n)
		}
		for _, r := range want {
			if (r.Err == nil) != (r.Status == Pass) || r.Status == Pass && (!r.Processed || r.Partial) || r.Status == "" {
				t.Errorf("%+v", r)
			}
		}
		v := NewVerifier(context.Background(), res, h, Options{Now: testNow})
		step = 1 + abs(step)%100
		for rest := body; len(rest) > 0 && v.NeedsBody(); {
			n := min(step, len(rest))
			v.Write(rest[:n])
			rest = rest[n:]
		}
		got := v.Results()
		for i := range got {
			if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
				t.Errorf("in pieces of %d: %+v\nat once: %+v", step, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d results, then %d", len(want), len(got))
		}
	})
}

// FuzzBody compares the canonicalizers with the plain form.
func FuzzBody(f *testing.F) {
	f.Add("a  b \r\n\r\n\tc\n \r\n", 3)
	f.Fuzz(func(t *testing.T, body string, cut int) {
		cuts := []int{abs(cut) % (len(body) + 1)}
		for _, canon := range []string{simple, relaxed} {
			got := canonical(canon, body, cuts...)
			if at := canonical(canon, body); at != got {
				t.Errorf("%s %q cut at %d: %q, else %q", canon, body, cuts, got, at)
			}
			if !strings.Contains(strings.ReplaceAll(body, "\r\n", ""), "\r") && got != plainBody(canon, body) {
				t.Errorf("%s %q: %q, the plain form is %q", canon, body, got, plainBody(canon, body))
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
