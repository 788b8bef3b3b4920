package main

import (
	"fmt"
	"io"
	"path/filepath"

	"dmarcd/internal/settings"
)

// openDMARCFiles are the files of an OpenDMARC to import.
type openDMARCFiles struct {
	conf  string
	hosts string // of its IgnoreHosts, "": where the configuration says
	peers string // PeerList of an OpenDKIM; "" for none
}

// maxOpenDMARC bounds a configuration that is read into memory.
const maxOpenDMARC = 1 << 20

func policyImportOpenDMARC(from openDMARCFiles, to string, s streams) error {
	conf, err := readInput(from.conf, s.in, "configuration", maxOpenDMARC)
	if err != nil {
		return err
	}
	var hosts []byte
	if from.hosts != "" {
		if hosts, err = readInput(from.hosts, s.in, "list", maxList); err != nil {
			return err
		}
	}
	var lists []settings.Text
	if from.peers != "" {
		data, err := readInput(from.peers, s.in, "list", maxList)
		if err != nil {
			return err
		}
		lists = append(lists, settings.Text{Path: from.peers, Data: data})
	}
	shown := from.conf
	if shown == "-" {
		shown = "standard input"
	}
	made, err := settings.ImportOpenDMARC(shown, conf, func(named string) (string, []byte, error) {
		if from.hosts != "" || named == "" {
			return from.hosts, hosts, nil
		}
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(from.conf), named)
		}
		data, err := readInput(named, s.in, "list", maxList)
		return named, data, err
	}, lists...)
	if err != nil {
		return usageError(err)
	}
	for _, n := range made.Notes {
		fmt.Fprintln(s.err, n)
	}
	if len(made.Daemon) > 0 {
		fmt.Fprintf(s.err, "\nThis belongs in dmarcd.yaml:\n\n")
		for _, l := range made.Daemon {
			fmt.Fprintln(s.err, l)
		}
	}
	write := func(w io.Writer) error {
		_, err := w.Write(made.Policy)
		return err
	}
	if to == "" {
		err = write(s.out)
	} else {
		err = replaceFile(to, write)
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}
