package present

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	if NewProgress(&bytes.Buffer{}, "", time.Now()) != nil {
		t.Error("a buffer is taken for a terminal")
	}
	var out bytes.Buffer
	began := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	p := &Progress{w: &out, what: "messages replayed", began: began, last: began}
	p.Show(100, 10_000, began.Add(time.Millisecond))
	if out.Len() > 0 {
		t.Errorf("told at once: %q", out.String())
	}
	p.Show(2500, 10_000, began.Add(2*time.Second))
	const want = " 25%  2,500 of 10,000 messages replayed, 1,250 a second, 6s left"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if got := p.line(2500, 0, began.Add(2*time.Second)); got != "2,500 messages replayed, 1,250 a second" {
		t.Errorf("got %q", got)
	}
}
