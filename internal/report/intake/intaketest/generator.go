// Package intaketest makes report mails to measure the intake of reports with.
package intaketest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
)

// Generator makes report mails like those of a small provider: most with one or two
// records, few with thousands, 300 a day about 30 domains. It is for one goroutine.
type Generator struct {
	Domains []string

	seed    uint64
	rng     *rand.Rand
	sources []string
	n       int
	z       *gzip.Writer
}

// NewGenerator makes one; those of different seeds make different reports.
func NewGenerator(seed uint64) *Generator {
	g := &Generator{seed: seed, rng: rand.New(rand.NewPCG(seed, 11)), z: gzip.NewWriter(nil)}
	for i := range 30 {
		g.Domains = append(g.Domains, fmt.Sprintf("customer%02d.example", i))
	}
	for i := range 20_000 {
		g.sources = append(g.sources, fmt.Sprintf("%d.%d.%d.%d", 20+i>>14, i>>8&63, i&255, 1+i%250))
	}
	return g
}

const (
	head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n <version>1.0</version>\n <report_metadata>\n  <org_name>Reporter %d</org_name>\n  <email>dmarc@r%d.example</email>\n" +
		"  <report_id>%d.%d.%s</report_id>\n  <date_range>\n   <begin>%d</begin>\n   <end>%d</end>\n  </date_range>\n </report_metadata>\n <policy_published>\n  <domain>%s</domain>\n" +
		"  <adkim>r</adkim>\n  <aspf>r</aspf>\n  <p>quarantine</p>\n  <sp>quarantine</sp>\n  <pct>100</pct>\n </policy_published>\n"
	record = " <record>\n  <row>\n   <source_ip>%s</source_ip>\n   <count>%d</count>\n   <policy_evaluated>\n    <disposition>none</disposition>\n    <dkim>%s</dkim>\n    <spf>pass</spf>\n" +
		"   </policy_evaluated>\n  </row>\n  <identifiers>\n   <header_from>%s</header_from>\n   <envelope_from>bounce.%s</envelope_from>\n  </identifiers>\n  <auth_results>\n   <dkim>\n    <domain>%s</domain>\n" +
		"    <selector>s%d</selector>\n    <result>%s</result>\n   </dkim>\n   <spf>\n    <domain>bounce.%s</domain>\n    <scope>mfrom</scope>\n    <result>pass</result>\n   </spf>\n  </auth_results>\n </record>\n"
	mail = "From: Reporter <dmarc@r%d.example>\nTo: dmarc@example.org\nSubject: Report Domain: %s Submitter: r%d.example Report-ID: <%d>\nDate: Tue, 2 Jun 2026 00:30:00 +0000\n" +
		"Message-ID: <%d.%d@r%d.example>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_%d\"\n\n--=_%d\nContent-Type: text/plain\n\nThis is a report.\n" +
		"--=_%d\nContent-Type: application/gzip; name=\"r%d.example!%s!%d!%d.xml.gz\"\nContent-Transfer-Encoding: base64\n\n%s--=_%d--\n"
)

// Mail gives the next mail, its lines ending in LF, and how many records it has.
func (g *Generator) Mail() ([]byte, int) {
	g.n++
	reporter, domain := g.n%200, g.Domains[g.rng.IntN(len(g.Domains))]
	day := 1764547200 + g.n/300*86400
	records := min(1+int(math.Pow(1/(1-g.rng.Float64()), 0.8)*0.9), 3000)
	var xml bytes.Buffer
	fmt.Fprintf(&xml, head, reporter, reporter, g.seed, g.n, domain, day, day+86399, domain)
	for range records {
		word := []string{"pass", "pass", "pass", "fail"}[g.rng.IntN(4)]
		source := g.sources[int(float64(len(g.sources))*math.Pow(g.rng.Float64(), 3))]
		fmt.Fprintf(&xml, record, source, 1+g.rng.IntN(20), word, domain, domain, domain, g.rng.IntN(3), word, domain)
	}
	xml.WriteString("</feedback>\n")
	var packed bytes.Buffer
	g.z.Reset(&packed)
	_, _ = g.z.Write(xml.Bytes()) // a buffer takes all
	_ = g.z.Close()
	var out bytes.Buffer
	fmt.Fprintf(&out, mail, reporter, domain, reporter, g.n, g.seed, g.n, reporter, g.n, g.n, g.n, reporter, domain, day, day+86399, lines(packed.Bytes()), g.n)
	return out.Bytes(), records
}

// lines is base64 in lines of 76.
func lines(b []byte) string {
	digits := base64.StdEncoding.EncodeToString(b)
	var out []byte
	for len(digits) > 76 {
		out = append(append(out, digits[:76]...), '\n')
		digits = digits[76:]
	}
	return string(append(append(out, digits...), '\n'))
}

// Mailbox writes the next n mails to an mbox file, and counts their records.
func (g *Generator) Mailbox(path string, n int) (records int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(f)
	for range n {
		mail, some := g.Mail()
		records += some
		fmt.Fprintf(out, "From reporter@example Mon Jun  1 00:00:00 2026\n%s\n", mail) // errors come again with Flush
	}
	if err := out.Flush(); err != nil {
		return records, err
	}
	return records, f.Close()
}
