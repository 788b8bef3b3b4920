package intake

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// reading is the state of reading one mail or file.
type reading struct {
	ctx     context.Context
	options *Options
	limits  Limits

	item   *analysis.Item
	meant  bool // the Subject says that it should hold a report
	faults []fault
	parts  int   // MIME parts so far
	spent  int64 // octets unpacked
	packed int64 // octets of the attachment that they came from
	free   int64 // spent before that attachment
	rested int64 // of spent

	kinds map[analysis.Kind]string // found besides reports, with why
}

// place is a position in a mail or file.
type place struct {
	name   string // of the attachment or entry
	depth  int    // MIME parts around it
	mails  int    // of these, message/rfc822
	nested int    // archives and compressions around it
	text   bool   // a part of a mail that is text for people
}

// within returns the place of an entry with that name, "" for the name of the whole.
func (p place) within(name string) place {
	p.nested++
	p.text = false
	if name != "" {
		p.name = name
	}
	return p
}

// fault is content without a readable report.
type fault struct {
	at    place
	why   string
	meant bool // it should have
}

func (r *reading) fault(at place, why refusal) {
	const most = 100
	if len(r.faults) < most {
		r.faults = append(r.faults, fault{at: at, why: string(why), meant: isReportName(at.name) || r.meant && !at.text})
	}
}

// capped records a fault that is always reported: a limit was exceeded.
func (r *reading) capped(at place, why string) {
	r.faults = append([]fault{{at: at, why: why, meant: true}}, r.faults...)
}

func (r *reading) note(what string) {
	for i := range r.item.Notes {
		if n := &r.item.Notes[i]; n.Value == what {
			n.Count++
			return
		}
	}
	const most = 50
	if len(r.item.Notes) < most {
		r.item.Notes = append(r.item.Notes, report.Note{Kind: report.NoteUnpacked, Value: what, Count: 1})
	}
}

// set records what else was found; the first reason of a kind counts.
func (r *reading) set(kind analysis.Kind, why string) {
	if _, known := r.kinds[kind]; !known {
		r.kinds[kind] = why
	}
}

// leaf reads the content of an attachment or a file.
func (r *reading) leaf(b []byte, at place) error {
	r.packed, r.free = int64(len(b)), r.spent
	return r.octets(b, at)
}

// octets reads content in memory. An error is that of ctx or a limit on the whole; the item
// describes any other fault.
func (r *reading) octets(b []byte, at place) error {
	kind := sniff(b)
	if r.tooDeep(kind, at) {
		return nil
	}
	switch kind {
	case zipContent:
		return r.unzip(b, at)
	case gzipContent, zlibContent:
		return r.inflate(b, kind == zlibContent, at)
	case xmlContent:
		return r.xml(bytes.NewReader(b), at, func() ([]byte, error) { return compress(b, r.options.Scratch) })
	case mailContent, mboxContent:
		return r.mail(b, at)
	}
	return r.stream(bufio.NewReaderSize(bytes.NewReader(b), sniffed), at)
}

// tooDeep refuses archives nested too deeply.
func (r *reading) tooDeep(kind content, at place) bool {
	archive := kind == zipContent || kind == gzipContent || kind == zlibContent || kind == tarContent
	if !archive || at.nested < maxNested {
		return false
	}
	r.fault(at, refusal(fmt.Sprintf("archives more than %d deep", maxNested)))
	return true
}

// stream reads content while it is unpacked.
func (r *reading) stream(in *bufio.Reader, at place) error {
	begin, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return r.failed(at, err)
	}
	kind := sniff(begin)
	if r.tooDeep(kind, at) {
		return nil
	}
	switch kind {
	case xmlContent:
		return r.xmlStream(in, at)
	case gzipContent, zlibContent:
		z := newInflater(in, kind == zlibContent, r.note, r.options.Scratch)
		defer z.release()
		return r.stream(bufio.NewReaderSize(r.counted(z), sniffed), at.within(""))
	case tarContent:
		return r.untar(in, at)
	case zipContent, mailContent, mboxContent:
		b, err := io.ReadAll(io.LimitReader(in, r.limits.MailBytes+1))
		if err == nil && int64(len(b)) > r.limits.MailBytes {
			err = refusal(fmt.Sprintf("an archive or mail within it is over %s", size(r.limits.MailBytes)))
		}
		if err != nil {
			return r.failed(at, err)
		}
		return r.octets(b, at)
	default:
		r.other(kind, begin, at)
	}
	return nil
}

// other handles content without a report.
func (r *reading) other(kind content, begin []byte, at place) {
	switch name := exotic(begin); {
	case kind == jsonContent && isTLSReport(begin):
		r.set(analysis.KindTLS, "a TLS report")
	case isFailureText(begin):
		r.set(analysis.KindFailure, "a failure report in plain text")
	case name != "":
		r.fault(at, refusal(name+", which is not read"))
	case kind == nothing:
		r.fault(at, refusal("it is empty"))
	default:
		why := "it holds no report"
		const short = 200
		if text := bytes.TrimSpace(begin); len(text) < short {
			why = fmt.Sprintf("it holds %q", cut(string(text)))
		}
		r.fault(at, refusal(why))
	}
}

// inflate reads gzip or zlib. If it is one member around XML, the file is stored as received.
func (r *reading) inflate(b []byte, zlib bool, at place) error {
	z := newInflater(bufio.NewReader(bytes.NewReader(b)), zlib, r.note, r.options.Scratch)
	defer z.release()
	in := bufio.NewReaderSize(r.counted(z), sniffed)
	begin, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return r.failed(at, err)
	}
	if zlib || sniff(begin) != xmlContent {
		return r.stream(in, at.within(""))
	}
	return r.xml(in, at.within(""), func() ([]byte, error) {
		if _, err := io.Copy(io.Discard, in); err != nil || !z.clean() {
			return r.unpackAgain(b)
		}
		return bytes.Clone(b), nil
	})
}

