package intake

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/report/analysis"
)

// hostile is something that is made to cost much.
type hostile struct {
	name string
	mail bool
	make func(w io.Writer) error
	// One of these words is in why it is not taken; "" where it may be.
	why string
}

func repeat(s string, n int) func(io.Writer) error {
	return func(w io.Writer) error {
		piece := []byte(strings.Repeat(s, 1+(64<<10)/len(s)))
		for left := n * len(s); left > 0; {
			b := piece[:min(left, len(piece)/len(s)*len(s))]
			if _, err := w.Write(b); err != nil {
				return err
			}
			left -= len(b)
		}
		return nil
	}
}

func plainText(s string) func(io.Writer) error {
	return func(w io.Writer) error { return second(io.WriteString(w, s)) }
}

func chain(steps ...func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, step := range steps {
			if err := step(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func inGzip(step func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		if err := step(z); err != nil {
			return err
		}
		return z.Close()
	}
}

// whole is a report around records.
func whole(records func(io.Writer) error) func(io.Writer) error {
	all := feedback("\x00")
	begin, end, _ := strings.Cut(all, "\x00")
	return chain(plainText(begin), records, plainText(end))
}

// distinct writes records that differ in everything they can.
func distinct(n int, body func(w io.Writer, i int) error) func(io.Writer) error {
	return func(w io.Writer) error {
		for i := range n {
			if err := body(w, i); err != nil {
				return err
			}
		}
		return nil
	}
}

func oddRecord(w io.Writer, i int) error {
	_, err := fmt.Fprintf(w, "<record><row><source_ip>10.%d.%d.%d</source_ip><count>1.0%d</count><policy_evaluated><disposition>d%d</disposition><dkim>x%d</dkim><spf>y%d</spf>"+
		"<reason><type>t%d</type></reason></policy_evaluated></row><identifiers><header_from>f%d example</header_from></identifiers>"+
		"<auth_results><spf><domain>s%d..example</domain><result>r%d</result></spf></auth_results></record>\n", i>>16, i>>8&255, i&255, i, i, i, i, i, i, i, i)
	return err
}

// manySignatures is a record with as many results as fit.
func manySignatures(w io.Writer, i int) error {
	if _, err := fmt.Fprintf(w, "<record><row><source_ip>192.0.2.1</source_ip><count>%d</count></row><identifiers><header_from>example.com</header_from></identifiers><auth_results>", i+1); err != nil {
		return err
	}
	for j := range 100 {
		if _, err := fmt.Fprintf(w, "<dkim><selector>%d</selector></dkim>", i*100+j); err != nil {
			return err
		}
	}
	return second(io.WriteString(w, "</auth_results></record>"))
}

func scriptRecord(w io.Writer, i int) error {
	const script = `&lt;script&gt;alert(1)&lt;/script&gt;`
	_, err := io.WriteString(w, strings.NewReplacer("192.0.2.1", script, "example.com", script+fmt.Sprint(i), "s1", script, "none", script, "pass", script, "fail", script).Replace(record("192.0.2.1", 1)))
	return err
}

// directory is a zip archive whose directory names one entry n times.
func directory(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		var one bytes.Buffer
		z := zip.NewWriter(&one)
		if _, err := z.CreateRaw(&zip.FileHeader{Name: "a", CRC32: crc32.ChecksumIEEE(nil)}); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		b := one.Bytes()
		i, j := bytes.Index(b, []byte("PK\x01\x02")), bytes.Index(b, []byte("PK\x05\x06"))
		if err := chain(plainText(string(b[:i])), repeat(string(b[i:j]), n))(w); err != nil {
			return err
		}
		end := bytes.Clone(b[j:])
		end[8], end[9], end[10], end[11] = byte(n), byte(n>>8), byte(n), byte(n>>8)
		size := n * (j - i)
		end[12], end[13], end[14], end[15] = byte(size), byte(size>>8), byte(size>>16), byte(size>>24)
		return second(w.Write(end))
	}
}

func zipOf(n int, step func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		z := zip.NewWriter(w)
		for i := range n {
			f, err := z.Create(fmt.Sprintf("%d.xml", i))
			if err != nil {
				return err
			}
			if err := step(f); err != nil {
				return err
			}
		}
		return z.Close()
	}
}

