package intake

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
)

// signed signs a mail as a domain, and gives the record of the key.
func signed(t *testing.T, mail, domain string) (text, record string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	var b bytes.Buffer
	must(t, dkim.Sign(&b, strings.NewReader(mail), &dkim.SignOptions{Domain: domain, Selector: "s1", Signer: crypto.Signer(key), Hash: crypto.SHA256}))
	return b.String(), "s1._domainkey." + domain + " TXT \"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + "\"\n"
}

// TestTrust delivers a report by every way of knowing who sent it.
func TestTrust(t *testing.T) {
	mail := attached("application/gzip", reportName, gz(t, feedback())) // From: and e-mail address dmarc@reporter.example
	aligned, record := signed(t, mail, "mail.reporter.example")
	stranger, other := signed(t, mail, "stranger.example")
	zone := dnstest.New(t, record+other)
	keys, err := resolver.New(resolver.Config{Servers: []string{zone.Addr}, Timeout: time.Second, CacheEntries: 100})
	must(t, err)
	t.Cleanup(keys.Close)
	results := func(ours, verdict string) string {
		return "Authentication-Results: " + ours + "; dmarc=" + verdict + " header.from=reporter.example\r\n"
	}
	pair := [2]string{"mailer.example", "reporter.example"}
	for name, c := range map[string]struct {
		mail   string
		origin Origin
		pair   bool
		want   analysis.Trust
		auth   string
	}{
		"nobody looked":                       {mail: mail, want: analysis.TrustUnknown},
		"the milter saw it pass":              {mail: mail, origin: Origin{Trust: spool.Authenticated, Author: "mx.reporter.example"}, want: analysis.TrustAuthenticated, auth: "reporter.example"},
		"the milter saw it fail":              {mail: aligned, origin: Origin{Trust: spool.Failed, Author: "reporter.example"}, want: analysis.TrustFailed},
		"another domain passed":               {mail: mail, origin: Origin{Trust: spool.Authenticated, Author: "mailer.example"}, want: analysis.TrustOtherName, auth: "mailer.example"},
		"another domain that is accepted":     {mail: mail, origin: Origin{Trust: spool.Authenticated, Author: "mailer.example"}, pair: true, want: analysis.TrustAuthenticated, auth: "mailer.example"},
		"results of ours":                     {mail: results("mx.example.org", "pass") + mail, origin: Origin{TrustResults: true}, want: analysis.TrustAuthenticated, auth: "reporter.example"},
		"results of ours that fail":           {mail: results("MX.example.org", "fail") + aligned, origin: Origin{TrustResults: true}, want: analysis.TrustFailed},
		"results of ours with no policy":      {mail: results("mx.example.org", "none") + mail, origin: Origin{TrustResults: true}, want: analysis.TrustFailed},
		"results where they are not believed": {mail: results("mx.example.org", "pass") + mail, want: analysis.TrustUnknown},
		"results of somebody else":            {mail: results("mx.other.example", "pass") + mail, origin: Origin{TrustResults: true}, want: analysis.TrustUnknown},
		"a signature that aligns":             {mail: aligned, want: analysis.TrustAuthenticated, auth: "reporter.example"},
		"a signature of a stranger":           {mail: stranger, want: analysis.TrustUnknown},
		"a signature that is broken":          {mail: strings.Replace(aligned, "Subject: Report", "Subject: Rapport", 1), want: analysis.TrustUnknown},
		"given by an admin":                   {mail: stranger, origin: Origin{Admin: true}, want: analysis.TrustAdmin},
	} {
		t.Run(name, func(t *testing.T) {
			store := newMemoryStore()
			if c.pair {
				store.pairs = []analysis.Pair{{Auth: dns.MustParse(pair[0]), Email: dns.MustParse(pair[1]), Accepted: true}}
			}
			s := settings.Default("mx.example.org")
			s.Analysis.Domains = names("example.com")
			s.AuthServID = "mx.example.org"
			p := NewPath(Config{Store: store, Settings: func() *settings.Settings { return s }, Keys: keys, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			ended := make(chan struct{})
			go func() { p.Run(context.Background()); close(ended) }()
			var got ItemResult
			must(t, p.Put(t.Context(), Entry{Input: Input{Feed: "f", Mail: true, At: time.Now(), Bytes: int64(len(c.mail)), Body: []byte(c.mail)}, Origin: c.origin, Done: func(o ItemResult) { got = o }}))
			p.Close()
			<-ended
			must(t, got.Err)
			if r := got.Item.Reports[0]; r.Trust != c.want || r.AuthDomain.String() != c.auth {
				t.Errorf("it is %s for %q, want %s for %q", r.Trust, r.AuthDomain, c.want, c.auth)
			}
		})
	}
}

// TestNotManaged sets reports aside that are not about a domain of ours, with the name
// that would manage them.
func TestNotManaged(t *testing.T) {
	s := settings.Default("mx.example.org")
	s.Analysis.Domains = names("example.net", "sub.example.com")
	c := newCompleter(s, nil)
	c.accepted = func(dns.Name, dns.Name) bool { return false }
	for policy, want := range map[string]string{"example.com": "not managed: example.com", "sub.example.com": "", "below.sub.example.com": "", "notsub.example.com": "not managed: notsub.example.com"} {
		item := read(t, strings.ReplaceAll(feedback(), "<domain>example.com</domain><adkim>", "<domain>"+policy+"</domain><adkim>"), false)
		c.complete(item, &Origin{}, sender{})
		r := &item.Reports[0]
		if r.Why != want || (want == "") != (r.Status == analysis.StatusStored) || (want == "") == r.Domain.IsZero() {
			t.Errorf("%s: %s, %q, for %s", policy, r.Status, r.Why, r.Domain)
		}
	}
}

// TestFuture flags a period that ends after the report came.
func TestFuture(t *testing.T) {
	s := settings.Default("mx.example.org")
	s.Analysis.Domains = names("example.com")
	c := newCompleter(s, nil)
	c.accepted = func(dns.Name, dns.Name) bool { return false }
	item := read(t, feedback(), false)
	item.TakenAt = time.Unix(1780300000, 0)
	c.complete(item, &Origin{}, sender{})
	if r := item.Reports[0]; r.Flags&analysis.FlagFuture == 0 || r.Status != analysis.StatusStored || !strings.Contains(notesOf(item), "future") {
		t.Errorf("%s, flags %b, %s", r.Status, r.Flags, notesOf(item))
	}
}
