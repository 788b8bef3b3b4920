package report

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/text"
)

// fullReport has every part of a report.
func fullReport() *Report {
	return &Report{
		Metadata: Metadata{
			OrgName: "Receiver & Example", Email: "dmarc-reports@receiver.example", ExtraContact: "https://receiver.example/dmarc", ReportID: "20260601a7f3c2",
			Begin: time.Unix(1780272000, 0).UTC(), End: time.Unix(1780358399, 0).UTC(), Error: "two records at _dmarc.example.com", Generator: "dmarcd 1.0",
		},
		Policy: Published{
			Domain: "example.com", Discovery: DiscoveryTreeWalk, P: PolicyReject, SP: PolicyQuarantine, NP: PolicyReject,
			ADKIM: ModeRelaxed, ASPF: ModeStrict, FO: "1:d", Testing: true,
		},
		Rows: []Row{
			fullRow(),
			{SourceIP: netip.MustParseAddr("2001:db8::1"), Count: 41, Disposition: DispositionPass, DKIM: DMARCPass, SPF: DMARCFail, HeaderFrom: "a.example.com"},
		},
		Dialect: DialectRFC9990,
	}
}

func xmlOf(t testing.TB, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteXML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteGolden(t *testing.T) { golden(t, "full.xml", xmlOf(t, fullReport())) }

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Report)
		want   error
	}{
		"no rows":          {func(r *Report) { r.Rows = nil }, ErrNoRows},
		"no organisation":  {func(r *Report) { r.Metadata.OrgName = " \x00" }, ErrIncomplete},
		"no email":         {func(r *Report) { r.Metadata.Email = "" }, ErrIncomplete},
		"no id":            {func(r *Report) { r.Metadata.ReportID = "" }, ErrIncomplete},
		"no period":        {func(r *Report) { r.Metadata.Begin, r.Metadata.End = time.Time{}, time.Time{} }, ErrIncomplete},
		"end before begin": {func(r *Report) { r.Metadata.End = r.Metadata.Begin.Add(-time.Second) }, ErrIncomplete},
		"no domain":        {func(r *Report) { r.Policy.Domain = "" }, ErrIncomplete},
		"no policy":        {func(r *Report) { r.Policy.P = "" }, ErrIncomplete},
		"odd policy":       {func(r *Report) { r.Policy.SP = "Reject" }, ErrBadWord},
		"odd alignment":    {func(r *Report) { r.Policy.ASPF = "x" }, ErrBadWord},
		"odd discovery":    {func(r *Report) { r.Policy.Discovery = "guess" }, ErrBadWord},
		"no source":        {func(r *Report) { r.Rows[1].SourceIP = netip.Addr{} }, ErrIncomplete},
		"no messages":      {func(r *Report) { r.Rows[1].Count = 0 }, ErrIncomplete},
		"no header from":   {func(r *Report) { r.Rows[1].HeaderFrom = "" }, ErrIncomplete},
		"no disposition":   {func(r *Report) { r.Rows[1].Disposition = "" }, ErrBadWord},
		"no verdict":       {func(r *Report) { r.Rows[1].SPF = "" }, ErrBadWord},
		"old reason":       {func(r *Report) { r.Rows[0].Reasons[0].Type = ReasonSampledOut }, ErrBadWord},
		"DKIM softfail":    {func(r *Report) { r.Rows[0].AuthDKIM[0].Result = ResultSoftfail }, ErrBadWord},
		"SPF hardfail":     {func(r *Report) { r.Rows[0].AuthSPF.Result = "hardfail" }, ErrBadWord},
		"SPF helo":         {func(r *Report) { r.Rows[0].AuthSPF.Scope = ScopeHelo }, ErrBadWord},
	} {
		t.Run(name, func(t *testing.T) {
			r := fullReport()
			c.change(r)
			if err := r.WriteXML(io.Discard); !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
}

// TestWriteTrouble finds that the error of the file below comes up.
func TestWriteTrouble(t *testing.T) {
	want := errors.New("disk full")
	r := fullReport()
	for range 1000 {
		r.Rows = append(r.Rows, fullRow())
	}
	for _, room := range []int{0, flushAt + 5000} {
		if err := r.WriteXML(&smallDisk{room: room, err: want}); !errors.Is(err, want) {
			t.Errorf("with room for %d octets: %v", room, err)
		}
	}
}

type smallDisk struct {
	room int
	err  error
}

func (d *smallDisk) Write(b []byte) (int, error) {
	if d.room -= len(b); d.room < 0 {
		return 0, d.err
	}
	return len(b), nil
}

func TestWriteSkipsZone(t *testing.T) {
	r := fullReport()
	r.Rows[0].SourceIP = netip.MustParseAddr("fe80::1%eth0")
	r.Rows[1].SourceIP = netip.MustParseAddr("::ffff:192.0.2.1")
	got := string(xmlOf(t, r))
	for _, want := range []string{"<source_ip>fe80::1</source_ip>", "<source_ip>192.0.2.1</source_ip>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestTidy(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"  ends ", "ends"},
		{"a\r\nb\tc\x00d", "a  b c d"},
		{"\xff", "\uFFFD"},
		{"\u00e4\u0085\ufffe\ufffdx", "\u00e4  \ufffdx"},
		{"0123456789x", "0123456789"},
		{"012345678\u00e4", "012345678"},
		{"01234567  x", "01234567"},
	} {
		if got := text.XML(c.in, 10); got != c.want {
			t.Errorf("text.XML(%q) is %q, want %q", c.in, got, c.want)
		}
		if got := text.XML(c.want, 10); got != c.want {
			t.Errorf("text.XML(%q) is %q", c.want, got)
		}
	}
}

func BenchmarkWriteXML100kRows(b *testing.B) {
	r := fullReport()
	r.Rows = make([]Row, 100_000)
	for i := range r.Rows {
		r.Rows[i] = fullRow()
		r.Rows[i].SourceIP = netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	var n counter
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		if err := r.WriteXML(&n); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(n))
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