func nested(depth int, step func(io.Writer) error) func(io.Writer) error {
	for range depth {
		step = zipOf(1, step)
	}
	return step
}

func noise(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		return second(io.CopyN(w, rand.NewChaCha8([32]byte{1}), int64(n)))
	}
}

func hostiles() []hostile {
	const head = "From: a@b.example\r\nSubject: Report Domain: x\r\n"
	plain := record("192.0.2.1", 1)
	parts := head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	deep := ""
	for i := range 60 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return []hostile{
		{name: "a million rows in gzip", make: inGzip(whole(repeat(plain, 1_000_000))), why: "times its size|over 100 MiB"},
		{name: "a million rows of nothing", make: inGzip(whole(repeat("<record/>", 1_000_000))), why: "more than 250000 records|times its size"},
		{name: "rows over the limit", make: chain(inGzip(whole(repeat("<record>", 3_000_000))), noise(1<<20)), why: "more than 250000 records"},
		{name: "gzip of spaces", make: inGzip(whole(repeat(" ", 1<<30))), why: "over 65536 octets|times its size"},
		{name: "gzip of comments", make: inGzip(whole(repeat("<!-- x -->", 30<<20))), why: "times its size|over 100 MiB"},
		{name: "comments within the ratio", make: chain(inGzip(whole(repeat("<!-- x -->", 20<<20))), noise(2<<20)), why: "over 100 MiB"},
		{name: "tags within the ratio", make: chain(inGzip(whole(repeat("<a b='c'/>", 20<<20))), noise(2<<20)), why: "none of a report's"},
		{name: "gzip of zeros", make: inGzip(repeat("\x00", 1<<30)), why: "empty"},
		{name: "zip of fifty bombs", make: zipOf(50, whole(repeat(plain, 10_000))), why: "times its size|over 100 MiB"},
		{name: "zip within zip within zip", make: nested(8, plainText(feedback())), why: "archives more than"},
		{name: "a directory of 500,000 entries", make: directory(500_000), why: "over 50 files|broken"},
		{name: "10 MB of attributes", make: inGzip(whole(chain(plainText("<record "), repeat("a='b' ", 10<<20/6), plainText("/>")))), why: "over 65536 octets"},
		{name: "10 MB in one value", make: inGzip(whole(chain(plainText("<record a='"), repeat("b", 10<<20), plainText("'/>")))), why: "over 65536 octets"},
		{name: "entities of a DTD", make: plainText(`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + feedback()), why: "DTD"},
		{name: "ampersands", make: inGzip(whole(repeat("<record><row><count>"+strings.Repeat("&", 60<<10)+"</count></row></record>", 400))), why: "250000 repairs"},
		{name: "character references", make: chain(inGzip(whole(repeat("<record><row><count>"+strings.Repeat("&#0;", 15<<10)+"</count></row></record>", 1000))), noise(1<<20)), why: "250000 repairs"},
		{name: "references to letters", make: chain(inGzip(whole(repeat("<record><row><count>"+strings.Repeat("&#65;", 13000)+"</count></row></record>", 1600))), noise(1<<20)), why: "cannot be read"},
		{name: "entities of XML", make: chain(inGzip(whole(repeat("<record><row><count>"+strings.Repeat("&amp;", 13000)+"</count></row></record>", 1600))), noise(1<<20)), why: "cannot be read"},
		{name: "brackets", make: inGzip(whole(repeat("<", 50<<20))), why: "times its size|octets"},
		{name: "open tags", make: whole(repeat("<a>", 8<<20)), why: "deep"},
		{name: "ends of nothing", make: whole(repeat("</a>", 6<<20)), why: "250000 repairs"},
		{name: "40,000 notes", make: inGzip(whole(distinct(40_000, oddRecord)))},
		{name: "script in every field", make: inGzip(whole(distinct(1000, scriptRecord))), why: "cannot be read"},
		{name: "signatures beyond count", make: inGzip(whole(distinct(25_000, manySignatures))), why: "of memory"},
		{name: "2,000 parts", mail: true, make: chain(plainText(parts), repeat("--b\r\n\r\nx\r\n", 2000)), why: "over 200 parts"},
		{name: "a mail of boundaries", mail: true, make: chain(plainText(parts), repeat("--b\r\n", 5_000_000)), why: "over 200 parts"},
		{name: "parts 60 deep", mail: true, make: plainText(head + deep), why: "parts more than 8 deep"},
		{name: "25 MB of header", mail: true, make: chain(plainText(head), repeat("a:b\r\n", 5_000_000)), why: "without a report"},
		{name: "25 MB of one field", mail: true, make: chain(plainText(head+"Content-Type: x"), repeat("; a=\"b", 4_000_000)), why: "without a report"},
		{name: "base64 of noise", mail: true, make: chain(plainText(head+"Content-Transfer-Encoding: base64\r\n\r\n"), repeat("#H4s=", 5_000_000)), why: "empty"},
		{name: "noise", make: noise(25<<20 - 1), why: "it holds"},
	}
}

// TestHostile makes and reads each in processes of their own, without the race
// detector, and measures the reading.
func TestHostile(t *testing.T) {
	if name := os.Getenv("DMARCD_HOSTILE"); name != "" {
		hostileChild(t, name)
		return
	}
	exe := measurable(t)
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hostile")
			child := func(task string) (*os.ProcessState, []byte) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, exe, "-test.run=^TestHostile$", "-test.v")
				cmd.Env = append(os.Environ(), "DMARCD_HOSTILE="+h.name, "DMARCD_HOSTILE_FILE="+path, "DMARCD_HOSTILE_TASK="+task)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				return cmd.ProcessState, out
			}
			child("make")
			state, out := child("read")
			cpu, rss := state.UserTime()+state.SystemTime(), peak(t, out)
			info, err := os.Stat(path)
			must(t, err)
			t.Logf("%.1f MB: CPU %v, %d MB; %s", float64(info.Size())/1e6, cpu.Round(time.Millisecond), rss, grepOutcome(out))
			if rss > 300 {
				t.Errorf("it takes %d MB", rss)
			}
			if cpu > 2*time.Second {
				if load := loadAverage(); load > float64(runtime.NumCPU()) {
					t.Skipf("it costs %v of CPU, but the machine is too busy to judge by that: load %.1f", cpu, load)
				}
				t.Errorf("it costs %v of CPU", cpu)
			}
		})
	}
}

// measurable is this test without the race detector.
func measurable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	if !raced {
		return exe
	}
	plain := filepath.Join(t.TempDir(), "intake.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", plain, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return plain
}

// peak is how many MB of memory a child says that it had at most. What the system tells
// of a child begins with what its parent had.
func peak(t *testing.T, out []byte) (mb int) {
	t.Helper()
	_, rest, _ := strings.Cut(string(out), "VmHWM:")
	if _, err := fmt.Sscan(rest, &mb); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return mb >> 10
}

// loadAverage is that of the last minute; 0 where it is not known.
func loadAverage() float64 {
	var load float64
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &load)
	}
	return load
}

const outcome = "outcome: "

func grepOutcome(out []byte) string {
	_, rest, _ := strings.Cut(string(out), outcome)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

func hostileChild(t *testing.T, name string) {
	path := os.Getenv("DMARCD_HOSTILE_FILE")
	for _, h := range hostiles() {
		if h.name != name {
			continue
		}
		if os.Getenv("DMARCD_HOSTILE_TASK") == "make" {
			f, err := os.Create(path)
			must(t, err)
			must(t, h.make(f))
			must(t, f.Close())
			continue
		}
		b, err := os.ReadFile(path)
		must(t, err)
		item := read(t, string(b), h.mail)
		why := item.Why
		for _, r := range item.Reports {
			why += r.Why
		}
		status, err := os.ReadFile("/proc/self/status")
		must(t, err)
		t.Logf("%s", status)
		t.Log(outcome + string(item.Kind) + " " + why)
		fits := h.why == "" && item.Kind == analysis.KindAggregate
		for word := range strings.SplitSeq(h.why, "|") {
			fits = fits || word != "" && strings.Contains(why, word)
		}
		if !fits {
			t.Errorf("it is %s, %q, want %q", item.Kind, why, h.why)
		}
	}
}
