package present

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"dmarcd/internal/errkind"
	"dmarcd/internal/opendmarc"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

func ImportList(kind settings.ListKind, name, to string, skip bool, s Streams) error {
	data, err := ReadInput(name, s.In, "list", maxList)
	if err != nil {
		return err
	}
	shown := name
	if name == "-" {
		shown = "standard input"
	}
	lines, warnings, err := settings.ParseList(kind, shown, data)
	for _, w := range warnings {
		fmt.Fprintf(s.Err, "warning: %s\n", w)
	}
	if err != nil {
		var faults settings.Faults
		if !errors.As(err, &faults) {
			return errkind.Wrap(errkind.WrongUse, err)
		}
		for _, f := range faults {
			fmt.Fprintln(s.Err, f)
		}
		wrong := text.Count(int64(len(faults)), "invalid line")
		if !skip {
			return errkind.Wrap(errkind.WrongUse, fmt.Errorf("%s has %s; nothing was written (--skip-invalid writes the others)", shown, wrong))
		}
		fmt.Fprintf(s.Err, "%s: left out %s\n", shown, wrong)
	}
	if to == "" {
		return WriteLines(s.Out, lines)
	}
	if err := ReplaceFile(to, func(w io.Writer) error { return WriteLines(w, lines) }); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	whole, err := filepath.Abs(to)
	if err != nil {
		whole = to
	}
	fmt.Fprintf(s.Out, "%s: %s; name it in policy.yaml as %s: [\"file:%s\"]\n", to, EntryCount(len(lines)), kind, whole)
	return nil
}

// maxList bounds a list in memory.
const maxList = 64 << 20

// OpenDMARCFiles are the files of an OpenDMARC to import.
type OpenDMARCFiles struct {
	Conf  string
	Hosts string // of its IgnoreHosts, "": where the configuration says
	Peers string // PeerList of an OpenDKIM; "" for none
}

// maxOpenDMARC bounds a configuration in memory.
const maxOpenDMARC = 1 << 20

func ImportOpenDMARC(from OpenDMARCFiles, to string, s Streams) error {
	conf, err := ReadInput(from.Conf, s.In, "configuration", maxOpenDMARC)
	if err != nil {
		return err
	}
	var hosts []byte
	if from.Hosts != "" {
		if hosts, err = ReadInput(from.Hosts, s.In, "list", maxList); err != nil {
			return err
		}
	}
	var lists []settings.Text
	if from.Peers != "" {
		data, err := ReadInput(from.Peers, s.In, "list", maxList)
		if err != nil {
			return err
		}
		lists = append(lists, settings.Text{Path: from.Peers, Data: data})
	}
	shown := from.Conf
	if shown == "-" {
		shown = "standard input"
	}
	made, err := opendmarc.Import(shown, conf, func(named string) (string, []byte, error) {
		if from.Hosts != "" || named == "" {
			return from.Hosts, hosts, nil
		}
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(from.Conf), named)
		}
		data, err := ReadInput(named, s.In, "list", maxList)
		return named, data, err
	}, lists...)
	if err != nil {
		return errkind.Wrap(errkind.WrongUse, err)
	}
	for _, n := range made.Notes {
		fmt.Fprintln(s.Err, n)
	}
	if len(made.Daemon) > 0 {
		fmt.Fprintf(s.Err, "\nThis belongs in dmarcd.yaml:\n\n")
		for _, l := range made.Daemon {
			fmt.Fprintln(s.Err, l)
		}
	}
	write := func(w io.Writer) error {
		_, err := w.Write(made.Policy)
		return err
	}
	if to == "" {
		err = write(s.Out)
	} else {
		err = ReplaceFile(to, write)
	}
	if err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}
