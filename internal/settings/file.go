package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const (
	// maxFileBytes leaves room for 10,000 domain entries with every key
	// written out.
	maxFileBytes = 64 << 20
	// maxValues bounds the values of one file, with those reached by
	// aliases, and so memory and time.
	maxValues = 4 << 20
)

// readFile reads a whole file of bounded size. Its error says what to do next. It
// never waits for somebody to write, as opening a pipe would: reloads run in the
// daemon, which has other work.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, openTrouble(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	tooLarge := fmt.Errorf("the file is larger than %d MiB", maxFileBytes>>20)
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, openTrouble(err)
	case info.IsDir():
		return nil, errors.New("this is a folder; name a file in it")
	case !info.Mode().IsRegular():
		return nil, errors.New("this is not a regular file; put the text into one and name that")
	case info.Size() > maxFileBytes:
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1)) // it may grow meanwhile
	if err != nil {
		return nil, openTrouble(err)
	}
	if len(data) > maxFileBytes {
		return nil, tooLarge
	}
	return data, nil
}

// openTrouble words an error of the file system without the path, which the
// fault names already.
func openTrouble(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file; create it or name another")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied; let the user with id %d, as whom dmarcd runs, read it", os.Getuid())
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// parseYAML reads one document into its root value; nil for an empty file. A
// Fault is returned without its File.
func parseYAML(data []byte) (*yaml.Node, *Fault) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if f := scanText(data); f != nil {
		return nil, f
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := nextDocument(dec)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxFault(data, err)
	case len(doc.Content) == 0:
		return nil, nil
	}
	switch next, err := nextDocument(dec); {
	case err == nil:
		return nil, &Fault{Line: next.Line, Column: next.Column, Problem: "a second document begins here; one file holds one document"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(data, err)
	}
	return doc.Content[0], nil
}

// nextDocument reads the next document. The parser is not ours and panics on
// some of the errors in its own state, so a panic is taken as a fault of the file.
func nextDocument(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	doc = new(yaml.Node)
	return doc, dec.Decode(doc)
}

// scanText finds what the parser cannot place, or cannot bear, before it runs.
func scanText(data []byte) *Fault {
	values, line, start := 1, 1, 0
	at := func(i int, problem string) *Fault {
		return &Fault{Line: line, Column: utf8.RuneCount(data[start:i]) + 1, Problem: problem}
	}
	for i := 0; i < len(data); {
		c := data[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				return at(i, fmt.Sprintf("octet %#02x is not UTF-8; save the file as UTF-8", c))
			}
			i += size
			continue
		}
		switch {
		case c == '\n':
			line, start = line+1, i+1
			values++
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return at(i, fmt.Sprintf("control character %#02x", c))
		case strings.IndexByte(",[{:-?*", c) >= 0:
			values++ // each value beyond the first of its line needs one of these
		}
		i++
	}
	if values > maxValues {
		return &Fault{Line: 1, Column: 1, Problem: fmt.Sprintf("the file holds more than %d values", maxValues)}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?`)

// syntaxFault places an error of the parser. The parser tells the line at best,
// so the column is that of the line's text.
func syntaxFault(data []byte, err error) *Fault {
	if f := tabFault(data); f != nil {
		return f
	}
	text := err.Error()
	if f := starFault(data, text); f != nil {
		return f
	}
	m := yamlLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1])
	line = max(line, 1)
	f := &Fault{Line: line, Column: 1, Problem: "not YAML: " + clip(strings.TrimPrefix(text, m[0]))}
	for l := range bytes.Lines(data) {
		if line--; line == 0 {
			f.Column += len(l) - len(bytes.TrimLeft(l, " "))
			break
		}
	}
	return f
}

// tabFault finds a tab in the indentation, which YAML forbids and which is the
// commonest fault that cannot be seen.
func tabFault(data []byte) *Fault {
	line := 0
	for l := range bytes.Lines(data) {
		line++
		text := bytes.TrimLeft(l, " ")
		if len(text) > 0 && text[0] == '\t' && len(bytes.TrimSpace(text)) > 0 && bytes.TrimSpace(text)[0] != '#' {
			return &Fault{Line: line, Column: len(l) - len(text) + 1, Problem: "a tab in the indentation; YAML takes spaces only"}
		}
	}
	return nil
}

var bareStar = regexp.MustCompile(`(?m)[-:,\[][ \t]*(\*[^\s,\]}#]*)`)

// starFault finds the pattern *.example.com without quotes, which YAML takes for
// an alias, and words the parser's complaint about it.
func starFault(data []byte, complaint string) *Fault {
	if !strings.Contains(complaint, "unknown anchor") && !strings.Contains(complaint, "alphabetic or numeric character") {
		return nil
	}
	m := bareStar.FindSubmatchIndex(data)
	if m == nil {
		return nil
	}
	before := data[:m[2]]
	return &Fault{
		Line:    bytes.Count(before, []byte("\n")) + 1,
		Column:  utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1,
		Problem: "text that begins with * needs quotes",
		Hint:    clip(string(data[m[2]:m[3]])),
	}
}

// clip cuts a text of the file for a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