// unpackAgain compresses the unpacked content of an odd file.
func (r *reading) unpackAgain(b []byte) ([]byte, error) {
	z := newInflater(bufio.NewReader(bytes.NewReader(b)), false, func(string) {}, nil)
	return compressStream(io.LimitReader(z, r.limits.ExpandedBytes), r.options.Scratch)
}

// counted returns a reader whose octets count against the limits, and that rests periodically.
func (r *reading) counted(in io.Reader) io.Reader { return &counter{in: in, r: r} }

type counter struct {
	in io.Reader
	r  *reading
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if spendErr := c.r.spend(int64(n)); spendErr != nil {
		return 0, spendErr
	}
	return n, err
}

// spend counts unpacked octets.
func (r *reading) spend(n int64) error {
	r.spent += n
	here := r.spent - r.free
	switch {
	case r.spent > r.limits.ExpandedBytes:
		return refusal(fmt.Sprintf("it unpacks to over %s", size(r.limits.ExpandedBytes)))
	case here > freeExpand && here/int64(r.limits.Ratio) > r.packed:
		return refusal(fmt.Sprintf("it unpacks to over %d times its size", r.limits.Ratio))
	}
	const interval = 256 << 10
	if r.spent-r.rested > interval {
		r.rested = r.spent
		return r.rest()
	}
	return nil
}

// rest gives other work priority.
func (r *reading) rest() error {
	if r.options.Rest != nil {
		r.options.Rest(r.ctx)
	}
	return r.ctx.Err()
}

// failed records a fault of content; an error of ctx ends the reading.
func (r *reading) failed(at place, err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	var why refusal
	if !errors.As(err, &why) {
		why = refusal("it cannot be unpacked: " + cut(text.Error(err)))
	}
	r.fault(at, why)
	return nil
}

// unzip reads the entries of a zip archive. It skips folders and files that desktops add.
func (r *reading) unzip(b []byte, at place) error {
	// archive/zip reads the whole directory, whatever its size.
	if n := bytes.Count(b, []byte("PK\x01\x02")); n > 4*r.limits.Entries+16 {
		r.fault(at, refusal(fmt.Sprintf("an archive of over %d files", r.limits.Entries)))
		return nil
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		r.fault(at, refusal("a zip archive that is broken"))
		return nil
	}
	files := z.File[:0]
	for _, f := range z.File {
		if !isLitter(f.Name) {
			files = append(files, f)
		}
	}
	if len(files) > r.limits.Entries {
		r.fault(at, refusal(fmt.Sprintf("an archive of over %d files", r.limits.Entries)))
		return nil
	}
	if len(files) == 0 {
		r.fault(at, refusal("an archive without files"))
	}
	for _, f := range files {
		if err := r.entry(f, at.within(path.Base(f.Name))); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) entry(f *zip.File, at place) error {
	const encrypted = 1
	switch {
	case f.Flags&encrypted != 0:
		r.fault(at, refusal("an encrypted zip archive"))
		return nil
	case f.Method != zip.Store && f.Method != zip.Deflate:
		r.fault(at, refusal(fmt.Sprintf("a zip archive compressed by method %d, which is not read", f.Method)))
		return nil
	}
	in, err := f.Open()
	if err != nil {
		return r.failed(at, refusal("a zip archive that is broken"))
	}
	defer in.Close() //nolint:errcheck // opened for reading only
	lenient := &zipReader{in: in, note: r.note}
	buffered := bufio.NewReaderSize(r.counted(lenient), sniffed)
	begin, err := buffered.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return r.failed(at, err)
	}
	if sniff(begin) != xmlContent {
		return r.stream(buffered, at)
	}
	return r.xml(buffered, at, func() ([]byte, error) {
		_, err := io.Copy(io.Discard, buffered)
		return regzip(f, err != nil || lenient.odd)
	})
}

// zipReader notes a wrong checksum at the end of an entry.
type zipReader struct {
	in   io.Reader
	note func(string)
	odd  bool
}

func (z *zipReader) end(what string) error {
	z.odd = true
	z.note(what)
	return io.EOF
}

func (z *zipReader) Read(p []byte) (int, error) {
	n, err := z.in.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case errors.Is(err, zip.ErrChecksum):
		err = z.end("the checksum of the archive is wrong")
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = z.end("the archive ends early")
	default:
		err = refusal("a zip archive that is broken")
	}
	return n, err
}

// isLitter recognises folders and resource forks.
func isLitter(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(name, "/") || strings.HasPrefix(name, "__MACOSX/") || strings.HasPrefix(base, "._") || base == ".DS_Store" || base == "Thumbs.db"
}

func (r *reading) untar(in io.Reader, at place) error {
	t := tar.NewReader(in)
	for files := 0; ; {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			if !errors.Is(err, errRefused) && r.ctx.Err() == nil {
				err = refusal("a tar archive that is broken")
			}
			return r.failed(at, err)
		case h.Typeflag != tar.TypeReg || isLitter(h.Name):
			continue
		}
		if files++; files > r.limits.Entries {
			r.fault(at, refusal(fmt.Sprintf("an archive of over %d files", r.limits.Entries)))
			return nil
		}
		if err := r.stream(bufio.NewReaderSize(t, sniffed), at.within(path.Base(h.Name))); err != nil {
			return err
		}
	}
}

// size describes a number of octets.
func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
