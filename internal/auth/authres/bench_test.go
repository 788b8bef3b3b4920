package authres

import (
	"net/netip"
	"strings"
	"testing"
)

func BenchmarkResultsValue(b *testing.B) {
	r := sample()
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Value()
	}
}

func BenchmarkTMResultValue(b *testing.B) {
	r := TMResult{SPF: "pass", ClientIP: netip.MustParseAddr("192.0.2.1"), MailFrom: "example.com", DKIM: "pass", Reason: Verified, HeaderD: "example.com", DMARC: "pass", Action: "none", HeaderFrom: "example.com"}
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Value()
	}
}

// BenchmarkFinderMessage is a usual message of 26 fields, two of them foreign results.
func BenchmarkFinderMessage(b *testing.B) {
	names := []string{
		"Received", "Received", "Authentication-Results", "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal",
		"DKIM-Signature", "DKIM-Signature", "X-Google-DKIM-Signature", "X-Gm-Message-State", "X-Received", "MIME-Version",
		"From", "To", "Subject", "Date", "Message-ID", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id",
		"Return-Path", "Authentication-Results", "X-Mailer", "Precedence", "Feedback-ID",
	}
	v := []byte(" mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s1 header.b=abcdefgh;\r\n       spf=pass")
	ours := NewIDs("mx.example.org", "mx2.example.org")
	b.ReportAllocs()
	for b.Loop() {
		f := Finder{ids: ours}
		for _, n := range names {
			f.Add(n, v)
		}
		if f.Found() != 0 {
			b.Fatal("found some")
		}
	}
}

func BenchmarkFinderAddOtherName(b *testing.B) {
	f := NewFinder(NewIDs("mx.example.org"))
	v := []byte(" x")
	b.ReportAllocs()
	for b.Loop() {
		f.Add("DKIM-Signature", v)
	}
}

func BenchmarkFinderAddOddID(b *testing.B) {
	ours := NewIDs("mx.example.org")
	f := Finder{}
	v := []byte(` (comment) "mx.example.net" 1; spf=pass`)
	b.ReportAllocs()
	for b.Loop() {
		f = Finder{ids: ours}
		f.Add("Authentication-Results", v)
	}
}

// BenchmarkFinderAttack: the cost of each attack must match its size.
func BenchmarkFinderAttack(b *testing.B) {
	const size = 1 << 20
	ours := NewIDs("mx.example.org", "mx2.example.org")
	for _, part := range []string{";(", ";()", ";(a)m", ";m(", "authserv-id=(", ";mx.example.or(a)", ";\"", "v", ",'", ";mx.example.org.(", ";m\xc3\xbc("} {
		v := []byte(" mx.example.net" + strings.Repeat(part, size/len(part)))
		b.Run(part, func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			for b.Loop() {
				f := Finder{ids: ours}
				f.Add("Authentication-Results", v)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	v := sample().Value()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(v); err != nil {
			b.Fatal(err)
		}
	}
}
