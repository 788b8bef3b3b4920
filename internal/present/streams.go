package present

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// Answer is the output of a command: text by print, JSON by its fields.
type Answer interface{ print(w io.Writer) error }

// WriteAnswer writes an answer in the requested form.
func WriteAnswer(s Streams, r Answer, asJSON bool) error {
	err := error(nil)
	if asJSON {
		err = s.JSON().Encode(r)
	} else {
		err = r.print(s.Out)
	}
	if err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}

// WriteJSONLine writes one object on one line.
func WriteJSONLine(s Streams, v any) error {
	if err := s.JSON().Encode(v); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}

// Streams are the input and outputs of a command. Text goes to out and err, which make it safe for a
// terminal; JSON, files and the log are handled separately.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	raw      *Streams // out and err below the writers that make text safe; nil if there are none
}

// Safe returns s with writers that protect the terminal.
func (s Streams) Safe() Streams {
	raw := s
	return Streams{In: s.In, Out: text.NewWriter(s.Out), Err: text.NewWriter(s.Err), raw: &raw}
}

// Below returns the streams as the process received them.
func (s Streams) Below() Streams {
	if s.raw == nil {
		return s
	}
	return *s.raw
}

// JSON returns an encoder for standard output.
func (s Streams) JSON() *json.Encoder { return json.NewEncoder(text.NewJSONWriter(s.Below().Out)) }

// MaxLine bounds a line of text, in octets.
const MaxLine = 4000

// Line writes one line: it stays one line whatever its parts contain.
func (s Streams) Line(format string, args ...any) {
	fmt.Fprintln(s.Out, text.Line(fmt.Sprintf(format, args...), MaxLine))
}

// File returns the writer for a file's content on standard output: unchanged into a file or a pipe, made
// safe on a terminal.
func (s Streams) File() io.Writer {
	if isTerminal(s.Below().Out) {
		return s.Out
	}
	return s.Below().Out
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Silent ends a command whose output was complete.
func Silent(kind errkind.Kind) error { return errkind.New(kind, "") }
