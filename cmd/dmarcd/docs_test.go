package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/present"
)

// shownCommand is a command line of ours in a text: behind a prompt, or in code.
var shownCommand = regexp.MustCompile("(?m)(?:^ *\\$ |`)(?:bin/)?dmarcd ([a-z][^`\n#|&>]*)")

// notYet is a row of a table on what is not built.
var notYet = regexp.MustCompile(`(?m)^\|.*\| not yet \|$`)

// TestDocumentedCommandsExist holds every command line that the documentation shows
// to the commands and flags that there are.
func TestDocumentedCommandsExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../../README.md", "../../README.ja.md", "../../deploy/README.md")
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		built := notYet.ReplaceAllString(string(text), "")
		for _, m := range shownCommand.FindAllStringSubmatch(built, -1) {
			seen++
			args := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(m[1]))
			if err := parses(args); err != nil {
				t.Errorf("%s: dmarcd %s: %v", filepath.Base(file), m[1], err)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d command lines found", seen)
	}
}

// parses reports what is wrong with a command line, without running it. Words in
// capitals stand for any argument, also for that of a flag.
func parses(args []string) error {
	root := newRoot(present.Streams{Out: io.Discard, Err: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c == root {
		return errors.New("no such command")
	}
	return c.ParseFlags(slices.DeleteFunc(rest, func(arg string) bool { return arg == "--help" }))
}
