package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"dmarcd/internal/text"
)

// streams are where a command reads and writes. Text goes to out and err, which make
// it safe for a terminal; JSON, files and the log have their own ways.
type streams struct {
	in       io.Reader
	out, err io.Writer
	raw      *streams // out and err below the writers that make text safe; nil: they have none
}

// safe puts writers between s and the terminal.
func (s streams) safe() streams {
	raw := s
	return streams{in: s.in, out: text.NewWriter(s.out), err: text.NewWriter(s.err), raw: &raw}
}

// below are the streams as the process got them.
func (s streams) below() streams {
	if s.raw == nil {
		return s
	}
	return *s.raw
}

// json makes an encoder for standard output.
func (s streams) json() *json.Encoder { return json.NewEncoder(text.NewJSONWriter(s.below().out)) }

// maxLine bounds a line of text, in octets.
const maxLine = 4000

// line writes one line: whatever its parts hold, it stays one.
func (s streams) line(format string, args ...any) {
	fmt.Fprintln(s.out, text.Line(fmt.Sprintf(format, args...), maxLine))
}

// file is where the content of a file goes that was asked for on standard output:
// octet for octet into a file or a pipe, made safe on a terminal.
func (s streams) file() io.Writer {
	if isTerminal(s.below().out) {
		return s.out
	}
	return s.below().out
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
