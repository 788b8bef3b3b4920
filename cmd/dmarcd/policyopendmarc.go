package main

import (
	"fmt"
	"io"
	"path/filepath"

	"dmarcd/internal/present"
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

func policyImportOpenDMARC(from openDMARCFiles, to string, s present.Streams) error {
	conf, err := present.ReadInput(from.conf, s.In, "configuration", maxOpenDMARC)
	if err != nil {
		return err
	}
	var hosts []byte
	if from.hosts != "" {
		if hosts, err = present.ReadInput(from.hosts, s.In, "list", maxList); err != nil {
			return err
		}
	}
	var lists []settings.Text
	if from.peers != "" {
		data, err := present.ReadInput(from.peers, s.In, "list", maxList)
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
		data, err := present.ReadInput(named, s.In, "list", maxList)
		return named, data, err
	}, lists...)
	if err != nil {
		return usageError(err)
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
		err = present.ReplaceFile(to, write)
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}
