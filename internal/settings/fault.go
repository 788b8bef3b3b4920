package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong, or worth a warning, in a file.
type Fault struct {
	File         string
	Line, Column int    // from 1; 0 where the file as a whole is meant
	Key          string // dotted path, such as default.dmarc.actions.reject; "" for the file
	Problem      string // what was expected and what was found
	Hint         string // what was probably meant; "" if nothing is near
	Unread       string // the absolute path of the unreadable list file, in a fault of the entry that names it; else ""
}

// String is the fault on one line, as file:line:column: key: problem; did you mean "hint"?
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	for _, s := range []string{f.Key, f.Message()} {
		if s != "" {
			if b.Len() > 0 {
				b.WriteString(": ")
			}
			b.WriteString(s)
		}
	}
	return b.String()
}

// Message is the problem with the hint.
func (f Fault) Message() string {
	if f.Hint == "" {
		return f.Problem
	}
	return fmt.Sprintf("%s; did you mean %q?", f.Problem, f.Hint)
}

// Faults are all faults of a configuration, in the order of the files. As an
// error it has a line for each.
type Faults []Fault

// Error lists the faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

const (
	// maxFaults bounds the faults, and the warnings, reported for one file.
	maxFaults = 1000
	// maxSimilar bounds the warnings with the same text: with thousands of
	// domain entries the same thing is often true of each.
	maxSimilar = 10
)

// faultList gathers the faults of one file, bounded.
type faultList struct {
	file    string // the requested file; its faults come first
	list    []grouped
	similar map[string]int // how often each group occurred; nil where all are kept
	dropped int            // over maxFaults
}

// grouped is a fault with the key of its group.
type grouped struct {
	Fault
	group string
}

func (l *faultList) add(f Fault, group string) {
	group += "\x00" + f.Problem
	if n := l.similar[group]; n >= maxSimilar {
		l.similar[group]++
		return
	}
	if l.full() {
		l.dropped++
		return
	}
	if l.similar != nil {
		l.similar[group]++
	}
	l.list = append(l.list, grouped{f, group})
}

// full reports whether further faults are only counted.
func (l *faultList) full() bool { return len(l.list) >= maxFaults }

// all returns the faults by place, each once, and how many were left out.
func (l *faultList) all() Faults {
	slices.SortStableFunc(l.list, func(a, b grouped) int {
		if ours := a.File == l.file; ours != (b.File == l.file) {
			if ours {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Problem, b.Problem))
	})
	var out Faults
	last := map[string]int{}
	for i, f := range l.list {
		if i > 0 && f.sameAs(l.list[i-1].Fault) {
			continue
		}
		out = append(out, f.Fault)
		last[f.group] = len(out) - 1
	}
	for group, n := range l.similar {
		if n > maxSimilar {
			out[last[group]].Problem += fmt.Sprintf(" (and so in %d more places)", n-maxSimilar)
		}
	}
	if l.dropped > 0 {
		out = append(out, Fault{File: l.file, Problem: fmt.Sprintf("and %d more", l.dropped)})
	}
	return out
}

// sameAs reports whether two faults say the same of the same place, which an
// alias can reach by several keys.
func (f Fault) sameAs(o Fault) bool {
	return f.File == o.File && f.Line == o.Line && f.Column == o.Column && f.Problem == o.Problem
}
